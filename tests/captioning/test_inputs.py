"""One door into a batch: a picture is the same on every path."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miacap import captioners, runs, visual
from miacap.captioning.inputs import FoundConcepts, Inputs, StoredConcepts, Wanted
from miacap.captioning.words import build_vocabulary
from miacap.concepts import ConceptFolder, ConceptVocabulary, Extractor, extract
from miacap.concepts.networks import build
from miacap.data import FeatureStore, Manifest, StoreWriter
from miacap.errors import DataError, RunError
from miacap.pictures import Pictures
from miacap.runs import RunSettings
from miacap.visual import Grid, prepared, regions_for


def same(one: Pictures, other: Pictures) -> None:
    assert one.names == other.names
    for field in ("regions", "region_mask", "concepts", "concept_mask", "concept_scores", "boxes"):
        a, b = getattr(one, field), getattr(other, field)
        assert (a is None) == (b is None), field
        assert a is None or torch.equal(a, b), field


def live(inputs: Inputs, world, names: Sequence[str]) -> Pictures:
    assert inputs.regions is not None
    items = [(name, world.dataset.photos.read(name)) for name in names]
    ready = list(prepared(items, inputs.regions))
    return inputs.live([r.id for r in ready], [r.picture for r in ready])


class Picking:
    """A backbone that picks 7 x 7 pixels: its rows are the same to the bit in any batch."""

    name = "picking"
    width = 3
    weights_sha256 = "0" * 64
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    device = torch.device("cpu")

    def map(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 16::32, 16::32]


@dataclass(frozen=True)
class Exact:
    """A run in a world where every number is exact, whatever is computed beside it."""

    run: runs.Run
    grid: Grid
    regions: FeatureStore
    concepts: ConceptFolder


@pytest.fixture(scope="module")
def exact(world, tmp_path_factory: pytest.TempPathFactory) -> Exact:
    root = tmp_path_factory.mktemp("exact")
    grid = Grid(Picking())
    regions = visual.extract(world.dataset, root / "f", backbone=Picking(), quiet=True)
    captions = world.dataset.split("train").captions
    vocabulary = build_vocabulary(world.dataset.split("train"), 1)
    words = vocabulary.words[-60:]
    torch.manual_seed(0)
    module = build("multiple-instance", 3, len(words), 0, 0.0).eval()
    torch.nn.init.normal_(module.head.output.weight)
    extractor = Extractor(ConceptVocabulary(words), "multiple-instance", 3, 0, 0.0, module)
    extractor = extractor.save(root / "c")
    about = Manifest("concepts", grid.record, len(words), words, extractor.checksum, "a test")
    with StoreWriter(root / "c" / "scores", about) as writer:
        for name in regions.names:
            writer.add(name, extract(extractor, [regions.rows(name)])[0])
    settings = RunSettings("spatial-attention", "combined", {"width": 8, "heads": 2})
    assert len(captions) > 5
    concepts = ConceptFolder.open(root / "c")
    run = runs.create(root / "r", settings, vocabulary, grid.record, (), concepts)
    return Exact(run, grid, regions, concepts)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_photo_is_the_same_picture_on_every_path(
    world, exact: Exact, data: st.DataObject
) -> None:
    """In training, in evaluation with stored and with found concepts, live, and explained."""
    names = data.draw(
        st.lists(st.sampled_from(world.dataset.ids), min_size=1, max_size=5, unique=True)
    )
    reads = frozenset(data.draw(st.sets(st.sampled_from(["regions", "concepts", "scores"]))))
    wanted = Wanted(reads, data.draw(st.sampled_from(["match", "aligned"])), None)
    run, folder = exact.run, exact.concepts
    stored = StoredConcepts.of(folder, run.vocabulary) if wanted.any_concepts else None
    found = FoundConcepts(extractor_of(run), stored.words) if stored is not None else None
    captions = {name: [[5, 6], [7]] for name in names}
    training = Inputs(wanted, stored, exact.regions)
    (batch,) = training.batches(names, captions=captions, batch_size=8).ordered()
    seen = batch.pictures
    assert seen.boxes is not None and seen.regions.shape[1:] == (49, 3)
    assert (seen.concepts.shape[1] > 0) == ("concepts" in reads)
    assert (seen.concept_scores is not None) == ("scores" in reads)
    same(seen, Inputs(wanted, stored, exact.regions).stored(names))
    for row, name in enumerate(names):  # found one by one, as they were when they were stored
        alone = Inputs(wanted, found, exact.regions).stored([name])
        same(seen.select([row]), alone)
        same(alone, live(Inputs(wanted, found, regions=exact.grid), world, [name]))


def extractor_of(run: runs.Run) -> Extractor:
    extractor = run.extractor()
    assert extractor is not None
    return extractor


def test_the_doors_of_a_run_give_what_its_captioner_reads(world, exact: Exact) -> None:
    """Evaluation, live photos and explaining, as they open the door themselves."""
    (name,) = world.dataset.ids[:1]
    seen = Inputs.of_run(exact.run, exact.regions, exact.concepts).stored([name])
    assert seen.concepts.shape == (1, 49) and seen.concept_scores is None
    same(seen, Inputs.of_run(exact.run, exact.regions).stored([name]))
    same(seen, live(Inputs.of_photos(exact.run, exact.grid), world, [name]))
    reads = exact.run.reads | {"scores"}
    explained = live(Inputs.of_photos(exact.run, exact.grid, reads=reads), world, [name])
    assert torch.equal(explained.concepts, seen.concepts)
    assert explained.concept_scores is not None


@pytest.mark.parametrize(
    ("captioner", "source", "sizes", "expected"),
    [
        ("nic", "plain", {}, {"regions"}),
        ("nic", "combined", {}, {"regions", "concepts"}),
        ("att-cnn-lstm", "plain", {}, {"concepts"}),
        ("lstm-a3", "plain", {"concept_input": "probabilities", "concepts": 9},
         {"regions", "scores"}),
    ],
)  # fmt: skip
def test_a_batch_holds_what_the_captioner_reads(
    world, captioner: str, source: str, sizes: dict[str, object], expected: set[str]
) -> None:
    asked = RunSettings(captioner=captioner, source=source, sizes=sizes)
    wanted = Wanted.of(asked)
    assert wanted.reads == expected == captioners.reads(captioner, source, **sizes)
    run = runs.load(world.run("combined"))
    folder = ConceptFolder.open(world.root / "concepts")
    stored = StoredConcepts.of(folder, run.vocabulary) if wanted.any_concepts else None
    pictures = Inputs(wanted, stored, world.regions).stored(world.dataset.split("dev").ids)
    assert (pictures.concepts.shape[1] > 0) == ("concepts" in expected)
    assert (pictures.concept_scores is not None) == ("scores" in expected)


def test_another_pictures_concepts_and_its_own_regions(world) -> None:
    run = runs.load(world.run("combined"))
    one, other = world.dataset.split("dev").ids[:2]
    for folder in (None, ConceptFolder.open(world.root / "concepts")):
        own = Inputs.of_run(run, world.regions, folder).stored([one, other])
        swapped = Inputs.of_run(run, world.regions, folder, {one: other}).stored([one])
        assert torch.equal(swapped.regions[0], own.regions[0])
        assert torch.equal(swapped.concepts[0], own.concepts[1])
        assert not torch.equal(swapped.concepts[0], own.concepts[0])


def test_what_is_absent_is_refused_before_anything_is_read(world) -> None:
    run = runs.load(world.run("combined"))
    inputs = Inputs.of_run(run, world.regions)
    with pytest.raises(DataError, match="1 of 1 picture is not in this store of regions"):
        inputs.batches(["nobody"], batch_size=2)
    with pytest.raises(RunError, match="there is no store of features here"):
        Inputs.of_photos(run, regions_for(run.preprocessing)).stored(["nobody"])
