"""A small world: made-up rows and lists of words, no photo and no backbone; trained in a second."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from miacap import captioning, concepts, runs
from miacap.concepts import ConceptFolder, ConceptVocabulary, Extractor, ListSettings
from miacap.concepts.networks import build
from miacap.data import Dataset, Entry, Preprocessing
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.runs import RunSettings

NOUNS = ("dog", "cat", "bird", "horse", "boat", "tree")
WIDTH, REGIONS = 6, 3
SPLITS = ("train",) * 6 + ("dev",) * 3 + ("test",) * 3


class NoPhotos:
    def read(self, id: str) -> bytes:
        raise AssertionError(f"nothing should read the photo {id}")

    def __contains__(self, id: object) -> bool:
        return False


def entries() -> tuple[Entry, ...]:
    pictures = []
    for index, split in enumerate(SPLITS):
        one, two = NOUNS[index % 6], NOUNS[(index + 1) % 6]
        pictures.append(Entry(f"p{index}", (f"a {one} and a {two}", f"the {one}"), split))
    return tuple(pictures)


DATA = Dataset("made up", entries(), NoPhotos())
LONG = {entry.id: [*NOUNS[index % 6 :], *NOUNS[: index % 6]] for index, entry in enumerate(DATA)}
"""Six words for every picture, each picture's own first."""
SHORT = {**LONG, "p1": ["cat", "wolf"], "p8": ["bird", "cat"], "p10": ["tree"]}


@dataclass(frozen=True)
class World:
    root: Path
    regions: FeatureStore

    def read(self, name: str, lists: object, dataset: Dataset = DATA) -> ConceptFolder:
        folder = self.root / name
        if not folder.exists():
            file = self.root / f"{name}.json"
            file.write_text(json.dumps(lists))
            concepts.read(file, dataset, folder, ListSettings(minimum_count=1), quiet=True)
        return ConceptFolder.open(folder)


def extract_nothing(folder: Path, aside: tuple[str, ...] = ()) -> FeatureStore:
    """Rows drawn at random; some pictures are set aside as a broken photo would be."""
    generator = torch.Generator().manual_seed(0)
    told = Manifest("regions", Preprocessing("made-up", "0" * 64), WIDTH, None, None, "a test")
    with StoreWriter(folder, told) as writer:
        for name in DATA.ids:
            rows = torch.randn(REGIONS, WIDTH, generator=generator)
            if name in aside:
                writer.set_aside(name, f"{name}: truncated")
            else:
                writer.add(name, rows)
    return FeatureStore.open(folder)


def trained(folder: Path, regions: FeatureStore, seed: int = 0) -> ConceptFolder:
    """A folder as `concepts train` leaves it, its extractor untrained."""
    torch.manual_seed(seed)
    module = build("pooled", WIDTH, len(NOUNS), 0, 0.0).eval()
    torch.nn.init.normal_(module.head.output.weight)
    found = Extractor(ConceptVocabulary(NOUNS), "pooled", WIDTH, 0, 0.0, module).save(folder)
    prepared = regions.manifest.preprocessing
    told = Manifest("concepts", prepared, len(NOUNS), NOUNS, found.checksum, "a test")
    with StoreWriter(folder / "scores", told) as writer:
        for name in regions.names:
            writer.add(name, concepts.extract(found, [regions.rows(name)])[0])
    return ConceptFolder.open(folder)


def make(root: Path) -> World:
    """Write the stores of the world."""
    torch.set_num_threads(1)
    return World(root, extract_nothing(root / "f"))


def settings(captioner: str = "spatial-attention", source: str = "combined", **sizes: object):
    run = RunSettings(
        captioner=captioner,
        source=source,
        sizes={"width": 8, "heads": 2, "inner": 12, **sizes},
        minimum_count=1,
        maximum_words=6,
        pictures_per_batch=4,
    )
    return replace(run, training=replace(run.training, epochs=1, warmup_steps=0, threads=1))


def fit(world: World, folder: Path, run: RunSettings, lists: ConceptFolder | None, **more: object):
    arguments: dict[str, object] = {"regions": world.regions, "dataset": DATA, "quiet": True}
    captioning.train(folder=folder, settings=run, concepts=lists, **(arguments | more))
    return runs.load(folder)
