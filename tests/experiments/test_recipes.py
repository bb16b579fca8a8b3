"""Every recipe builds, takes a step, resumes, saves and loads; knobs, names and controls."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from miacap import captioners, runs
from miacap.captioning.cross_entropy import summed_loss
from miacap.captioning.inputs import Inputs, StoredConcepts, Wanted
from miacap.captioning.words import build_vocabulary, encode
from miacap.decoding import greedy
from miacap.errors import DataError, RunError, SettingsError, UnknownName
from miacap.experiments import Reproduced, paper, recipe, recipes, reproduce
from miacap.experiments.baselines import BASELINES
from miacap.experiments.parameters import parameters
from miacap.experiments.partners import partners
from miacap.files import read_json
from miacap.runs import SelfCritical
from miacap.runs.folder import build
from miacap.settings import override
from miacap.training.schedules import learning_rate

from .conftest import MadeUp

TINY = {
    "sizes.width": 16,
    "sizes.heads": 2,
    "sizes.inner": 24,
    "minimum_count": 1,
    "pictures_per_batch": 3,
    "beam": 1,
    "maximum_words": 6,
    "training.epochs": 1,
    "training.warmup_steps": 0,
    "training.threads": 1,
}
OWN = {"transformer": {"sizes.layers": 1, "sizes.layer_heads": 2, "sizes.layer_inner": 8}}
OURS = (
    "nic", "spatial-attention", "adaptive", "up-down", "att-cnn-lstm", "att-fcn", "lstm-a2",
    "lstm-a3", "lstm-a4", "lstm-a5", "concept-attention", "transformer",
)  # fmt: skip


def tiny(name: str) -> tuple[str, ...]:
    """Sizes that train at once; numbers of parameters match only where there are enough."""
    found = recipe(name)
    sets = TINY | OWN.get(found.settings.captioner, {})
    if found.as_large_as is not None:
        sets |= {"sizes.width": 96, "sizes.inner": 160}
    return tuple(f"{key}={value}" for key, value in sets.items())


def some() -> list[str]:
    """Recipes of every baseline and, over them, of every arm; those of one baseline in full."""
    names = recipes.names()
    chosen = [name for name in names if name.startswith("lstm-a5-")] + list(names[::7])
    return sorted(set(chosen), key=names.index)


def whole_way(name: str, world: MadeUp, folder: Path, *sets: str) -> None:
    """Train to the first step, resume to the end, load, caption."""
    found = recipe(name, small=True)
    start = None
    if found.begins_with is not None:
        whole_way(found.begins_with, world, folder.with_name("before"), *sets)
        start = runs.load(folder.with_name("before"))

    def go(stop_after: int | None) -> Reproduced:
        return reproduce(
            found,
            world.dataset,
            world.regions,
            folder,
            concepts=world.concepts,
            start=start,
            sets=(*tiny(name), *sets),
            stop_after=stop_after,
            quiet=True,
        )

    first = go(1)
    assert (first.result.finished, first.result.steps) == (False, 1)
    last = go(None)
    assert (last.result.finished, last.result.steps) == (True, 2)
    assert list(last.readings) == [probe.label for probe in found.probes]
    run = runs.load(folder)
    assert run.settings.source == found.settings.source
    captioner = run.captioner()
    kept = load_file(folder / "weights.safetensors")
    assert all(torch.equal(kept[key], value) for key, value in captioner.state_dict().items())
    seen = Inputs.of_run(run, world.regions).stored(world.dataset.split("test").ids)
    assert len(greedy(captioner, seen, maximum=4)) == 3
    told = read_json(folder / "recipe.json")
    assert (told["start"] is None) == (start is None)
    assert told["recipe"] == name and told["concepts"] == found.concepts
    trained = sum(p.numel() for p in captioner.parameters() if p.requires_grad)
    assert told["parameters"] == last.parameters == trained


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.parametrize("name", some())
def test_a_recipe_trains_resumes_saves_and_loads(
    name: str, made_up: MadeUp, tmp_path: Path
) -> None:
    whole_way(name, made_up, tmp_path / "run")


@pytest.mark.parametrize("name", ["att-cnn-lstm-plain", "lstm-a4-plain"])
def test_the_originals_probabilities_go_the_same_way(
    name: str, made_up: MadeUp, tmp_path: Path
) -> None:
    """What baselines.py says of the original input: scores of all concepts in place of rows."""
    sets = ("sizes.concept_input=probabilities", "sizes.concepts=6")
    whole_way(name, made_up, tmp_path / "run", *sets)


def test_raw_features_and_regularisers_go_the_same_way(made_up: MadeUp, tmp_path: Path) -> None:
    whole_way("up-down-rcnn-plain", made_up, tmp_path / "up-down", "sizes.raw_features=true")
    whole_way("att-fcn-combined", made_up, tmp_path / "att-fcn", "objective.regulariser=0.01")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(recipes.names()) - set(some())))
def test_every_other_recipe_does_so_too(name: str, made_up: MadeUp, tmp_path: Path) -> None:
    whole_way(name, made_up, tmp_path / "run")


def test_every_recipe_takes_a_step(made_up: MadeUp) -> None:
    """In memory, for all settings that there are: the loss falls on its own batch."""
    # Recipes that differ in what they read, not in what they are, share their settings.
    different = {str(recipe(name, small=True).settings): name for name in recipes.names()}
    assert len(different) > 130
    for name in different.values():
        settings = override(recipe(name, small=True).settings, tiny(name))
        settings = replace(settings, region_width=6)
        vocabulary = build_vocabulary(made_up.dataset.split("train"), 1)
        wanted = Wanted.of(settings)
        found = StoredConcepts.of(made_up.concepts, vocabulary) if wanted.any_concepts else None
        inputs = Inputs(wanted, found, made_up.regions)
        ids = encode(vocabulary, made_up.dataset.split("train").captions)
        size = settings.pictures_per_batch
        batch = next(inputs.batches(list(ids), captions=ids, batch_size=size).ordered())
        torch.manual_seed(0)
        module = build(settings, len(vocabulary)).eval()
        optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-3)
        losses = []
        for _ in range(2):
            loss, weight = summed_loss(module(batch.pictures, batch.words), batch.targets)
            losses.append(float(loss.detach() / weight))
            optimiser.zero_grad()
            loss.backward()
            idle = {n for n, p in module.named_parameters() if p.requires_grad and p.grad is None}
            assert not idle, f"{name}: no gradient reaches {idle}"
            optimiser.step()
        assert losses[1] < losses[0], name


@pytest.mark.parametrize("small", [False, True])
def test_both_forms_have_the_sizes_that_they_promise(small: bool) -> None:
    widths = {"up-down": 1000, "lstm-a2": 1024, "lstm-a3": 1024, "lstm-a4": 1024, "lstm-a5": 1024}
    for name in recipes.names():
        found = recipe(name, small)
        wanted = 256 if small else widths.get(found.settings.captioner, 512)
        assert found.settings.sizes["width"] == wanted, name
        assert found.small == small
        if found.as_large_as is None:  # it builds: a wrong name or value of a size is refused
            assert parameters(found.fitted(2000, 64), 2000) > 1e6, name


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("baseline", list(BASELINES))
def test_a_plain_captioner_gets_the_refined_ones_parameters(baseline: str, small: bool) -> None:
    """Counted on the modules themselves, which hold real tensors."""
    words, width = 1500, 96
    plain = recipe(f"{baseline}-same-parameters", small).fitted(words, width)
    refined = recipe(f"{baseline}-combined", small).fitted(words, width)
    assert plain.source == "plain" and refined.source == "combined"
    assert plain.sizes["width"] > refined.sizes["width"]
    counts = [parameters(settings, words) for settings in (plain, refined)]
    assert abs(counts[0] / counts[1] - 1) < 0.01
    if small:
        real = [sum(p.numel() for p in build(s, words).parameters()) for s in (plain, refined)]
        assert real == counts


def test_full_forms_have_the_optimisers_of_their_papers() -> None:
    """Lu et al.: 0.66 of the rate is left at epoch 50; numbers are clipped, not the length."""
    for name in ("spatial-attention-plain", "adaptive-plain", "concept-attention-plain"):
        training = recipe(name).settings.training
        rates = [learning_rate(training, epoch * 10, 10) / 5e-4 for epoch in (0, 20, 50)]
        assert rates == pytest.approx([1.0, 1.0, 0.5**0.6], abs=1e-9), name
    training = recipe("spatial-attention-combined").settings.training
    assert (training.clip_value, training.clip_norm) == (0.1, 0.0)
    assert recipe("att-fcn-combined").settings.training.optimiser == "rmsprop"
    small = recipe("spatial-attention-combined", small=True).settings.training
    assert (small.clip_value, small.clip_norm, small.optimiser) == (0.0, 5.0, "adamw")


def test_what_cannot_be_matched_says_so() -> None:
    found = recipe("att-fcn-same-parameters", small=True)
    narrow = {**found.settings.sizes, "width": 2, "heads": 1, "inner": 2}
    found = replace(
        found,
        settings=replace(found.settings, sizes=narrow),
        as_large_as=replace(found.as_large_as, sizes={**found.as_large_as.sizes, **narrow}),
    )
    with pytest.raises(SettingsError, match=r"No width gives att-fcn .* within 1 %; the nearest"):
        found.fitted(9, 3)


def test_every_captioner_and_source_has_its_recipe() -> None:
    assert {baseline.captioner for baseline in BASELINES.values()} == set(OURS)
    assert set(OURS) <= set(captioners.names())
    for baseline in BASELINES.values():
        for source in captioners.sources(baseline.captioner):
            assert f"{baseline.name}-{source}" in recipes.names()


def test_every_row_of_the_paper_has_its_recipe() -> None:
    assert set(paper.recipes()) <= set(recipes.names())


def test_table_4_begins_where_table_1_ended() -> None:
    rows = paper.place("Table 4")
    assert len(rows) == 6
    for row in rows:
        found = recipe(row.recipe)
        assert found.begins_with in {one.recipe for one in paper.place("Table 1")}
        assert found.settings.objective == SelfCritical(baseline="greedy", samples=5)
        before = recipe(str(found.begins_with)).settings
        assert (before.captioner, before.source) == ("up-down", found.settings.source)
        assert before.sizes == found.settings.sizes
        assert found.settings.training.learning_rate == 5e-5
    small = recipe("up-down-resnet-combined-self-critical", small=True).settings
    assert small.objective == SelfCritical(baseline="beam") and small.sizes["width"] == 256
    turned = recipe("transformer", loss="self-critical", small=True)
    assert (turned.name, turned.begins_with) == (
        "transformer-combined-self-critical", "transformer-combined",
    )  # fmt: skip
    assert turned.settings.training.learning_rate == 1e-5
    assert turned.settings.objective == SelfCritical()


def test_a_self_critical_recipe_needs_the_run_that_it_begins_with(
    made_up: MadeUp, tmp_path: Path
) -> None:
    world = (made_up.dataset, made_up.regions, tmp_path / "run")
    name = "up-down-resnet-plain-self-critical"
    with pytest.raises(SettingsError, match=r"a run of 'up-down-resnet-plain': train that one"):
        reproduce(recipe(name), *world, quiet=True)
    whole_way("up-down-resnet-plain", made_up, tmp_path / "before")
    start = runs.load(tmp_path / "before")
    with pytest.raises(SettingsError, match="draws its first weights: leave --from"):
        reproduce(recipe("nic-plain"), *world, start=start, quiet=True)
    with pytest.raises(SettingsError, match="its weights were trained with minimum_count=1, not 5"):
        reproduce(recipe(name), *world, start=start, quiet=True)
    told = tmp_path / "before" / "recipe.json"
    told.write_text(told.read_text().replace("up-down-resnet-plain", "nic-plain"))
    with pytest.raises(SettingsError, match=r"before is a run of the recipe 'nic-plain': train"):
        reproduce(recipe(name), *world, start=start, quiet=True)
    told.unlink()
    with pytest.raises(SettingsError, match=r"before is a run of no recipe: train that one"):
        reproduce(recipe(name), *world, start=start, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_recipes_settings_are_its_rows() -> None:
    """Table 5's labels read opposite to the order of steps; section 3.5 reads its own slots."""
    order = {row.label: recipe(row.recipe).settings.sizes.get("order")
             for row in paper.place("Table 5")}  # fmt: skip
    assert order["T* -> I*"] == "concepts-first" and order["I* -> T*"] == "regions-first"
    read = {row.model: recipe(row.recipe).settings for row in paper.place("Section 3.5")}
    assert {model: s.source for model, s in read.items()} == {
        "Spatial-Attention": "regions", "ATT-FCN": "concepts", "LSTM-A5": "both",
    }  # fmt: skip
    assert {s.sizes["attention"] for s in read.values()} == {"self"}
    for row in paper.place("Figure 5"):
        assert f"N = {recipe(row.recipe).settings.sizes['iterations']}" == row.label


