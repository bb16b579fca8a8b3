"""A made-up dataset whose captions can be read off its region rows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from miacap.concepts import ConceptSettings, train
from miacap.data import Dataset, Entry
from miacap.data.features import Given
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.training import TrainingSettings

WORDS = ("dog", "ball", "grass", "water", "boy", "red", "running", "two")
WIDTH = 12
World = tuple[FeatureStore, Dataset]
QUICK = ConceptSettings(
    minimum_count=1, hidden=16, dropout=0.1, folds=3, batch_size=16,
    training=TrainingSettings(epochs=12, learning_rate=0.02, warmup_steps=4, patience=4),
)  # fmt: skip
SHORT = replace(QUICK, training=TrainingSettings(epochs=2))


class Bytes:
    """Photos as bytes in memory; some may be absent."""

    def __init__(self, content: Mapping[str, bytes]) -> None:
        self.content = dict(content)

    def read(self, id: str) -> bytes:
        return self.content[id]

    def __contains__(self, id: object) -> bool:
        return id in self.content


def shown(row: int) -> list[str]:
    """The words of picture ``row``: each word in a third of the pictures, independently."""
    bits = torch.randint(3, (len(WORDS),), generator=torch.Generator().manual_seed(row))
    return [word for word, bit in zip(WORDS, bits.tolist(), strict=True) if bit == 0]


def regions_of(row: int) -> Tensor:
    """4 region rows: each shown word lights its column at one region."""
    generator = torch.Generator().manual_seed(1000 + row)
    rows = 0.3 * torch.randn(4, WIDTH, generator=generator)
    for word in shown(row):
        rows[int(torch.randint(4, (), generator=generator)), WORDS.index(word)] += 3.0
    return rows


def made_up(folder: Path, pictures: int = 150) -> tuple[FeatureStore, Dataset]:
    """Draw a store and a dataset of two thirds train, the rest dev and test."""
    manifest = Manifest("regions", Given("made-up"), WIDTH, None, None, "tests")
    entries, content = [], {}
    with StoreWriter(folder, manifest) as writer:
        for row in range(pictures):
            name = f"{row:03d}.jpg"
            writer.add(name, regions_of(row))
            content[name] = name.encode()
            said = shown(row)
            captions = (" ".join(["there is a", *said]), "this is the " + " and ".join(said[:1]))
            split = "train" if row % 3 else ("dev" if row % 2 else "test")
            entries.append(Entry(name, () if split == "test" else captions, split))
    dataset = Dataset("made-up", tuple(entries), Bytes(content), (), ())
    return FeatureStore.open(folder), dataset


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made-up pictures; tests replace what they change."""
    return made_up(tmp_path_factory.mktemp("made-up") / "regions")


@pytest.fixture(scope="session")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trained concepts; look, but do not change it."""
    folder = tmp_path_factory.mktemp("concepts") / "c"
    train(*world, folder, QUICK, quiet=True)
    return folder


def scores(folder: Path) -> dict[str, torch.Tensor]:
    store = FeatureStore.open(folder / "scores")
    return {name: store.rows(name).clone() for name in store.names}
