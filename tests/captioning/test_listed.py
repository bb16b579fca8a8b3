"""Captioners that learn from concepts of a file: never filled up, never cut, never made up."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import miacap
from miacap import captioning, runs
from miacap.captioning.inputs import Inputs
from miacap.concepts import (
    ConceptFolder,
    ConceptSource,
)
from miacap.concepts.description import what_to_know
from miacap.data import Entry, Preprocessing
from miacap.data.store import FeatureStore, StoreWriter
from miacap.errors import DataError, RunError, SettingsError
from miacap.explain import show
from miacap.runs import join
from miacap.text import PAD

from .small import DATA, LONG, REGIONS, SHORT, World, extract_nothing, fit, make, settings, trained


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("listed"))


@pytest.fixture(scope="module")
def listed(world: World) -> runs.Run:
    """A run trained on long lists; look, but do not change it."""
    return fit(world, world.root / "run", settings(), world.read("long", LONG))


@pytest.fixture(scope="module")
def aligned(world: World) -> runs.Run:
    """A run trained on short lists; look, but do not change it."""
    return fit(world, world.root / "aligned", settings(rows="aligned"), world.read("short", SHORT))


def test_a_run_keeps_the_description_and_no_extractor(world: World, listed: runs.Run) -> None:
    names = {path.name for path in listed.folder.iterdir()}
    assert "concepts.json" in names and "extractor.safetensors" not in names
    assert ConceptSource.of(listed.folder) == ConceptSource.of(world.root / "long")


def test_pictures_get_the_first_words_of_their_lists(world: World, listed: runs.Run) -> None:
    names = DATA.split("test").ids
    seen = Inputs.of_run(listed, world.regions, world.read("long", LONG)).stored(names)
    for row, name in zip(seen.concepts.tolist(), names, strict=True):
        assert listed.vocabulary.decode(row) == LONG[name][:REGIONS]


def test_a_short_list_is_not_filled_up(world: World, aligned: runs.Run) -> None:
    names = ("p8", "p9", "p10")
    seen = Inputs.of_run(aligned, world.regions, world.read("short", SHORT)).stored(names)
    words = [aligned.vocabulary.decode(row) for row in seen.concepts.tolist()]
    assert words == [["bird", "cat"], SHORT["p9"], ["tree"]]
    assert seen.concept_mask.sum(1).tolist() == [2, 6, 1]
    assert bool((seen.concepts[~seen.concept_mask] == PAD).all())


def test_a_short_list_is_captioned_alone_as_among_longer_ones(
    world: World, aligned: runs.Run
) -> None:
    captioner, lists = aligned.captioner(), world.read("short", SHORT)
    words = torch.tensor([[[1, 5, 6]]])
    together = Inputs.of_run(aligned, world.regions, lists).stored(("p8", "p9", "p10"))
    with torch.inference_mode():
        many = captioner(together, words.expand(3, 1, 3))
        for place, name in enumerate(("p8", "p9", "p10")):
            alone = Inputs.of_run(aligned, world.regions, lists).stored((name,))
            alone = replace(
                alone,
                concepts=alone.concepts[:, : int(alone.concept_mask.sum())],
                concept_mask=alone.concept_mask[:, : int(alone.concept_mask.sum())],
            )
            torch.testing.assert_close(captioner(alone, words)[0], many[place])


def test_training_sees_the_lists_and_nothing_else(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.captioning import cross_entropy as task

    seen: dict[str, list[int]] = {}
    inner = task.CrossEntropyTask.loss

    def loss(self: task.CrossEntropyTask, module: torch.nn.Module, batch: object):
        pictures = batch.pictures  # type: ignore[attr-defined]
        for name, row, mask in zip(
            pictures.names, pictures.concepts.tolist(), pictures.concept_mask.tolist(), strict=True
        ):
            seen[name] = [word for word, real in zip(row, mask, strict=True) if real]
        return inner(self, module, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(task.CrossEntropyTask, "loss", loss)
    lists = world.read("short", SHORT)
    run = fit(world, tmp_path / "r", settings("lstm-a3", "concepts", rows="aligned"), lists)
    assert {name: run.vocabulary.decode(ids) for name, ids in seen.items()} == {
        name: [word for word in SHORT[name] if word != "wolf"] for name in DATA.split("train").ids
    }


def test_too_short_a_list_for_match_names_aligned(world: World, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"short/scores: 2 of 9 pictures list fewer caption words "
                       r"than regions, the shortest is 'p1': 1 word, 3 regions\. "
                       r"Train with --set sizes\.rows=aligned"):  # fmt: skip
        fit(world, tmp_path / "r", settings(), world.read("short", SHORT))
    assert not (tmp_path / "r").exists()


def test_a_word_that_the_captioner_lacks_shortens_the_list(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """minimum_count of the captioner above that of the lists."""
    more = replace(DATA, pictures=(*DATA.pictures, Entry("p12", ("an owl",), "train")))
    lists = {**LONG, "p0": ["owl", *LONG["p0"]], "p1": ["owl"]}
    folder = world.read("owl", lists, more)
    run = replace(settings(rows="aligned"), minimum_count=2)
    with pytest.raises(DataError, match=r"1 of 9 pictures lists no word of the caption vocabulary, "
                       r"the first is 'p1'\. Lower minimum_count"):  # fmt: skip
        fit(world, tmp_path / "r", run, folder)
    folder = world.read("owls", {**lists, "p1": LONG["p1"]}, more)
    fit(world, tmp_path / "r", run, folder, quiet=False)
    assert "left out: 1 of 7 concepts is no caption word\n" in capsys.readouterr().err


def test_pictures_without_a_list_are_left_out_and_said(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = {name: words for name, words in LONG.items() if name not in ("p2", "p3", "p7", "p9")}
    lists = world.read("some", some)
    run = fit(world, tmp_path / "r", settings(), lists)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if not line.startswith("warning: ")] == [
        "left out: 2 of 6 pictures of train, the first: some.json: 'p2' has no list",
        "left out: 1 of 3 pictures of dev, the first: some.json: 'p7' has no list",
    ]
    result = captioning.evaluate(run, DATA, "test", world.regions, concepts=lists, quiet=True)
    assert [row.id for row in result.rows] == ["p9", "p10", "p11"]
    assert result.rows[0].caption is None and result.rows[0].error == "some.json: 'p9' has no list"
    assert result.captioned == 2 and result.scores.ids == ("p10", "p11")
    none = world.read("none", {"p0": ["dog", "cat", "bird"]})
    with pytest.raises(DataError, match=r"all 3 pictures of test were set aside .* has no list"):
        captioning.evaluate(run, DATA, "test", world.regions, concepts=none, quiet=True)
    with pytest.raises(DataError, match="all 3 captioned pictures of dev were set aside"):
        fit(world, tmp_path / "other", settings(), none)


def test_evaluate_wants_the_lists_and_then_works(world: World, listed: runs.Run) -> None:
    with pytest.raises(RunError, match=r"run: its concepts were read from a file \(long\.json\)"
                       r", so there is no extractor .*evaluate --concepts FOLDER"):  # fmt: skip
        captioning.evaluate(listed, DATA, "test", world.regions, quiet=True)
    lists = world.read("long", LONG)
    result = captioning.evaluate(listed, DATA, "dev", world.regions, concepts=lists, quiet=True)
    assert result.captioned == 3 and result.scores is not None
    best = json.loads((listed.folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert result.scores["CIDEr-D"] == pytest.approx(best["CIDEr-D"])


def test_new_photos_are_refused_with_what_to_do(world: World, listed: runs.Run) -> None:
    message = r"there is no extractor that finds them in a photo\..* for new photos, train with"
    for load in (miacap.load, lambda folder: miacap.load([folder, folder])):
        with pytest.raises(RunError, match=message):
            load(listed.folder)
    with pytest.raises(RunError, match=message):
        captioning.Pipeline(listed.folder).caption(torch.zeros(0).numpy().tobytes())
    with pytest.raises(RunError, match=message):
        show(listed, None)  # type: ignore[arg-type]


def test_a_captioner_that_reads_no_concepts_drops_them(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So it captions new photos, and joins runs of other concepts."""
    lists = world.read("short", SHORT)  # too short for match, had it been read
    run = fit(world, tmp_path / "r", settings("nic", "plain"), lists, quiet=False)
    assert not (run.folder / "concepts.json").exists()
    assert "which nic fed 'plain' does not look at" in capsys.readouterr().err
    assert captioning.load(run.folder).run.folder == run.folder
    with_concepts = captioning.evaluate(
        run, DATA, "test", world.regions, concepts=lists, quiet=True
    )
    alone = captioning.evaluate(run, DATA, "test", world.regions, quiet=True)
    assert with_concepts.rows == alone.rows