def test_knobs_make_the_named_recipes() -> None:
    assert recipe("nic").name == "nic-combined"
    assert recipe("nic", source="plain") == recipe("nic-plain")
    assert recipe("nic", iterations=3).name == "nic-n3"
    assert recipe("att-fcn", source="concepts", attention="self").name == "att-fcn-self-attention"
    assert recipe("nic", order="regions-first", small=True) == recipe("nic-regions-first", True)
    made = recipe("nic", source="regions", iterations=1, order="regions-first")
    assert made.name == "nic-regions-n1-regions-first"
    assert made.settings.sizes["iterations"] == 1
    assert recipe("nic-n3", iterations=3, loss="cross-entropy").name == "nic-n3"


@pytest.mark.parametrize(
    ("arguments", "knobs", "error", "message"),
    [
        (["nik"], {}, UnknownName, "Did you mean 'nic'"),
        (["Tabel 1"], {}, UnknownName, "Did you mean 'Table 1'"),
        (["Table 6"], {}, SettingsError, "its rows: spatial-attention-plain, "),
        (["table3"], {}, SettingsError, "Table 3 is no recipe; recipes that stand for its rows"),
        (["Table 4"], {}, SettingsError, "its rows: up-down-resnet-plain-self-critical, up"),
        (["nic-combine"], {}, UnknownName, "Did you mean 'nic-combined'"),
        (["nic-concepts"], {}, UnknownName, "nic-combined"),
        (["nic"], {"source": "concepts"}, SettingsError, "It takes: plain, regions, combined"),
        (["nic"], {"source": "plain", "iterations": 3}, SettingsError, "refines nothing: n3 has"),
        (["nic"], {"loss": "self-crit"}, SettingsError, "loss is one of cross-entropy, self-cri"),
        (["nic"], {"order": "regions-frist"}, SettingsError, "Did you mean 'regions-first'"),
        (["nic"], {"iterations": -1}, SettingsError, "iterations is 0 or more"),
        (["nic-n3"], {"iterations": 2}, SettingsError, "is the one with iterations=3"),
    ],
)
def test_wrong_names_and_knobs(arguments, knobs, error, message: str) -> None:
    with pytest.raises(error, match=message):
        recipe(*arguments, **knobs)


