"""A file that is not there: its gzipped twin is named where it would be read, and nowhere else."""

import gzip
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from miacap import data, files
from miacap.captioning.word_vectors import read_word_vectors
from miacap.cli.application import app
from miacap.concepts.lists import read_lists
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data.given.forms import form_of
from miacap.data.given.matrix_file import read_ids
from miacap.errors import DataError, MiacapError
from miacap.metrics import DocumentFrequencies
from miacap.metrics.files import read_candidates, read_frequencies, read_references
from miacap.metrics.spice import read_tuples
from miacap.runs import RunSettings
from miacap.text import Vocabulary
from miacap.visual import decode
from miacap.visual.detectors.files import read as read_detector
from miacap.visual.reading import read_file

CAPTIONS = b"id,caption\na,A dog.\nb,A cat.\n"
PICTURES = b"file_name,caption\na.jpg,A dog.\nb.jpg,A cat.\n"
FEATURES = b'a\t{"num_boxes": 1, "features": "AAAAAA=="}\n'
COUNTS = {"format": 1, "pictures": 2, "name": "x", "counts": {"a": 2}}


def saved(save: Callable[[BytesIO], object]) -> bytes:
    file = BytesIO()
    save(file)
    return file.getvalue()


def vectors(path: Path) -> object:
    settings = RunSettings("nic", "plain", {"width": 2}, region_width=2)
    return read_word_vectors(path, Vocabulary(("dog",)), settings)


def command(*arguments: str) -> Callable[[Path], object]:
    def call(path: Path) -> object:
        done = CliRunner().invoke(app, [*arguments, str(path)], catch_exceptions=False)
        assert done.exit_code == 0
        return done

    return call


ARRAY = saved(lambda file: np.save(file, np.zeros((2, 3))))
PHOTO = saved(lambda file: Image.new("RGB", (8, 8)).save(file, "PNG"))
READERS: dict[str, tuple[str, bytes, Callable[[Path], Any], bool]] = {
    "references": ("r.csv", CAPTIONS, read_references, True),
    "candidates": ("c.csv", CAPTIONS, read_candidates, True),
    "captions": ("d.csv", PICTURES, lambda path: data.read(path, photos=data.NoPhotos()), True),
    "frequencies of captions": ("f.csv", CAPTIONS, read_frequencies, True),
    "frequencies": ("f.json", json.dumps(COUNTS).encode(), read_frequencies, True),
    "frequencies alone": (
        "g.json", json.dumps(COUNTS).encode(), DocumentFrequencies.load, True,
    ),
    "lists of concepts": ("l.json", b'{"a": ["dog"]}', read_lists, True),
    "words": ("w.txt", b"dog\ncat\n", ConceptVocabulary.from_file, True),
    "word vectors": ("v.txt", b"dog 1 2\n", vectors, True),
    "lines to tokenise": ("t.txt", b"A dog.\n", command("tokenize"), True),
    "splits": (
        "s.csv", b"id,split\na.jpg,train\nb.jpg,dev\n",
        lambda path: data.read(path.parent / "there.csv", photos=data.NoPhotos(), splits=path),
        True,
    ),
    "tuples": (
        "u.json", b'{"images": [{"image_id": 1, "test": [], "refs": [[]]}]}', read_tuples, True,
    ),
    "features as a text": ("f.tsv", FEATURES, form_of, True),
    "ids of features": ("i.txt", b"a\nb\n", read_ids, True),
    "features as an array": ("f.npy", ARRAY, form_of, False),
    "a table of captions": ("p.parquet", b"PAR1", data.read, False),
    "a tar": ("q.tar", b"\0" * 10240, data.read, False),
    "a photo": (
        "a.png", PHOTO, lambda path: decode(read_file(path), str(path)), False,
    ),
    "JSON of ours": ("j.json", b"{}", files.read_json, False),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_the_packed_twin_is_named_where_it_is_read(name: str, tmp_path: Path) -> None:
    file, content, call, reads = READERS[name]
    (tmp_path / "there.csv").write_bytes(PICTURES)
    absent, twin = tmp_path / file, tmp_path / f"{file}.gz"
    twin.write_bytes(gzip.compress(content))
    said = message(call, absent)
    assert (f"There is {twin}: name that one." in said) == reads, said
    assert "no such file" in said or "no such folder" in said
    assert (message(call, twin) == "") == reads  # what is named is read, and nothing else is
    twin.rename(absent)
    absent.write_bytes(content)
    assert f"There is {absent}: name that one." in message(call, twin)


def message(call: Callable[[Path], object], path: Path) -> str:
    try:
        call(path)
    except MiacapError as error:
        return str(error)
    return ""


def test_a_detector_is_read_as_it_is(tmp_path: Path) -> None:
    """In gzip it is read as the bytes that it is, which are no network."""
    (tmp_path / "d.onnx.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(DataError, match=r"d\.onnx: there is no such file\.$"):
        read_detector(tmp_path / "d.onnx")


def test_packed_frequencies_are_those_that_were_packed(tmp_path: Path) -> None:
    counted = DocumentFrequencies.of_captions([["A dog."], ["A cat."]], "two")
    counted.save(tmp_path / "f.json")
    packed = tmp_path / "f.json.gz"
    packed.write_bytes(gzip.compress((tmp_path / "f.json").read_bytes()))
    assert read_frequencies(packed) == read_frequencies(tmp_path / "f.json") == counted
    packed.write_bytes(packed.read_bytes()[:30])
    with pytest.raises(DataError, match="damaged gzip file"):
        read_frequencies(packed)
