"""The network by numpy gives the parses that spaCy itself gives."""

import json
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miacap.metrics.spice import Spice
from miacap.metrics.spice.parsing import CaptionParser, hashing, network, pipeline, weights
from miacap.metrics.spice.parsing.embedding import Embedding, shape
from miacap.metrics.spice.parsing.transitions import _undecorate

Sentences = list[list[str]]


@pytest.fixture(scope="module")
def model(spice: Spice) -> Any:
    return pipeline._model()


@pytest.fixture(scope="module")
def read(spice: Spice) -> weights.Weights:
    found = weights.read(pipeline._folder())
    assert found is not None
    return found


def by_spacy(model: Any, sentences: Sentences) -> list[network.Parse]:
    from spacy.tokens import Doc

    documents = list(model.pipe(Doc(model.vocab, words=words) for words in sentences))
    return [
        network.Parse(
            [token.tag_ for token in parsed],
            [token.dep_ for token in parsed],
            [token.head.i for token in parsed],
        )
        for parsed in documents
    ]


def by_numpy(read: weights.Weights, sentences: Sentences) -> list[network.Parse]:
    found = dict(network.Network(read).parse(sentences))
    assert sorted(found) == list(range(len(sentences)))
    return [found[index] for index in range(len(sentences))]


def test_captions_of_all_lengths(model: Any, read: weights.Weights, golden: Any) -> None:
    captions = [*golden("edge").tokenized_candidates, *golden("fakecap").tokenized_candidates]
    sentences = [pipeline._sentence(words) for words in map(pipeline._words, captions) if words]
    assert by_numpy(read, sentences[:700]) == by_spacy(model, sentences[:700])


WORDS = (
    "a the man dogs that which is not riding , and on with what 's only run two red . ! ( 3 I of"
    " saw to in if whom been yesterday gave"
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=40), max_size=6))
def test_any_words_in_any_order(model: Any, read: weights.Weights, sentences: Sentences) -> None:
    """Word salad makes the parser go back, break sentences and cross arcs."""
    assert by_numpy(read, sentences) == by_spacy(model, sentences)


def test_much_word_salad(model: Any, read: weights.Weights) -> None:
    """Rare moves too: what is back in the buffer stands beside what was never on the stack."""
    chance = random.Random(5)
    salad = [chance.choices(WORDS.split(), k=chance.randint(1, 30)) for _ in range(2_000)]
    assert by_numpy(read, salad) == by_spacy(model, salad)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=8),
            min_size=1,
            max_size=9,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_letters(model: Any, read: weights.Weights, sentences: Sentences) -> None:
    sentences = [words for text in sentences if (words := " ".join(text).split())]
    assert by_numpy(read, sentences) == by_spacy(model, sentences)


def test_threads_do_not_disturb_one_another(read: weights.Weights) -> None:
    chance = random.Random(2)
    salad = [chance.choices(WORDS.split(), k=chance.randint(1, 20)) for _ in range(600)]
    together = network.Network(read)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: dict(together.parse(part)), [salad] * 4))
    assert found == [dict(network.Network(read).parse(salad))] * 4


