"""What `reproduce` asks of training and evaluation; nothing is trained here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from miacap import runs
from miacap.captioning import Evaluation
from miacap.captioning.words import build_vocabulary
from miacap.errors import RunError
from miacap.experiments import recipe, reproduce
from miacap.experiments import reproducing as module
from miacap.experiments.baselines import BASELINES
from miacap.experiments.parameters import parameters
from miacap.experiments.partners import partners
from miacap.experiments.recipes import names
from miacap.files import read_json
from miacap.runs import RunSettings
from miacap.training import FitResult

from .conftest import WIDTH, MadeUp

TINY = ("minimum_count=1", "sizes.width=96", "sizes.heads=2", "sizes.inner=160")


@dataclass
class Asked:
    """What training and evaluation were asked for."""

    trained: list[dict[str, Any]] = field(default_factory=list)
    read: list[dict[str, Any]] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)
    """Whether the folder said at each training what it is."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()

    def train(
        dataset: Any, regions: Any, folder: Path, settings: RunSettings, **more: Any
    ) -> FitResult:
        found.told.append((folder / "recipe.json").is_file())
        found.trained.append({"settings": settings, **more})
        vocabulary = build_vocabulary(dataset.split("train"), settings.minimum_count)
        made = regions.manifest.preprocessing
        runs.create(folder, settings, vocabulary, made, dataset.sources, more["concepts"])
        finished = more["stop_after"] is None
        return FitResult(finished, "epochs", 1.0, 1, 1, 2, 1.0, (), folder)

    def evaluate(run: runs.Run, dataset: Any, split: str, regions: Any, **more: Any) -> Evaluation:
        found.read.append({"run": run, "split": split, **more})
        value = len(found.read)
        scores: Any = dict.fromkeys(module.METRICS, value)
        return Evaluation((), 1.0, scores)

    monkeypatch.setattr(module.captioning, "train", train)
    monkeypatch.setattr(module.captioning, "evaluate", evaluate)
    return found


def go(name: str, world: MadeUp, folder: Path, *sets: str, **more: Any) -> Any:
    arguments: dict[str, Any] = {"concepts": world.concepts, "sets": (*TINY, *sets), "quiet": True}
    found = recipe(name, small=more.pop("small", True))
    return reproduce(found, world.dataset, world.regions, folder, **(arguments | more))


def test_seed_and_changed_settings_reach_the_training(
    made_up: MadeUp, tmp_path: Path, asked: Asked
) -> None:
    done = go("nic-combined", made_up, tmp_path / "r", "training.epochs=7", "beam=4", seed=5)
    first, second = asked.trained
    assert asked.told == [False, True]  # before its first step the folder says what it is
    assert (first["stop_after"], second["stop_after"]) == (0, None)
    settings = second["settings"]
    assert settings == first["settings"] and settings.region_width == WIDTH
    assert (settings.training.seed, settings.training.epochs, settings.beam) == (5, 7, 4)
    assert settings.sizes["width"] == 96 and settings.sizes["iterations"] == 2
    assert second["concepts"] is made_up.concepts and second["concepts_of"] is None
    words = len(build_vocabulary(made_up.dataset.split("train"), 1))
    assert done.parameters == parameters(settings, words)
    told = read_json(tmp_path / "r" / "recipe.json")
    assert told["recipe"] == "nic-combined" and told["parameters"] == done.parameters
    assert told["stands for"] == ["Table 1, NIC, w/ MIA"] and told["concepts"] == "own"


def test_the_vocabulary_that_is_counted_is_that_of_train(
    made_up: MadeUp, tmp_path: Path, asked: Asked
) -> None:
    last = replace(made_up.dataset.pictures[-1], captions=("an owl and five bears",))
    more = replace(made_up.dataset, pictures=(*made_up.dataset.pictures[:-1], last))
    one = go("nic-plain", made_up, tmp_path / "one")
    other = go("nic-plain", replace(made_up, dataset=more), tmp_path / "other")
    assert one.parameters == other.parameters