def test_everybody_gets_the_concepts_of_another_picture_of_the_split(made_up: MadeUp) -> None:
    names = made_up.concepts.store.names
    found = partners(made_up.dataset, names, seed=0)
    splits = {entry.id: entry.split for entry in made_up.dataset.pictures}
    assert sorted(found) == sorted(found.values()) == sorted(names)
    assert all(splits[one] == splits[other] and one != other for one, other in found.items())
    assert found == partners(made_up.dataset, names, seed=0) != partners(made_up.dataset, names, 1)
    with pytest.raises(DataError, match="split 'dev' has one picture alone"):
        partners(made_up.dataset, names[:7])


def test_training_on_others_concepts_is_other_training(made_up: MadeUp, tmp_path: Path) -> None:
    """The recipe reaches the batches: same seed, same settings, other weights."""
    weights = {}
    for name in ("att-cnn-lstm-combined", "att-cnn-lstm-others-concepts"):
        whole_way(name, made_up, tmp_path / name)
        weights[name] = load_file(tmp_path / name / "weights.safetensors")["output.weight"]
    one, other = weights.values()
    assert one.shape == other.shape and not torch.equal(one, other)


def test_probes_read_one_training_in_several_ways(made_up: MadeUp, tmp_path: Path) -> None:
    """Drawn at N: the readings are those of captioners built at that N with the same weights."""
    whole_way("spatial-attention-drawn", made_up, tmp_path / "run")
    told = read_json(tmp_path / "run" / "recipe.json")
    assert list(told["readings"]) == [f"drawn at N = {n}, trained at N = 2" for n in range(1, 6)]
    run = runs.load(tmp_path / "run")
    assert run.settings.sizes["iterations"] == 2
    best = max(
        json.loads(line)["CIDEr-D"]
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    )
    assert told["readings"]["drawn at N = 2, trained at N = 2"]["CIDEr-D"] == pytest.approx(best)