def test_ranks_are_no_probabilities(world: World, tmp_path: Path) -> None:
    run = settings("lstm-a3", "plain", concept_input="probabilities", concepts=6)
    with pytest.raises(SettingsError, match="have an order and no probabilities; leave concept_"):
        fit(world, tmp_path / "r", run, world.read("long", LONG))
    rows = [{"id": name, "concepts": words, "probabilities": [0.9, 0.8, 0.7, 0.5, 0.5, 0.1]}
            for name, words in LONG.items()]  # fmt: skip
    sure = world.read("sure", rows)
    found = fit(world, tmp_path / "s", run, sure)
    result = captioning.evaluate(found, DATA, "test", world.regions, concepts=sure, quiet=True)
    assert result.captioned == 3
    fewer = world.read("fewer", [{name: value if name == "id" else value[:3]
                                  for name, value in row.items()} for row in rows[9:]])  # fmt: skip
    with pytest.raises(RunError, match="reads probabilities of its own concepts, in their order"):
        captioning.evaluate(found, DATA, "test", world.regions, concepts=fewer, quiet=True)


def test_lists_of_another_file_serve_pictures_that_came_later(
    world: World, listed: runs.Run
) -> None:
    other = world.read("later", {**{id: LONG[id] for id in ("p0", "p9", "p11")},
                                 "p10": ["boat", "dog", "tree"]})  # fmt: skip
    own = ConceptSource.of(listed.folder)
    assert own is not None
    note = what_to_know(own, "test", other.source)
    assert note is not None and "trained on the lists of long.json" in note
    assert note.endswith("are of another file, later.json")
    assert what_to_know(own, "test", world.read("long", LONG).source) is None
    seen = Inputs.of_run(listed, world.regions, other).stored(("p10",))
    assert listed.vocabulary.decode(seen.concepts[0].tolist()) == ["boat", "dog", "tree"]


