"""A run is gone on with as it was begun, read as it was written, and captions at rest."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from miacap import runs
from miacap.concepts import ConceptFolder, ConceptSource
from miacap.data import FeatureStore, Manifest, Preprocessing
from miacap.errors import RunError
from miacap.runs import BackboneTuning, CrossEntropy, RunSettings, Start, VectorFile, create
from miacap.runs.folder import build
from miacap.text import Vocabulary
from miacap.weights import write_weights

SETTINGS = RunSettings("att-fcn", "combined", {"width": 8, "heads": 2, "dropout": 0.5},
                       region_width=6)  # fmt: skip
WORDS = Vocabulary(["a", "cat", "dog"])
PREPARED = Preprocessing("made-up", "0" * 64)
LISTS = ConceptSource(("cat", "dog"), "lists", "1" * 64, "ranks", "lists.json")

CHANGED: dict[str, Any] = {
    "captioner": "nic",
    "source": "plain",
    "sizes": {"width": 10, "heads": 2},
    "region_width": 7,
    "concepts": 4,
    "minimum_count": 2,
    "maximum_words": 9,
    "beam": 2,
    "minimum_words": 2,
    "length_penalty": 0.5,
    "block_repeats": 3,
    "pictures_per_batch": 3,
    "objective": CrossEntropy(label_smoothing=0.1),
    "start": Start("before", "2" * 64),
    "tuning": BackboneTuning(),
    "word_vectors": VectorFile("glove.txt", "3" * 64, 2),
}


def lay(folder: Path, settings: RunSettings = SETTINGS, words: Vocabulary = WORDS,
        made: Preprocessing = PREPARED) -> runs.Run:  # fmt: skip
    about = Manifest("concepts", PREPARED, 2, LISTS.words, LISTS.checksum, "a test")
    nothing = FeatureStore(folder, about, [], verify=False)
    concepts = ConceptFolder(folder, nothing, LISTS)
    return create(folder, settings, words, made, (), concepts)


def test_every_setting_but_the_trainings_makes_another_run(tmp_path: Path) -> None:
    """The training's own are compared by the training loop, which knows what may change."""
    names = {field.name for field in fields(RunSettings)} - {"training", "format"}
    assert set(CHANGED) == names
    lay(tmp_path)
    before = (tmp_path / "settings.json").read_bytes()
    for name, value in CHANGED.items():
        with pytest.raises(RunError, match=rf"holds a run with {name}(\.\w+)? = "):
            lay(tmp_path, replace(SETTINGS, **{name: value}))
    assert (tmp_path / "settings.json").read_bytes() == before
    longer = replace(SETTINGS, training=replace(SETTINGS.training, epochs=99))
    run = lay(tmp_path, longer)
    assert run.settings == longer and (tmp_path / "settings.json").read_bytes() == before
    runs.keep_settings(run)  # the training has accepted them
    assert runs.load(tmp_path).settings == longer


def test_other_words_or_features_make_another_run(tmp_path: Path) -> None:
    lay(tmp_path)
    for words in (["a", "dog", "cat"], ["a", "cat"]):
        with pytest.raises(RunError, match="made from other training captions; choose another"):
            lay(tmp_path, words=Vocabulary(words))
    with pytest.raises(RunError, match="size 224 in the run and 320 in the features"):
        lay(tmp_path, made=replace(PREPARED, size=320))


@pytest.mark.parametrize(
    ("older", "objective"),
    [
        (
            {"label_smoothing": 0.1, "attention_penalty": 0.5},
            CrossEntropy(label_smoothing=0.1, regulariser=0.5),
        ),
        ({"attention_penalty": 0.25}, CrossEntropy(regulariser=0.25)),
        ({}, CrossEntropy()),
    ],
)
def test_settings_of_the_first_format_keep_their_weights(
    tmp_path: Path, older: dict[str, float], objective: CrossEntropy
) -> None:
    """What stood beside the other settings is the objective's, and the run goes on."""
    lay(tmp_path)
    file = tmp_path / "settings.json"
    tree = json.loads(file.read_text())
    del tree["objective"]
    file.write_text(json.dumps({**tree, "format": 1, **older}))
    read = runs.load(tmp_path)
    assert read.settings == replace(SETTINGS, objective=objective)
    assert lay(tmp_path, replace(SETTINGS, objective=objective)).settings == read.settings


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", None, True])
def test_a_format_that_never_was_is_refused(tmp_path: Path, number: object) -> None:
    lay(tmp_path)
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": number}))
    with pytest.raises(RunError, match=r"settings\.json: not the settings of a run"):
        runs.load(tmp_path)


def test_a_captioner_comes_at_rest_and_whole(tmp_path: Path) -> None:
    run = lay(tmp_path)
    tensors = dict(build(run.settings, len(WORDS)).state_dict())
    write_weights(tmp_path / "weights.safetensors", tensors)
    captioner: nn.Module = run.captioner()
    assert any(isinstance(part, nn.Dropout) for part in captioner.modules())
    assert not any(part.training for part in captioner.modules())
    for name in list(tensors)[:: max(1, len(tensors) // 3)]:
        less = {key: value for key, value in tensors.items() if key != name}
        write_weights(tmp_path / "weights.safetensors", less)
        with pytest.raises(RunError, match="these weights do not fit the run's settings or voca"):
            run.captioner()
    write_weights(tmp_path / "weights.safetensors", {**tensors, "more": tensors[name]})
    with pytest.raises(RunError, match="these weights do not fit the run's settings or voca"):
        run.captioner()
