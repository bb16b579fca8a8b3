"""Where concepts come from: read once, compared in one place."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from miacap.concepts import ConceptSource
from miacap.concepts.description import Network, check_fits, check_same, what_to_know
from miacap.errors import RunError

NETWORK = Network("pooled", 6, 0, 0.0)
TRAINED = ConceptSource(("dog", "cat"), "extractor", "a" * 64, network=NETWORK, where="run")
LISTED = ConceptSource(("dog", "cat"), "lists", "b" * 64, "ranks", "mine.json", where="folder")


@pytest.mark.parametrize("source", [TRAINED, LISTED])
def test_what_was_saved_is_read(tmp_path: Path, source: ConceptSource) -> None:
    source.save(tmp_path)
    read = ConceptSource.of(tmp_path)
    assert read == source and read is not None and read.where == str(tmp_path)


def test_a_folder_without_a_description_has_no_concepts(tmp_path: Path) -> None:
    assert ConceptSource.of(tmp_path) is None


def test_the_format_on_disk_is_the_released_one(tmp_path: Path) -> None:
    TRAINED.save(tmp_path)
    written = json.loads((tmp_path / "concepts.json").read_text())
    assert len(written.pop("sha256")) == 64
    assert written == {
        "format": 1, "kind": "pooled", "width": 6, "hidden": 0, "dropout": 0.0,
        "weights_sha256": "a" * 64, "words": ["dog", "cat"],
    }  # fmt: skip
    LISTED.save(tmp_path)
    written = json.loads((tmp_path / "concepts.json").read_text())
    assert len(written.pop("sha256")) == 64
    assert written == {
        "format": 1, "kind": "lists", "scores": "ranks", "file": "mine.json",
        "file_sha256": "b" * 64, "words": ["dog", "cat"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": True}, "width is absent or of the wrong type"),
        ({"weights_sha256": None}, "weights_sha256 is absent or of the wrong type"),
        ({"kind": "guess"}, "an extractor of kind 'guess' is unknown"),
        ({"kind": None}, "kind is absent or of the wrong type"),
        ({"format": True}, "not the description of concepts"),
        ({"format": 2}, "format 2, this miacap reads 1"),
    ],
)
def test_a_damaged_description_of_an_extractor_is_named(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    TRAINED.save(tmp_path)
    file = tmp_path / "concepts.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(RunError, match=rf"concepts\.json: {message}"):
        ConceptSource.of(tmp_path)


@pytest.mark.parametrize("source", [TRAINED, LISTED])
def test_a_changed_letter_is_found_and_older_files_have_no_checksum(
    tmp_path: Path, source: ConceptSource
) -> None:
    source.save(tmp_path)
    file = tmp_path / "concepts.json"
    file.write_text(file.read_text().replace('"cat"', '"car"'))
    with pytest.raises(RunError, match=r"concepts\.json: damaged \(its checksum differs\); copy"):
        ConceptSource.of(tmp_path)
    values = json.loads(file.read_text())
    del values["sha256"]
    file.write_text(json.dumps(values))
    assert ConceptSource.of(tmp_path) == replace(source, words=("dog", "car"))


def test_differences_are_said_in_words() -> None:
    assert TRAINED.differences(replace(TRAINED, where="elsewhere")) == ()
    other = replace(TRAINED, words=("dog",), checksum="c" * 64)
    assert TRAINED.differences(other) == (
        "their concept words (2 and 1)",
        "their extractors (SHA-256 aaaaaaaaaaaa and cccccccccccc)",
    )
    assert LISTED.differences(replace(LISTED, checksum="c" * 64)) == (
        "their files (SHA-256 bbbbbbbbbbbb and cccccccccccc)",
    )
    assert TRAINED.differences(LISTED) == ("what found them (an extractor, and a file of lists)",)
    assert LISTED.differences(TRAINED) == ("what found them (a file of lists, and an extractor)",)
    with pytest.raises(RunError, match=r"^run: trained with other concepts than those in folder: "):
        check_same(TRAINED, LISTED)
    check_same(TRAINED, TRAINED)


def test_lists_of_another_file_fit_and_another_extractor_does_not() -> None:
    other_file = replace(LISTED, words=("boat",), checksum="c" * 64)
    other_extractor = replace(TRAINED, checksum="c" * 64)
    assert LISTED.fits(other_file) and TRAINED.fits(replace(TRAINED, where="x"))
    assert not TRAINED.fits(other_extractor)
    assert not TRAINED.fits(LISTED) and not LISTED.fits(TRAINED)
    check_fits(LISTED, other_file, reads_scores=False)
    with pytest.raises(RunError, match="run: trained with another concept extractor than that of"):
        check_fits(TRAINED, replace(other_extractor, where="x"), reads_scores=False)
    with pytest.raises(RunError, match="concepts of an extractor, but those in folder come from"):
        check_fits(TRAINED, LISTED, reads_scores=False)
    with pytest.raises(RunError, match="reads probabilities of its own concepts, in their order"):
        check_fits(LISTED, other_file, reads_scores=True)
    check_fits(TRAINED, TRAINED, reads_scores=True)


def test_what_a_reader_of_scores_has_to_know() -> None:
    assert "learned from the captions" in (what_to_know(TRAINED, "train") or "")
    assert what_to_know(TRAINED, "test") is None
    assert what_to_know(LISTED, "train") is None
    assert what_to_know(TRAINED, "train", TRAINED) is None
    assert what_to_know(LISTED, "test", replace(LISTED, where="x")) is None
    other = replace(LISTED, checksum="c" * 64, file="later.json", where="x")
    assert what_to_know(LISTED, "test", other) == (
        "folder was trained on the lists of mine.json; those in x are of another file, later.json"
    )
