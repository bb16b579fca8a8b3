"""A folder of concepts goes on only with the settings and data that it was begun with."""

import json
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from miacap.concepts import ConceptVocabulary
from miacap.concepts.claiming import claim, for_checksum, unfinished
from miacap.concepts.tuning.data import fingerprint
from miacap.data import Dataset, Entry, Preprocessing
from miacap.errors import RunError
from miacap.visual.huggingface.pairs import Embedder

SETTINGS: dict[str, Any] = {"hidden": 4, "words_file": None, "training": {"betas": [0.9, 0.99]}}


def test_folders_from_before_there_was_a_precision_go_on() -> None:
    """Tuning and zero-shot concepts; sums of the text as that version wrote it."""
    photos: Any = None
    dataset = Dataset("d", (Entry("1.jpg", ("a dog",), "train"),), photos)
    record = Preprocessing("efficientnet-lite0", "ab" * 32)
    older = {
        "kind": "grid", "backbone": "efficientnet-lite0", "weights_sha256": "ab" * 32,
        "size": 224, "resize": "squash", "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5], "colour": "RGB", "alpha": "white", "exif": "apply", "grid": None,
    }  # fmt: skip
    text = json.dumps([[["1.jpg", "train", ["a dog"]]], older], sort_keys=True)
    assert fingerprint(dataset, record) == sha256(text.encode()).hexdigest()
    words = ConceptVocabulary(("dog",))
    text = json.dumps([["dog"], older]) + json.dumps(["1.jpg", "train", ["a dog"]])
    module = sys.modules["miacap.concepts.zero_shot"]  # its function hides it in the package
    embedder = Embedder.__new__(Embedder)
    embedder.record = record
    found = module._fingerprint(dataset, words, embedder)
    assert found == sha256(text.encode()).hexdigest()
    other = replace(record, precision="bfloat16")
    assert fingerprint(dataset, other) != fingerprint(dataset, record)
    assert for_checksum({"boxes": 3, "pooling": {**older, "precision": "float32"}}) == {
        "boxes": 3, "pooling": older,
    }  # fmt: skip


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    claim(tmp_path / "c", "train", SETTINGS, "data")
    return tmp_path / "c"


def test_the_same_goes_on(begun: Path) -> None:
    before = (begun / "settings.json").read_bytes()
    claim(begun, "train", {**SETTINGS, "training": {"betas": [0.9, 0.99]}}, "data")
    assert (begun / "settings.json").read_bytes() == before
    assert unfinished(begun) == "miacap concepts train"
    (begun / "report.json").write_text("{}")
    assert unfinished(begun) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**SETTINGS, "hidden": 8}, "begun with hidden=4, now 8; choose"),
        ({**SETTINGS, "training": {"betas": [0.8, 0.99]}},
         r"begun with training\.betas=\[0\.9, 0\.99\], now \[0\.8, 0\.99\]; choose"),
        ({**SETTINGS, "later": 1}, "begun with later=absent, now 1; choose"),
        ({**SETTINGS, "later": None}, "begun with later=absent, now None; choose"),
        ({"hidden": 4, "training": {"betas": [0.9, 0.99]}},
         "begun with words_file=None, now absent; choose"),
        ({**SETTINGS, "training": {}}, r"begun with training\.betas=\[0\.9, 0\.99\], now absent"),
    ],
)  # fmt: skip
def test_a_setting_that_differs_or_that_one_side_lacks_is_named(
    begun: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        claim(begun, "train", settings, "data")


def test_other_data_another_command_and_other_files_are_refused(begun: Path) -> None:
    with pytest.raises(RunError, match="begun with other captions, splits or features"):
        claim(begun, "train", SETTINGS, "other")
    with pytest.raises(RunError, match="holds what `miacap concepts train` made; choose another"):
        claim(begun, "read", SETTINGS, "data")
    claim(begun.parent / "r", "read", SETTINGS, "data")
    assert unfinished(begun.parent / "r") == "miacap concepts read"
    with pytest.raises(RunError, match="begun with other lists, captions or splits"):
        claim(begun.parent / "r", "read", SETTINGS, "other")
    (begun / "settings.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(RunError, match="not written by this version of miacap"):
        claim(begun, "train", SETTINGS, "data")
    (begun.parent / "mine").mkdir()
    (begun.parent / "mine" / "photo.jpg").touch()
    with pytest.raises(RunError, match=r"mine: holds 'photo.jpg' and is no concept folder of"):
        claim(begun.parent / "mine", "train", SETTINGS, "data")
    assert [p.name for p in (begun.parent / "mine").iterdir()] == ["photo.jpg"]


def test_a_folder_is_claimed_before_its_settings_are_written(tmp_path: Path) -> None:
    def write(*_: object) -> None:
        raise OSError("killed")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="killed"):
        patch.setattr("miacap.concepts.claiming.write_json", write)
        claim(tmp_path / "c", "train", SETTINGS, "data")
    assert [p.name for p in (tmp_path / "c").iterdir()] == [".miacap"]
    claim(tmp_path / "c", "train", SETTINGS, "data")
    (tmp_path / "c" / ".miacap").unlink()  # as an earlier version left it
    claim(tmp_path / "c", "train", SETTINGS, "data")