def test_whose_concepts_are_trained_on_is_the_recipes(
    made_up: MadeUp, tmp_path: Path, asked: Asked
) -> None:
    """Own, another's (drawn by the seed), or none, whatever was given."""
    of_seed = [partners(made_up.dataset, made_up.concepts.store.names, seed) for seed in (0, 3)]
    assert of_seed[0] != of_seed[1]
    for name, seed, theirs in (("nic-others-concepts", 0, of_seed[0]),
                               ("nic-others-concepts", 3, of_seed[1]),
                               ("nic-swapped-concepts", 3, None)):  # fmt: skip
        go(name, made_up, tmp_path / f"{name}{seed}", seed=seed)
        assert asked.trained[-1]["concepts_of"] == theirs
        assert asked.trained[-1]["concepts"] is made_up.concepts
    go("nic-plain", made_up, tmp_path / "plain")
    assert asked.trained[-1]["concepts"] is None
    told = {folder.name: read_json(folder / "recipe.json")["concepts"]
            for folder in tmp_path.iterdir()}  # fmt: skip
    assert told == {"nic-others-concepts0": "another's", "nic-others-concepts3": "another's",
                    "nic-swapped-concepts3": "own", "plain": "none"}  # fmt: skip
    # Every recipe that reads concepts says whose.
    for name in names():
        found = recipe(name, small=True)
        reads = found.settings.reads
        others = name.endswith("-others-concepts")
        wanted = "none" if reads == {"regions"} else "another's" if others else "own"
        assert found.concepts == wanted, name


def test_probes_are_read_as_they_say(made_up: MadeUp, tmp_path: Path, asked: Asked) -> None:
    done = go("spatial-attention-drawn", made_up, tmp_path / "drawn")
    assert [one["run"].settings.sizes["iterations"] for one in asked.read] == [1, 2, 3, 4, 5]
    assert {(one["split"], one["concepts_of"], one["concepts"]) for one in asked.read} == {
        ("dev", None, made_up.concepts)
    }
    readings = {label: reading["CIDEr-D"] for label, reading in done.readings.items()}
    assert list(readings.values()) == [1, 2, 3, 4, 5]
    told = read_json(tmp_path / "drawn" / "recipe.json")["readings"]
    assert {label: reading["CIDEr-D"] for label, reading in told.items()} == readings
    assert runs.load(tmp_path / "drawn").settings.sizes["iterations"] == 2
    asked.read.clear()
    go("nic-swapped-concepts", made_up, tmp_path / "swapped", seed=4)
    own, swapped = (one["concepts_of"] for one in asked.read)
    dev = made_up.dataset.split("dev").ids
    of_seed = partners(made_up.dataset.split("dev"), made_up.concepts.store.names, 4)
    assert own is None and {name: swapped[name] for name in dev} == of_seed
    stopped = go("nic-swapped-concepts", made_up, tmp_path / "stopped", stop_after=1)
    assert stopped.readings == {} and len(asked.read) == 2


def test_as_large_as_the_other_is_with_the_same_changes(
    made_up: MadeUp, tmp_path: Path, asked: Asked
) -> None:
    """Both sides get the changed settings and the store's width before they are counted."""
    words = len(build_vocabulary(made_up.dataset.split("train"), 1))
    for inner in (160, 400):
        name = f"nic-same-parameters{inner}"
        done = go("nic-same-parameters", made_up, tmp_path / name, f"sizes.inner={inner}")
        combined = go("nic-combined", made_up, tmp_path / f"c{inner}", f"sizes.inner={inner}")
        assert abs(done.parameters / combined.parameters - 1) < 0.01
        larger = replace(recipe("nic-combined", small=True).settings, region_width=WIDTH,
                         sizes=asked.trained[-1]["settings"].sizes)  # fmt: skip
        assert combined.parameters == parameters(larger, words)
    found = recipe("nic-same-parameters", small=True)
    for width in (64, 640):  # the other one has the store's width as well
        fitted = found.fitted(500, width)
        larger = recipe("nic-combined", small=True).fitted(500, width)
        assert abs(parameters(fitted, 500) / parameters(larger, 500) - 1) < 0.01