def test_a_run_and_a_folder_of_two_kinds_do_not_fit(
    world: World, listed: runs.Run, tmp_path: Path
) -> None:
    folder = trained(tmp_path / "c", world.regions)
    with pytest.raises(RunError, match=r"trained with concepts of a file of lists, but those in "
                       r".* come from an extractor"):  # fmt: skip
        captioning.evaluate(listed, DATA, "test", world.regions, concepts=folder, quiet=True)
    run = fit(world, tmp_path / "r", settings(), folder)
    with pytest.raises(RunError, match=r"concepts of an extractor, but .* from a file of lists"):
        captioning.evaluate(
            run, DATA, "test", world.regions, concepts=world.read("long", LONG), quiet=True
        )
    other = trained(tmp_path / "d", world.regions, seed=1)
    with pytest.raises(RunError, match="trained with another concept extractor than that of"):
        captioning.evaluate(run, DATA, "test", world.regions, concepts=other, quiet=True)


def test_stored_concepts_of_the_extractor_stand_for_it(world: World, tmp_path: Path) -> None:
    """Outside train they are the same; on train the stored ones are out of fold, as is said."""
    folder = trained(tmp_path / "c", world.regions)
    run = fit(world, tmp_path / "r", settings(), folder)
    found = [
        captioning.evaluate(run, DATA, "test", world.regions, concepts=c, quiet=True).rows
        for c in (None, folder)
    ]
    assert found[0] == found[1]
    more = replace(DATA, pictures=(*DATA.pictures, Entry("p99", ("a dog",), "test")))
    with pytest.raises(DataError, match="1 of 4 pictures is not in this store of regions"):
        captioning.evaluate(run, more, "test", world.regions, concepts=folder, quiet=True)
    own = run.concepts
    assert own is not None and what_to_know(own, "test") is None
    assert what_to_know(own, "train", folder.source) is None
    note = what_to_know(own, "train")
    assert note is not None and "learned from the captions of these pictures" in note


