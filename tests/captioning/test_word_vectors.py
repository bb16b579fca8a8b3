"""Files of word vectors: both forms, hostile ones, and a run that begins with one."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as fast
from hypothesis import strategies as st
from torch import nn

from miacap import captioning, runs
from miacap.captioning import training as module
from miacap.captioning.word_vectors import WordVectors, read_word_vectors, table_of
from miacap.errors import DataError, MiacapError, SettingsError
from miacap.text import Vocabulary

from .small import DATA, World, fit, make, settings

WORDS = Vocabulary(["a", "cat", "dog", "the", "."])
RUN = settings("nic", "plain", word_width=3)

GLOVE = "the 0.1 0.2 0.3\nwolf 9 9 9\ndog -1 2e-1 .5\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("vectors"))


def read(folder: Path, text: str | bytes, run: Any = RUN) -> WordVectors:
    file = folder / "vectors.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_word_vectors(file, WORDS, run)


@pytest.mark.parametrize("header", ["", "3 3\n"])
@pytest.mark.parametrize("ending", ["\n", " \n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_both_forms_are_read(tmp_path: Path, header: str, ending: str, packed: bool) -> None:
    data = (header + GLOVE).replace("\n", ending).encode()
    found = read(tmp_path, gzip.compress(data) if packed else data)
    assert found.ids == (WORDS.id("the"), WORDS.id("dog"))
    assert torch.allclose(found.rows, torch.tensor([[0.1, 0.2, 0.3], [-1.0, 0.2, 0.5]]))
    table = nn.Embedding(len(WORDS), 3)
    before = table.weight.detach().clone()
    found.fill(table)
    for word in WORDS.words:
        place = WORDS.id(word)
        moved = not torch.equal(table.weight[place], before[place])
        assert moved == (word in ("the", "dog"))
    assert torch.equal(table.weight[: WORDS.id("a")], before[: WORDS.id("a")])


def test_the_first_of_two_counts_and_words_with_blanks_are_others(tmp_path: Path) -> None:
    """GloVe's largest file has ". . ." as a word."""
    found = read(tmp_path, "the 1 2 3\n. . . 7 8 9\nthe 4 5 6\n. 1 1 1\n")
    assert found.ids == (WORDS.id("the"), WORDS.id("."))
    assert found.rows.tolist() == [[1, 2, 3], [1, 1, 1]]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "has none of the 5 words"),
        ("wolf 1 2 3\n", DataError, "see whether it is of their language"),
        ("the 1 2\n", SettingsError, r"vectors of 2 numbers, but .* 3 a word; set --set sizes\.w"),
        ("5 300\nthe 1 2 3\n", SettingsError, r"sizes\.word_width=300"),
        ("the cat\n", DataError, "begins with 'the cat', where word vectors have"),
        ('{"the": [1, 2, 3]}\n', DataError, "word2vec's text form or GloVe's"),
        ("wolf 1 2 3\nthe 1 2\n", DataError, "line 2: 'the' has 2 numbers, not 3"),
        ("wolf 1 2 3\nthe 1 2 3 4\n", DataError, "line 2: 'the' has 4 numbers, not 3"),
        ("the 1 nan 3\n", DataError, "line 1: 'nan' is no finite number"),
        ("the 1 1e39 3\n", DataError, "'1e39' is no finite number"),
        ("the 1 2 x\n", DataError, "line 1: 'x' is no finite number"),
        (b"\x93NUMPY\1\0", DataError, "a numpy array"),
        (b"the 1 2 3\n\xff\xff 1 2 3\n", DataError, "line 2: byte 1 of the line"),
        (b"9" * 5_000_000, DataError, "more than 4,194,304 characters"),
        ("4 3\n" + GLOVE, DataError, r"first line says 4 vectors, but it has 3; get the file"),
        ("2 3\n" + GLOVE, DataError, r"first line says 2 vectors, but it has 3; get the file"),
        ("9000 3\n", DataError, r"first line says 9,?000 vectors, but it has 0"),
        (GLOVE + "zebra 1 2", DataError, "its last line has 2 numbers, not 3: it was cut off"),
        (GLOVE + "zebra", DataError, "its last line has 0 numbers, not 3"),
        ("5 " + "9" * 400 + "\n", SettingsError, "vectors of 999,?999,?999 numbers"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, text: str | bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(tmp_path, text)


@fast(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["the", "dog", " ", "\n", "1", "-2.5", "nan", "\t", "\x00", "é",
                                 "9" * 30, "3 3", "e", "."]), max_size=20))  # fmt: skip
def test_whatever_it_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, pieces: Sequence[str]
) -> None:
    try:
        found = read(tmp_path_factory.getbasetemp(), "".join(pieces))
    except MiacapError:
        return
    assert found.rows.shape == (len(found.ids), 3) and bool(found.rows.isfinite().all())


def test_lines_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miacap.captioning.word_vectors._MOST_LINES", 2)
    with pytest.raises(DataError, match="more than 2 lines; that is no such file"):
        read(tmp_path, GLOVE)


def test_a_captioner_without_a_table_is_named() -> None:
    with pytest.raises(SettingsError, match="'glance' has no word table"):
        table_of(nn.Linear(2, 2), "glance")


def test_a_run_begins_with_the_vectors_and_names_their_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    file = tmp_path / "v.txt"
    file.write_text(GLOVE)
    real, seen = module.fit, []

    def loop(task: Any, *given: Any, **named: Any) -> Any:
        seen.append(task.module.embedding.weight.detach().clone())
        return real(task, *given, **named)

    monkeypatch.setattr(module, "fit", loop)
    run = fit(world, tmp_path / "r", RUN, None, word_vectors=file, quiet=False)
    plain = fit(world, tmp_path / "plain", RUN, None)
    words = run.vocabulary
    assert f"2 of {len(words.words)} words have a vector in {file}." in capsys.readouterr().err
    wanted = seen[1].clone()
    wanted[words.id("the")] = torch.tensor([0.1, 0.2, 0.3])
    wanted[words.id("dog")] = torch.tensor([-1, 0.2, 0.5])
    assert torch.equal(seen[0], wanted) and plain.settings.word_vectors is None
    told = json.loads((run.folder / "settings.json").read_text())["word_vectors"]
    assert (told["name"], told["words"]) == ("v.txt", 2) and len(told["sha256"]) == 64
    assert captioning.evaluate(run, DATA, "dev", world.regions, quiet=True).captioned == 3
    fit(world, run.folder, RUN, None, word_vectors=file)  # a finished run, found again
    file.write_text(GLOVE.replace("0.1", "0.4"))
    with pytest.raises(MiacapError, match=r"holds a run with word_vectors\.sha256 = "):
        fit(world, run.folder, RUN, None, word_vectors=file)
    with pytest.raises(SettingsError, match=r"name the word vectors 'v\.txt': give the file"):
        fit(world, run.folder, run.settings, None)
    with pytest.raises(SettingsError, match="trained its word table already"):
        fit(world, tmp_path / "s", runs.continued(run), None, start=run, word_vectors=file)
    assert replace(run.settings, word_vectors=None) != run.settings