def test_a_folder_belongs_to_one_recipe(made_up: MadeUp, tmp_path: Path) -> None:
    whole_way("nic-combined", made_up, tmp_path / "run")
    with pytest.raises(RunError, match="holds the recipe 'nic-combined' with small=True, not 'ni"):
        whole_way("nic-others-concepts", made_up, tmp_path / "run")
    (tmp_path / "run" / "recipe.json").unlink()
    with pytest.raises(RunError, match=r"no recipe made \(it has no recipe\.json\)"):
        whole_way("nic-combined", made_up, tmp_path / "run")


def test_concepts_are_asked_for_and_the_name_fixes_the_knobs(
    made_up: MadeUp, tmp_path: Path
) -> None:
    world = (made_up.dataset, made_up.regions, tmp_path / "run")
    with pytest.raises(DataError, match=r"'nic-combined' reads concepts: .*--concepts FOLDER"):
        reproduce(recipe("nic-combined"), *world, quiet=True)
    with pytest.raises(SettingsError, match="has iterations=2, which makes it what it is"):
        reproduce(
            recipe("nic-combined"),
            *world,
            concepts=made_up.concepts,
            sets=("sizes.iterations=3",),
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


def test_the_page_tells_of_every_baseline_and_arm_with_its_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name in recipes.names():
        assert f"`{recipe(name).arm}`" in page, name
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    told = {name.strip().strip("`"): row for row in rows for name in row[0].split(",")}
    for baseline in BASELINES.values():
        settings = baseline.settings(small=False)
        width, _, _, pictures, epochs, beam = (c.strip() for c in told[baseline.name][1:])
        assert int(width) == settings.sizes["width"]
        assert int(pictures) == settings.pictures_per_batch and int(beam) == settings.beam
        assert int(epochs.split(",")[0]) == settings.training.epochs
