"""Lists and scores on their way into a batch: who is asked for, who is left out, how many."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from miacap import runs
from miacap.captioning.inputs import FoundConcepts, Inputs, StoredConcepts, Wanted, concept_words
from miacap.captioning.words import build_vocabulary
from miacap.concepts import ConceptFolder, ConceptVocabulary, Extractor
from miacap.concepts.networks import build
from miacap.data import Preprocessing
from miacap.errors import DataError
from miacap.text import Vocabulary

from .small import (
    DATA,
    LONG,
    NOUNS,
    REGIONS,
    SHORT,
    WIDTH,
    World,
    extract_nothing,
    make,
    settings,
    trained,
)

VOCABULARY = build_vocabulary(DATA.split("train"), 1)
BOTH = frozenset(("regions", "concepts", "scores"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("inputs"))


def of_lists(world: World, lists: ConceptFolder, wanted: Wanted, **more: dict[str, str]) -> Inputs:
    return Inputs(wanted, StoredConcepts.of(lists, VOCABULARY), world.regions, **more)


MATCH, ALIGNED = Wanted(BOTH, "match", None), Wanted(BOTH, "aligned", None)


def test_whose_list_is_too_short_is_asked_of_whom_it_comes_from(world: World) -> None:
    """p1 lists one word of its own, and gets p0's; p2 gets p1's."""
    inputs = of_lists(world, world.read("short", SHORT), MATCH, concepts_of={"p1": "p0"})
    inputs.require(["p0", "p1", "p2"])
    inputs = of_lists(world, world.read("short", SHORT), MATCH, concepts_of={"p2": "p1"})
    with pytest.raises(DataError, match=r"1 of 2 pictures lists fewer .* 'p1': 1 word,"):
        inputs.require(["p0", "p2"])


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_as_many_listed_caption_words_as_regions_are_enough(world: World, words: int) -> None:
    """Words that captions lack do not count, nor do those that are not listed."""
    lists = {**LONG, "p1": [*NOUNS[:words], "wolf", "bear"]}
    folder = world.read(f"words{words}", lists)
    inputs = of_lists(world, folder, MATCH)
    if words < REGIONS:
        with pytest.raises(DataError, match=f"'p1': {words} words?, {REGIONS} regions"):
            inputs.batches(["p0", "p1"], batch_size=2)
    else:
        (batch,) = inputs.batches(["p0", "p1"], batch_size=2).ordered()
        assert VOCABULARY.decode(batch.pictures.concepts[1].tolist()) == list(NOUNS[:REGIONS])
    (batch,) = of_lists(world, folder, ALIGNED).batches(["p1"], batch_size=1).ordered()
    assert VOCABULARY.decode(batch.pictures.concepts[0].tolist()) == list(NOUNS[:words])


def test_a_count_of_concepts_is_kept_at_every_door(world: World, tmp_path: Path) -> None:
    folder = trained(tmp_path / "c", world.regions)
    wanted = replace(settings(rows="aligned"), concepts=2, region_width=WIDTH)
    made = world.regions.manifest.preprocessing
    run = runs.create(tmp_path / "r", wanted, VOCABULARY, made, (), folder)
    doors = {
        "settings": Inputs(Wanted.of(wanted), StoredConcepts.of(folder, VOCABULARY), world.regions),
        "stored": Inputs.of_run(run, world.regions, folder),
        "found": Inputs.of_run(run, world.regions),
    }
    seen = {name: inputs.stored(DATA.ids).concepts for name, inputs in doors.items()}
    live = Inputs.of_photos(run, Alike(world), "cpu").live(DATA.ids, DATA.ids).concepts
    for concepts in (*seen.values(), live):
        assert concepts.shape == (len(DATA), 2) and torch.equal(concepts, seen["stored"])


class Alike:
    """Regions of new photos that are those of the store, before they were rounded."""

    record = Preprocessing("made-up", "0" * 64)
    width = WIDTH

    def __init__(self, world: World, more: float = 0.0) -> None:
        self.world, self.more = world, more

    def prepare(self, image: object) -> object:
        return image

    def regions(self, prepared: list[str]) -> list[tuple[Tensor, Tensor]]:
        boxes = torch.rand(REGIONS, 4, generator=torch.Generator().manual_seed(0))
        rows = self.world.regions.rows_of(list(prepared))
        return [(row.float() * (1 + self.more), boxes) for row in rows]


def test_new_photos_are_rounded_as_stored_ones_are_and_keep_their_boxes(world: World) -> None:
    """Single precision would tell 1.0001 from 1; what the captioner learned from does not."""
    wanted = Wanted(frozenset(("regions",)), "match", None)
    stored = Inputs(wanted, None, world.regions).stored(DATA.ids)
    for more in (0.0, 1e-4):
        live = Inputs(wanted, None, regions=Alike(world, more)).live(DATA.ids, DATA.ids)
        assert torch.equal(live.regions, stored.regions), more
        assert live.boxes is not None and live.boxes.shape == (len(DATA), REGIONS, 4)
        assert live.concept_scores is None and live.concepts.shape == (len(DATA), 0)


def test_pictures_that_any_store_set_aside_are_left_out_with_the_first_reason(
    world: World,
) -> None:
    broken = World(world.root, extract_nothing(world.root / "broken", aside=("p1", "p4")))
    lists = world.read("few", {id: LONG[id] for id in DATA.ids if id not in ("p4", "p5")})
    inputs = of_lists(broken, lists, ALIGNED)
    assert inputs.set_aside(DATA.ids) == {
        "p1": "p1: truncated", "p4": "p4: truncated", "p5": "few.json: 'p5' has no list",
    }  # fmt: skip
    assert inputs.set_aside(["p0", "p2", "nobody"]) == {}


def test_pictures_without_concepts_are_absent_before_a_batch_is_made(
    world: World, tmp_path: Path
) -> None:
    some = replace(DATA, pictures=DATA.pictures[:4])
    lists = world.read("four", {id: LONG[id] for id in some.ids}, some)
    inputs = of_lists(world, lists, ALIGNED)
    assert inputs.concepts is not None
    assert len(inputs.batches(some.ids, batch_size=3)) == 2
    for listed in (True, False):
        stored = StoredConcepts(lists.store, inputs.concepts.words, listed)
        unread = Inputs(ALIGNED, stored, world.regions)
        with pytest.raises(DataError, match="8 of 12 pictures are not in this store of concepts"):
            unread.batches(DATA.ids, batch_size=3)
    inputs = of_lists(world, lists, ALIGNED, concepts_of={name: "p0" for name in DATA.ids})
    assert len(inputs.batches(DATA.ids, batch_size=3)) == 4


def test_concepts_that_are_no_caption_words_are_none() -> None:
    words = Vocabulary(["a", "cat"])
    mapped = concept_words(words, ["cat", "wolf", "<unk>", "a"])
    assert mapped.tolist()[0] == words.id("cat") and mapped.tolist()[3] == words.id("a")
    assert mapped.tolist()[1] == -1


def test_found_concepts_are_taken_though_none_of_them_is_likely(world: World) -> None:
    """A probability of 0 is no absence from a list."""
    torch.manual_seed(0)
    module = build("pooled", WIDTH, len(NOUNS), 0, 0.0).eval()
    torch.nn.init.constant_(module.head.output.bias, -200.0)
    extractor = Extractor(ConceptVocabulary(NOUNS), "pooled", WIDTH, 0, 0.0, module)
    found = FoundConcepts(extractor, concept_words(VOCABULARY, NOUNS))
    seen = Inputs(MATCH, found, world.regions).stored(["p0"])
    assert seen.concept_scores is not None and bool((seen.concept_scores == 0).all())
    assert VOCABULARY.decode(seen.concepts[0].tolist()) == list(NOUNS[:REGIONS])