def test_ensembles_agree_in_the_file(world: World, listed: runs.Run, tmp_path: Path) -> None:
    lists = world.read("long", LONG)
    second = fit(world, tmp_path / "a", settings("lstm-a3", "combined"), lists)
    plain = fit(world, tmp_path / "b", settings("nic", "plain"), None)
    joined = join([plain, listed, second])
    result = captioning.evaluate(joined, DATA, "test", world.regions, concepts=lists, quiet=True)
    assert result.captioned == 3
    with pytest.raises(RunError, match="there is no extractor"):
        captioning.evaluate(joined, DATA, "test", world.regions, quiet=True)
    swapped = {**LONG, "p0": LONG["p1"]}
    other = fit(world, tmp_path / "c", settings(), world.read("swapped", swapped))
    with pytest.raises(RunError, match=r"their files \(SHA-256 \w{12} and \w{12}\) differ"):
        join([listed, other])
    found = fit(world, tmp_path / "d", settings(), trained(tmp_path / "t", world.regions))
    with pytest.raises(RunError, match=r"what found them \(a file of lists, and an extractor\)"):
        join([listed, found])


def test_a_run_goes_on_with_its_own_concepts_alone(
    world: World, listed: runs.Run, tmp_path: Path
) -> None:
    run = tmp_path / "r"
    shutil.copytree(listed.folder, run)
    fit(world, run, settings(), world.read("long", LONG))  # finished, and said so again
    before = (run / "concepts.json").read_bytes()
    for other in (world.read("later2", {**LONG, "p0": LONG["p1"]}),
                  trained(tmp_path / "t", world.regions)):  # fmt: skip
        with pytest.raises(RunError, match=r"trained with other concepts than those in .* Choose"):
            fit(world, run, settings(), other)
    assert (run / "concepts.json").read_bytes() == before
    # Killed after the run folder was laid, and before it said whose concepts it has.
    (run / "concepts.json").unlink()
    fit(world, run, settings(), world.read("long", LONG))
    assert (run / "concepts.json").read_bytes() == before
    assert not (run / "extractor.safetensors").exists()


def test_broken_photos_are_left_out_of_training_too(tmp_path: Path) -> None:
    """One broken photo among many is no reason not to train."""
    broken = World(tmp_path, extract_nothing(tmp_path / "f", aside=("p0", "p4", "p6", "p9")))
    run = fit(broken, tmp_path / "r", settings(), broken.read("long", LONG))
    assert json.loads((run.folder / "metrics.jsonl").read_text())["distinct"] <= 2
    plain = fit(broken, tmp_path / "s", settings("nic", "plain"), None)
    result = captioning.evaluate(plain, DATA, "test", broken.regions, quiet=True)
    assert result.rows[0].to_json() == {"id": "p9", "error": "truncated"}
    assert result.captioned == 2
    # What is absent without a word was not extracted: no reason to go on quietly.
    more = replace(DATA, pictures=(*DATA.pictures, Entry("p99", ("a dog",), "train")))
    with pytest.raises(DataError, match="1 of 7 pictures is not in this store of regions"):
        fit(broken, tmp_path / "t", settings("nic", "plain"), None, dataset=more)


def test_folders_that_are_not_whole(world: World, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no concepts here; make them with: miacap concepts train, "
                       "or read your own with: miacap concepts read"):  # fmt: skip
        ConceptFolder.open(tmp_path)
    world.read("long", LONG)
    shutil.copytree(world.root / "long", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "scores")
    with pytest.raises(RunError, match=r"b: scores is absent; make the concepts again\.$"):
        ConceptFolder.open(tmp_path / "b")
    shutil.copytree(world.root / "long", tmp_path / "c")
    (tmp_path / "c" / "report.json").unlink()
    with pytest.raises(RunError, match=r"not finished; .* made it: miacap concepts read"):
        ConceptFolder.open(tmp_path / "c")
    shutil.copytree(trained(tmp_path / "t", world.regions).folder, tmp_path / "d")
    shutil.copytree(world.root / "long" / "scores", tmp_path / "d" / "scores", dirs_exist_ok=True)
    with pytest.raises(RunError, match=r"its scores do not come from what concepts\.json beside"):
        ConceptFolder.open(tmp_path / "d")


def test_concepts_found_in_other_features_are_refused(world: World, tmp_path: Path) -> None:
    other = Preprocessing("made-up", "0" * 64, size=320)
    told = replace(world.regions.manifest, preprocessing=other)
    with StoreWriter(tmp_path / "f", told) as writer:
        for name in DATA.ids:
            writer.add(name, world.regions.rows(name))
    folder = trained(tmp_path / "c", FeatureStore.open(tmp_path / "f"))
    with pytest.raises(
        RunError, match=r"prepared otherwise than those in .*size 320 in the concepts and 224 in"
    ):
        fit(world, tmp_path / "r", settings(), folder)
    assert not (tmp_path / "r").exists()
