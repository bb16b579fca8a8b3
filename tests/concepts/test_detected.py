"""Class names of a detector as concepts: which words, which scores, interrupted and begun anew."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from miacap import concepts
from miacap.cli.application import app
from miacap.concepts import ConceptFolder
from miacap.concepts.detected import class_words
from miacap.concepts.settings import DetectSettings
from miacap.data import Dataset, FeatureStore, read
from miacap.errors import DataError, RunError
from miacap.text import Vocabulary
from miacap.visual import Places

CLASSES = ["dog", "traffic light", "hot dog", "zebra", "light"]
SCORES = [[0.5, 0.2, 0.8, 0.9, 0.1], [0.4, 0.6, 0.0, 0.1, 0.1], [0.9, 0.0, 0.0, 0.0, 0.0]]
BOXES = [[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 0.5, 1.0]]
"""The last box has no area, so its dog is not in the photo."""
SHADES = (255, 51, 0)
"""Of the photos; scores are multiplied with them / 255."""


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    lines = []
    (tmp_path / "data").mkdir()
    for number, shade in enumerate(SHADES):
        pixels = np.full((40, 50, 3), shade, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{number}.png")
        text = "a dog under a traffic light"
        split = "train" if number else "dev"
        lines.append(json.dumps({"file_name": f"{number}.png", "text": text, "split": split}))
    (tmp_path / "data" / "metadata.jsonl").write_text("\n".join(lines))
    return read(tmp_path / "data")


@pytest.fixture
def lamp(onnx_files: SimpleNamespace, tmp_path: Path) -> Path:
    return onnx_files.write(tmp_path, BOXES, SCORES, CLASSES)


ONCE = DetectSettings(minimum_count=1)


def test_a_word_has_the_best_score_of_its_classes(
    data: Dataset, lamp: Path, tmp_path: Path
) -> None:
    result = concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    folder = ConceptFolder.open(tmp_path / "c")
    assert folder.source.words == ("dog", "traffic", "light") and folder.source.file == "lamp.onnx"
    assert folder.source.is_lists and folder.source.scores == "probabilities"
    for name, share in (("0.png", 1.0), ("1.png", 0.2)):
        found = folder.store.rows(name)
        # dog: the best of dog (.5, for .9 has no area) and hot dog (.8); light: .6, and .1 alone
        torch.testing.assert_close(found, torch.tensor([0.8, 0.6, 0.6]) * share)
        assert found[1] > found[2]
    assert list(folder.store.set_aside) == ["2.png"]  # black: nothing is seen in it
    assert result.report["splits"]["dev"]["scores"]["P@10"] == 1.0
    assert result.report["scores"] == "probabilities" and result.report["pictures"] == 2


def test_what_was_looked_at_is_not_looked_at_again(
    data: Dataset, lamp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.visual.detectors import ClassNames

    seen: list[Any] = []
    look = ClassNames.scores

    def stopping(self: ClassNames, picture: Any) -> torch.Tensor:
        seen.append(picture)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return look(self, picture)

    monkeypatch.setattr(ClassNames, "scores", stopping)
    with pytest.raises(KeyboardInterrupt):
        concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    with pytest.raises(RunError, match="start again what made it: miacap concepts detect"):
        ConceptFolder.open(tmp_path / "c")
    concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    assert len(seen) == 4  # one was kept, the second stopped, two were left
    assert len(FeatureStore.open(tmp_path / "c" / "classes")) == 3


class Hiding:
    """The photos of a dataset; some cannot be read just now, some are absent."""

    def __init__(self, photos: Any, unread: str, absent: str) -> None:
        self.photos, self.unread, self.absent = photos, unread, absent

    def read(self, id: str) -> bytes:
        if id == self.unread:
            raise DataError(f"{id}: cannot be read (the disk is asleep).")
        return bytes(self.photos.read(id))

    def __contains__(self, id: object) -> bool:
        return id != self.absent and id in self.photos


def test_what_could_not_be_looked_at_comes_later(data: Dataset, lamp: Path, tmp_path: Path) -> None:
    hiding = replace(data, photos=Hiding(data.photos, "1.png", "2.png"))
    first = concepts.detect(hiding, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    scores = FeatureStore.open(tmp_path / "c" / "scores")
    assert scores.names == ("0.png",) and not scores.set_aside
    told = first.set_aside["pictures that were not looked at"]
    assert [(one.id, one.reason) for one in told] == [
        ("2.png", "the photo is not there"), ("1.png", "cannot be read (the disk is asleep)."),
    ]  # fmt: skip
    assert first.report["pictures"] == 1 and not first.set_aside["pictures without concepts"]
    again = concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    folder = ConceptFolder.open(tmp_path / "c")
    assert again.report["pictures"] == len(folder.store) == 2
    assert set(folder.store.names) == {"0.png", "1.png"}
    assert "no class was found in it" in folder.store.set_aside["2.png"]
    concepts.detect(data, lamp, tmp_path / "whole", ONCE, device="cpu", quiet=True)
    for name in folder.store.names:
        whole = ConceptFolder.open(tmp_path / "whole").store.rows(name)
        assert torch.equal(folder.store.rows(name), whole)


def test_a_photo_that_was_damaged_is_looked_at_again_when_it_changed(
    data: Dataset, lamp: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "data" / "1.png"
    whole = photo.read_bytes()
    photo.write_bytes(whole[:60])
    concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    store = ConceptFolder.open(tmp_path / "c").store
    assert "1.png" in store.set_aside and "has no list" not in store.set_aside["1.png"]
    files = {p.name: p.read_bytes() for p in (tmp_path / "c" / "classes").iterdir()}
    concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    again = {p.name: p.read_bytes() for p in (tmp_path / "c" / "classes").iterdir()}
    assert again == files  # as long as it is as it was, nothing happens
    photo.write_bytes(whole)
    result = concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    store = ConceptFolder.open(tmp_path / "c").store
    assert result.report["pictures"] == len(store) == 2 and "1.png" in store
    assert "1.png" not in store.set_aside
    photo.write_bytes((tmp_path / "data" / "2.png").read_bytes())
    with pytest.raises(RunError) as caught:
        concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    assert str(caught.value) == (
        f"{tmp_path}/c/classes: a photo is not the one that these features were made of, the "
        "first: '1.png'. Choose another folder for other photos."
    )


def test_a_photo_that_was_damaged_and_shows_nothing_says_so(
    data: Dataset, lamp: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "data" / "2.png"
    black = photo.read_bytes()
    photo.write_bytes(black[:60])
    concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    before = ConceptFolder.open(tmp_path / "c").store.set_aside["2.png"]
    photo.write_bytes(black)
    concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    after = ConceptFolder.open(tmp_path / "c").store.set_aside["2.png"]
    assert "no class was found in it" in after and "no class" not in before


def test_another_detector_in_the_same_folder_is_refused(
    data: Dataset, lamp: Path, tmp_path: Path, onnx_files: SimpleNamespace
) -> None:
    concepts.detect(data, lamp, tmp_path / "c", ONCE, device="cpu", quiet=True)
    other = onnx_files.write(tmp_path, BOXES, (np.float32(SCORES) / 2).tolist(), CLASSES, "other")
    with pytest.raises(RunError, match="begun with other detectors, words of classes"):
        concepts.detect(data, other, tmp_path / "c", ONCE, device="cpu", quiet=True)


def words_of(tmp_path: Path, value: Any) -> str:
    (tmp_path / "words.json").write_text(json.dumps(value))
    return str(tmp_path / "words.json")


def test_a_file_says_what_classes_are_called(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["dog", "man", "woman", "traffic", "light", "hot"])
    names = ["Dog", "person", "traffic light", "hot dog"]
    assert class_words(names, vocabulary) == {
        "Dog": ["dog"], "person": [], "traffic light": ["traffic", "light"],
        "hot dog": ["hot", "dog"],
    }  # fmt: skip
    file = words_of(tmp_path, {"hot dog": [], "person": ["Man", "woman", "queen", "man"]})
    assert class_words(names, vocabulary, file) == {
        "Dog": ["dog"], "person": ["man", "woman"], "traffic light": ["traffic", "light"],
        "hot dog": [],
    }  # fmt: skip


def test_classes_that_are_never_found_stand_for_no_word(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["dog", "background", "n", "a", "__background__", "n/a"])
    names = ["__background__", "dog", "N/A", "n/a", "__unused_1__", "a background"]
    found = class_words(names, vocabulary)
    assert {name: words for name, words in found.items() if words} == {
        "dog": ["dog"], "a background": ["a", "background"],
    }  # fmt: skip
    with pytest.raises(DataError, match="the detector has no class 'N/A'"):
        class_words(names, vocabulary, words_of(tmp_path, {"N/A": ["dog"]}))
    with pytest.raises(DataError, match="none of its 2 names holds a caption word"):
        class_words(names, Vocabulary(["cat"]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["dog"], r"words\.json: expected a JSON object"),
        ({"dgo": []}, r"words\.json: the detector has no class 'dgo'\. Did you mean 'dog'\?"),
        ({"dog": "puppy"}, "the words of 'dog' are a list of texts"),
        ({"dog": ["x"], "cat": ["y"]}, "none of its 2 names holds a caption word"),
    ],
)
def test_a_wrong_file_of_words_is_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_words(["dog", "cat"], Vocabulary(["hat"]), words_of(tmp_path, value))


def test_places_of_weights_reach_torchvisions_detector(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.visual import box_head

    asked: list[Any] = []

    def build(name: str, device: str, places: Places) -> None:
        asked.extend((name, device, places))
        raise RunError("built")

    monkeypatch.setattr(box_head, "FasterRcnn", build)
    name = "torchvision:fasterrcnn_x"
    done = CliRunner().invoke(
        app, ["concepts", "detect", str(tmp_path / "data"), "--detector", name, "--device", "cpu",
              "-o", str(tmp_path / "c"), "--weights", str(tmp_path), "--allow-download"],
    )  # fmt: skip
    assert isinstance(done.exception, RunError) and str(done.exception) == "built"
    assert asked[:2] == [name, "cpu"]
    assert (asked[2].given, asked[2].download) == ((tmp_path,), True)