def test_batches_hold_few_words(
    model: Any, read: weights.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = [["A", "dog", "runs"] * n for n in (5, 1, 40, 2, 2, 1)]
    expected = by_spacy(model, sentences)
    monkeypatch.setattr(network, "_WORDS", 12)
    monkeypatch.setattr(network, "_KNOWN", 1)
    monkeypatch.setattr(network, "_TOGETHER", 100)
    assert list(network._blocks(sentences)) == [[1, 5, 3, 4, 0], [2]]
    assert list(network._batches([len(words) for words in sentences])) == [
        [1, 5], [3, 4], [0], [2],
    ]  # fmt: skip
    assert by_numpy(read, sentences) == expected


@pytest.mark.parametrize(
    ("labels", "heads", "expected"),
    [
        # 0 <- 1 <- 2, 3: the first word labelled "prep" below the old head, level by level
        ("a b prep prep x||prep", [1, 1, 1, 2, 1], [1, 1, 1, 2, 2]),
        ("a b prep prep x||prep", [1, 1, 1, 2, 3], [1, 1, 1, 2, 3]),
        ("a b c prep x||prep", [1, 1, 1, 2, 1], [1, 1, 1, 2, 3]),
        # what hangs on the word itself cannot become its head
        ("a b c prep x||prep", [1, 1, 1, 4, 1], [1, 1, 1, 4, 1]),
    ],
)
def test_undecorated_arcs(labels: str, heads: list[int], expected: list[int]) -> None:
    found = labels.split()
    _undecorate(found, heads)
    assert (found, heads) == ([*labels.split()[:4], "x"], expected)


def test_a_model_of_another_architecture_runs_in_spacy(
    spice: Spice, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = ["a man rides a red horse", "", "two dogs run on the beach"]
    expected = CaptionParser(on_disk=False).parse(captions)
    monkeypatch.setattr(weights, "read", lambda folder: None)
    other = CaptionParser(on_disk=False)
    assert other._network is None
    assert other.parse(captions) == expected


def set_in(path: Path, name: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), name: value}), "utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: set_in(folder / "parser" / "cfg", "beam_width", 8),
        lambda folder: set_in(folder / "parser" / "cfg", "learn_tokens", True),
        lambda folder: set_in(folder / "meta.json", "lang", "de"),
        lambda folder: (folder / "tagger" / "model").unlink(),
        lambda folder: (folder / "tok2vec" / "model").write_bytes(b"\x93\x01"),
        lambda folder: shutil.copy(folder / "tagger" / "model", folder / "parser" / "model"),
    ],
)
def test_what_is_not_known_is_not_read(read: weights.Weights, tmp_path: Path, change: Any) -> None:
    folder = tmp_path / "model"
    shutil.copytree(pipeline._folder(), folder, ignore=shutil.ignore_patterns("ner", "lemmatizer"))
    assert weights.read(folder) is not None
    change(folder)
    assert weights.read(folder) is None


@pytest.mark.parametrize(
    ("attribute", "value"), [("pad", 3), ("columns", ["NORM"] * 6), ("window_size", 2)]
)
def test_layers_of_other_settings_are_not_read(spice: Spice, attribute: str, value: object) -> None:
    nodes = weights._nodes(pipeline._folder() / "tok2vec" / "model")
    weights._encoder(nodes)
    next(node for node in nodes if attribute in node.attributes).attributes[attribute] = value
    if attribute == "pad":
        nodes[2].attributes["pad"] = value
    with pytest.raises(weights._Other):
        weights._encoder(nodes)


def test_moves_by_kind_and_frequency() -> None:
    stored = {"2": {"det": 5, "nsubj": 9}, "0": {"": 1}, "3": {"dobj": 4, "pobj": 4}}
    assert weights._moves(stored) == ["S", "L-nsubj", "L-det", "R-pobj", "R-dobj"]
    for other in ({"0": {"": -1}}, {"2": {"subtok": 3}}):
        with pytest.raises(weights._Other):
            weights._moves(other)


def test_names_with_numbers_of_their_own(spice: Spice) -> None:
    from spacy.symbols import IDS

    assert hashing.SYMBOLS == IDS


LETTERS = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=120)
ODD = "A X x colour agent mark _ US$ € -- \u2019S 'cause Ⅷ ǅ ß İ 1990s abcdefgh eight8 LONG"
MEANT = st.sampled_from(ODD.split())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LETTERS | MEANT, min_size=1, max_size=12))
def test_embeddings_are_those_of_spacy(model: Any, read: weights.Weights, words: Any) -> None:
    from spacy.lang.lex_attrs import word_shape
    from spacy.tokens import Doc
    from thinc.api import NumpyOps

    words = [word for text in words for word in text.split()] or ["A"]
    assert [shape(word) for word in words] == [word_shape(word) for word in words]
    numbers = [hashing.number(word) for word in words]
    assert numbers == [model.vocab.strings.add(word) for word in words]
    expected = NumpyOps().hash(np.array(numbers, np.uint64), 8) % 5000
    assert np.array_equal(hashing.rows(np.array(numbers, np.uint64), 8, 5000), expected)
    vectors = model.get_pipe("tok2vec").model.layers[0].predict([Doc(model.vocab, words=words)])
    assert np.allclose(Embedding(read).of(words), vectors[0], rtol=0, atol=2e-5)


def test_neither_spacy_nor_torch_is_loaded(spice: Spice) -> None:
    program = (
        "import sys; from miacap.metrics.spice.parsing import CaptionParser;"
        "print(CaptionParser(on_disk=False).parse(['two dogs were running']));"
        "print(sorted({'spacy', 'torch', 'thinc', 'lemminflect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[[('dog', 'run'), ('dog', 'two'), ('dog',)]]", "[]"]
