"""Tuples of another parser as a file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from miacap.errors import DataError
from miacap.metrics.spice import read_tuples, write_tuples

IMAGE = {"image_id": 7, "test": [["dog"], ["dog", "wet"]], "refs": [[["dog"]], []]}


def _write(folder: Path, content: Any) -> Path:
    path = folder / "tuples.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.usefixtures("dictionary")
def test_a_file_is_scored_under_its_parser(tmp_path: Path) -> None:
    file = read_tuples(_write(tmp_path, {"parser": "mine 2", "images": [IMAGE]}))
    assert file.ids == [7]
    scores = file.score()
    assert scores.parser == "mine 2"
    assert scores.corpus == pytest.approx(2 * 0.5 * 1 / 1.5)
    write_tuples(tmp_path / "again.json", file)
    assert read_tuples(tmp_path / "again.json") == file


def test_a_bare_list_has_an_unknown_parser(tmp_path: Path) -> None:
    assert read_tuples(_write(tmp_path, [IMAGE])).parser == "unknown"


def test_a_file_in_gzip_is_the_same(tmp_path: Path) -> None:
    plain = _write(tmp_path, [IMAGE])
    packed = tmp_path / "tuples.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_tuples(packed) == read_tuples(plain)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"parser": "x"}, 'tuples.json: no list of images; write {"images"'),
        ([{"image_id": 1, "test": []}], "image 0 .*needs the keys image_id, test, refs"),
        ([IMAGE, {**IMAGE, "refs": 3}], 'image 1 .*"refs" has to be a list'),
        ([{**IMAGE, "test": "dog"}], "tuples have to be a list"),
        ([{**IMAGE, "test": [["a", "b", "c", "d"]]}], r"\['a', 'b', 'c', 'd'\] is no tuple of 1"),
        ([{**IMAGE, "refs": [[["dog", 3]]]}], r"\['dog', 3\] is no tuple of 1 to 3 phrases"),
        ([{**IMAGE, "test": [[]]}], r"\[\] is no tuple"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_tuples(_write(tmp_path, content))