def test_a_folder_belongs_to_one_size_of_a_recipe(
    made_up: MadeUp, tmp_path: Path, asked: Asked
) -> None:
    go("nic-plain", made_up, tmp_path / "r")
    with pytest.raises(RunError, match="'nic-plain' with small=True, not 'nic-plain' with small=F"):
        go("nic-plain", made_up, tmp_path / "r", small=False)


FULL: dict[str, Mapping[str, Any]] = {
    "nic": {
        "optimiser": "sgd", "momentum": 0.0, "learning_rate": 2.0, "schedule": "step",
        "step_epochs": 8, "step_factor": 0.5, "clip_norm": 5.0, "epochs": 30, "dropout": 0.3,
    },
    "spatial-attention": {
        "optimiser": "adam", "betas": (0.8, 0.999), "learning_rate": 5e-4, "patience": 6,
        "schedule": "exponential", "constant_epochs": 20, "step_epochs": 50, "step_factor": 0.5,
        "clip_norm": 0.0, "clip_value": 0.1, "epochs": 50, "scorer": 49, "dropout": 0.5,
        "maximum_words": 18,
    },
    "adaptive": {
        "optimiser": "adam", "betas": (0.8, 0.999), "learning_rate": 5e-4, "patience": 6,
        "schedule": "exponential", "constant_epochs": 20, "step_epochs": 50, "step_factor": 0.5,
        "clip_norm": 0.0, "clip_value": 0.1, "epochs": 50, "scorer": 49, "dropout": 0.5,
        "maximum_words": 18,
    },
    "up-down-rcnn": {
        "optimiser": "sgd", "momentum": 0.9, "learning_rate": 0.01, "weight_decay": 5e-4,
        "schedule": "linear", "clip_norm": 10.0, "epochs": 11, "scorer": 512, "dropout": 0.0,
        "forget_bias": 1.0, "beam": 5, "word_width": 1000,
    },
    "att-cnn-lstm": {
        "optimiser": "adam", "learning_rate": 5e-4, "schedule": "step", "step_epochs": 3,
        "step_factor": 0.8, "clip_norm": 5.0, "epochs": 30, "dropout": 0.5,
    },
    "att-fcn": {
        "optimiser": "rmsprop", "dropout": 0.5, "regulariser": 0.0,
    },
    "lstm-a3": {
        "optimiser": "sgd", "momentum": 0.9, "learning_rate": 0.01, "schedule": "constant",
        "epochs": 30, "dropout": 0.5, "word_width": 1024,
    },
    "concept-attention": {
        "optimiser": "adam", "betas": (0.8, 0.999), "schedule": "exponential",
        "constant_epochs": 20, "step_epochs": 50, "step_factor": 0.5, "epochs": 30,
        "label_smoothing": 0.1, "scorer": 49, "dropout": 0.5, "maximum_words": 19,
    },
    "transformer": {
        "optimiser": "adam", "betas": (0.9, 0.98), "learning_rate": 3e-4, "epochs": 15,
        "warmup_steps": 33_000, "step_epochs": 3, "step_factor": 0.5, "layers": 6,
        "layer_heads": 8, "layer_inner": 2048, "dropout": 0.5,
    },
}  # fmt: skip
"""What the baselines' docstrings say that their sources have."""


@pytest.mark.parametrize("name", FULL)
def test_a_full_form_has_the_numbers_of_its_source(name: str) -> None:
    settings = BASELINES[name].settings(small=False)
    places = (settings.sizes, vars(settings.training), vars(settings.objective), vars(settings))
    for what, value in FULL[name].items():
        (found,) = {repr(place[what]) for place in places if what in place}
        assert found == repr(value), what
    assert settings.training.weight_decay == FULL[name].get("weight_decay", 0.0)
