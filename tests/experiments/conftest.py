"""Two small worlds: drawn scenes with trained runs, and made-up rows that need no network."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from miacap import captioning, concepts, visual
from miacap.concepts import ConceptFolder, ConceptVocabulary, Extractor
from miacap.concepts.networks import build as build_extractor
from miacap.data import Dataset, Entry, Preprocessing, read, scenes
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.runs import RunSettings

WIDTH, REGIONS, PICTURES = 6, 4, 12
NOUNS = ("dog", "cat", "bird", "horse", "boat", "tree")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors on one thread: several only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class NoPhotos:
    """Photos of a made-up dataset: there are none."""

    def read(self, id: str) -> bytes:
        raise AssertionError(f"nothing should read the photo {id}")

    def __contains__(self, id: object) -> bool:
        return False


@dataclass(frozen=True)
class MadeUp:
    """Rows drawn at random that a captioner can learn from, in stores."""

    dataset: Dataset
    regions: FeatureStore
    concepts: ConceptFolder


def settings(captioner: str, source: str, **sizes: object) -> RunSettings:
    """Settings of a training of a second."""
    run = RunSettings(
        captioner=captioner,
        source=source,
        sizes={"width": 8, "heads": 2, "inner": 12, **sizes},
        minimum_count=1,
        maximum_words=6,
        pictures_per_batch=4,
    )
    training = replace(run.training, epochs=1, warmup_steps=0, threads=1)
    return replace(run, training=training)


def make_up(root: Path, seed: int = 0) -> MadeUp:
    """Write stores of made-up rows, and an untrained extractor with its scores."""
    generator = torch.Generator().manual_seed(seed)
    names = [f"p{place}" for place in range(PICTURES)]
    splits = ["train"] * 6 + ["dev"] * 3 + ["test"] * 3
    entries = []
    for place, (name, split) in enumerate(zip(names, splits, strict=True)):
        one, two = NOUNS[place % 6], NOUNS[(place + 1) % 6]
        entries.append(Entry(name, (f"a {one} and a {two}", f"the {one} near a {two}"), split))
    dataset = Dataset("made up", tuple(entries), NoPhotos())
    prepared = Preprocessing("made-up", "0" * 64)
    manifest = Manifest("regions", prepared, WIDTH, None, None, "a test")
    with StoreWriter(root / "features", manifest) as writer:
        for name in names:
            writer.add(name, torch.randn(REGIONS, WIDTH, generator=generator))
    regions = FeatureStore.open(root / "features")
    torch.manual_seed(seed)
    module = build_extractor("multiple-instance", WIDTH, len(NOUNS), 0, 0.0).eval()
    torch.nn.init.normal_(module.head.output.weight)
    vocabulary = ConceptVocabulary(NOUNS)
    extractor = Extractor(vocabulary, "multiple-instance", WIDTH, 0, 0.0, module)
    extractor = extractor.save(root / "concepts")
    told = Manifest("concepts", prepared, len(NOUNS), NOUNS, extractor.checksum, "a test")
    scores = concepts.extract(extractor, regions.rows_of(names))
    with StoreWriter(root / "concepts" / "scores", told) as writer:
        for name, row in zip(names, scores, strict=True):
            writer.add(name, row)
    return MadeUp(dataset, regions, ConceptFolder.open(root / "concepts"))


def train(world: MadeUp, folder: Path, run: RunSettings) -> Path:
    """Train a run on a made-up world."""
    captioning.train(world.dataset, world.regions, folder, run, concepts=world.concepts, quiet=True)
    return folder


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    torch.set_num_threads(1)
    return make_up(tmp_path_factory.mktemp("made-up"))


WORDS = ("circle", "square", "red", "blue")


def extractor_of(kind: str, folder: Path, regions: FeatureStore) -> ConceptFolder:
    """An untrained extractor of four words, with scores of every picture."""
    torch.manual_seed(0)
    width = regions.manifest.width
    module = build_extractor(kind, width, len(WORDS), 0, 0.0).eval()
    torch.nn.init.normal_(module.head.output.weight, std=0.1)
    torch.nn.init.constant_(module.head.output.bias, -2.0)
    extractor = Extractor(ConceptVocabulary(WORDS), kind, width, 0, 0.0, module).save(folder)
    told = Manifest(
        "concepts", regions.manifest.preprocessing, len(WORDS), WORDS, extractor.checksum, "a test"
    )
    with StoreWriter(folder / "scores", told) as writer:
        for name in regions.names:
            writer.add(name, concepts.extract(extractor, [regions.rows(name)])[0])
    return ConceptFolder.open(folder)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, FeatureStore]:
    """Drawn scenes with features, extractors of two kinds and untrained runs of them."""
    root = tmp_path_factory.mktemp("showing")
    torch.set_num_threads(1)
    scenes.draw(root / "scenes", 20, seed=5)
    dataset = read(root / "scenes")
    regions = visual.extract(dataset, root / "f", backbone="efficientnet-lite0", quiet=True)
    wanted = settings("nic", "plain")
    for kind in ("multiple-instance", "pooled"):
        found = extractor_of(kind, root / f"c-{kind}", regions)
        run = replace(
            wanted, source="combined", sizes={**wanted.sizes, "rows": "aligned"}, concepts=2
        )
        captioning.train(
            dataset, regions, root / kind, run, concepts=found, quiet=True, stop_after=1
        )
    captioning.train(dataset, regions, root / "plain", wanted, quiet=True, stop_after=1)
    return root, dataset, regions
