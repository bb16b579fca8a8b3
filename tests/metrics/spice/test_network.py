"""The network by numpy gives the parses that spaCy itself gives."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miacap.metrics.spice import Spice
from miacap.metrics.spice.parsing import CaptionParser, network, pipeline
from miacap.metrics.spice.parsing.transitions import _undecorate

Sentences = list[list[str]]


@pytest.fixture(scope="module")
def model(spice: Spice) -> Any:
    return pipeline._model()


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


def by_numpy(model: Any, sentences: Sentences) -> list[network.Parse]:
    found = dict(network.Network(model).parse(sentences))
    assert sorted(found) == list(range(len(sentences)))
    return [found[index] for index in range(len(sentences))]


def test_captions_of_all_lengths(model: Any, golden: Any) -> None:
    captions = [*golden("edge").tokenized_candidates, *golden("fakecap").tokenized_candidates]
    sentences = [pipeline._sentence(words) for words in map(pipeline._words, captions) if words]
    assert by_numpy(model, sentences[:700]) == by_spacy(model, sentences[:700])


WORDS = (
    "a the man dogs that which is not riding , and on with what 's only run two red . ! ( 3 I of"
    " saw to in if whom been yesterday gave"
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=40), max_size=6))
def test_any_words_in_any_order(model: Any, sentences: Sentences) -> None:
    """Word salad makes the parser go back, break sentences and cross arcs."""
    assert by_numpy(model, sentences) == by_spacy(model, sentences)


def test_much_word_salad(model: Any) -> None:
    """Rare moves too: what is back in the buffer stands beside what was never on the stack."""
    chance = random.Random(5)
    salad = [chance.choices(WORDS.split(), k=chance.randint(1, 30)) for _ in range(2_000)]
    assert by_numpy(model, salad) == by_spacy(model, salad)


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
def test_any_letters(model: Any, sentences: Sentences) -> None:
    sentences = [words for text in sentences if (words := " ".join(text).split())]
    assert by_numpy(model, sentences) == by_spacy(model, sentences)


def test_batches_hold_few_words(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = [["A", "dog", "runs"] * n for n in (5, 1, 40, 2, 2, 1)]
    expected = by_spacy(model, sentences)
    monkeypatch.setattr(network, "_WORDS", 12)
    monkeypatch.setattr(network, "_KNOWN", 1)
    assert list(network._batches([len(words) for words in sentences])) == [
        [1, 5], [3, 4], [0], [2],
    ]  # fmt: skip
    assert by_numpy(model, sentences) == expected


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        # 0 <- 1 <- 2, 3: the first word labelled "prep" below the old head, level by level
        ([1, 1, 1, 2, 1], (["a", "b", "prep", "prep", "x"], [1, 1, 1, 2, 2])),
        ([1, 1, 1, 2, 3], (["a", "b", "prep", "prep", "x"], [1, 1, 1, 2, 3])),
    ],
)
def test_undecorated_arcs(heads: list[int], expected: tuple[list[str], list[int]]) -> None:
    labels = ["a", "b", "prep", "prep", "x||prep"]
    _undecorate(labels, heads)
    assert (labels, heads) == expected


def test_a_model_of_another_architecture_runs_in_spacy(
    spice: Spice, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = ["a man rides a red horse", "", "two dogs run on the beach"]
    expected = CaptionParser().parse(captions)
    encoder = model.get_pipe("tok2vec").model.layers[1]
    monkeypatch.setitem(encoder.attrs, "pad", 3)
    assert not network.fits(model)
    assert CaptionParser()._network is None
    assert CaptionParser().parse(captions) == expected
