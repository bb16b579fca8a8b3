"""A folder of concepts goes on only with the settings and data that it was begun with."""

import json
import sys
from dataclasses import dataclass, field, make_dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from miacap.concepts import ConceptVocabulary
from miacap.concepts.claiming import claim, spellings, unfinished
from miacap.concepts.tuning.data import fingerprints
from miacap.data import Dataset, Entry, Preprocessing
from miacap.errors import RunError
from miacap.visual.huggingface.pairs import Embedder


@dataclass(frozen=True)
class Training:
    betas: tuple[float, ...] = (0.9, 0.99)


@dataclass(frozen=True)
class Settings:
    hidden: int = 4
    words_file: str | None = None
    training: Training = Training()


SETTINGS = Settings()


OLDER = {
    "kind": "grid", "backbone": "efficientnet-lite0", "weights_sha256": "ab" * 32,
    "size": 224, "resize": "squash", "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5], "colour": "RGB", "alpha": "white", "exif": "apply", "grid": None,
}  # fmt: skip
"""A record as it was written before there was a precision."""


def test_folders_from_before_there_was_a_precision_and_from_after_go_on() -> None:
    """Tuning and zero-shot concepts; sums of the text as those versions wrote it."""
    photos: Any = None
    dataset = Dataset("d", (Entry("1.jpg", ("a dog",), "train"),), photos)
    record = Preprocessing("efficientnet-lite0", "ab" * 32)
    module = sys.modules["miacap.concepts.zero_shot"]  # its function hides it in the package
    embedder = Embedder.__new__(Embedder)
    embedder.record = record
    tuning, zero_shot = [], []
    for one in (OLDER, {**OLDER, "precision": "float32"}):
        text = json.dumps([[["1.jpg", "train", ["a dog"]]], one], sort_keys=True)
        tuning.append(sha256(text.encode()).hexdigest())
        text = json.dumps([["dog"], one]) + json.dumps(["1.jpg", "train", ["a dog"]])
        zero_shot.append(sha256(text.encode()).hexdigest())
    assert fingerprints(dataset, record) == tuning
    words = ConceptVocabulary(("dog",))
    assert module._fingerprints(dataset, words, embedder) == zero_shot
    other = fingerprints(dataset, replace(record, precision="bfloat16"))
    assert len(other) == 1 and other[0] not in tuning


def test_what_came_later_is_left_out_of_a_record_and_of_what_lies_in_it() -> None:
    whole = {"boxes": 3, "pooling": {**OLDER, "precision": "float32"}}
    assert spellings(whole) == [{"boxes": 3, "pooling": OLDER}, whole]
    assert spellings({"boxes": 3, "pooling": OLDER}) == [{"boxes": 3, "pooling": OLDER}]
    now = {**OLDER, "precision": "float32", "flips": False}
    assert spellings(now) == [OLDER, {**OLDER, "precision": "float32"}]
    assert spellings({**now, "flips": True})[0] == {**OLDER, "flips": True}
    half = {**OLDER, "precision": "bfloat16"}
    assert spellings(half) == [half]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    claim(tmp_path / "c", "train", SETTINGS, "data")
    return tmp_path / "c"


def test_the_same_goes_on(begun: Path) -> None:
    before = (begun / "settings.json").read_bytes()
    claim(begun, "train", Settings(training=Training((0.9, 0.99))), "data")
    claim(begun, "train", SETTINGS, "as it is reckoned now", "data")
    assert (begun / "settings.json").read_bytes() == before
    assert json.loads(before) == {
        "format": 1, "data_sha256": "data",
        "settings": {"hidden": 4, "words_file": None, "training": {"betas": [0.9, 0.99]}},
    }  # fmt: skip
    assert unfinished(begun) == "miacap concepts train"
    (begun / "report.json").write_text("{}")
    assert unfinished(begun) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(hidden=8), "begun with hidden=4, now 8; choose"),
        (Settings(words_file="w.txt"), "begun with words_file=None, now 'w.txt'; choose"),
        (Settings(training=Training((0.8, 0.99))),
         r"begun with training\.betas=\[0\.9, 0\.99\], now \[0\.8, 0\.99\]; choose"),
    ],
)  # fmt: skip
def test_a_setting_that_differs_is_named(begun: Path, settings: Settings, message: str) -> None:
    with pytest.raises(RunError, match=message):
        claim(begun, "train", settings, "data")


@dataclass(frozen=True)
class Longer(Training):
    clip: float = 0.0


def test_a_setting_that_came_later_is_as_it_is_where_nobody_asks_for_it(begun: Path) -> None:
    """As all training settings of concepts are that began before there was a clip_value."""
    before = (begun / "settings.json").read_bytes()
    later = make_dataclass(
        "Later", [("training", Longer, field(default=Longer()))], bases=(Settings,), frozen=True
    )
    claim(begun, "train", later(), "data")
    assert (begun / "settings.json").read_bytes() == before
    with pytest.raises(RunError, match=r"begun with training\.clip=0\.0, now 5\.0; choose"):
        claim(begun, "train", later(training=Longer(clip=5.0)), "data")


def test_a_setting_that_is_no_more_keeps_nobody_from_a_finished_folder(begun: Path) -> None:
    fewer = make_dataclass("Fewer", [("hidden", int, 4)], frozen=True)
    message = (
        "begun with words_file=None, which this version of miacap does not have; finish it with "
        "the version that began it, or choose another folder"
    )
    with pytest.raises(RunError, match=message):
        claim(begun, "train", fewer(), "data")
    (begun / "report.json").write_text("{}")
    claim(begun, "train", fewer(), "data")
    with pytest.raises(RunError, match="begun with hidden=4, now 5; choose"):
        claim(begun, "train", fewer(hidden=5), "data")


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
