"""Run folders of seconds: untrained captioners, rows drawn at random, no backbone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from miacap import runs
from miacap.concepts import ConceptFolder, ConceptSource, ConceptVocabulary, Extractor
from miacap.concepts.networks import build
from miacap.data import Dataset, Entry, FeatureStore, Manifest, Preprocessing
from miacap.data.store import StoreWriter
from miacap.runs import RunSettings
from miacap.runs.folder import build as build_captioner
from miacap.text import Vocabulary
from miacap.weights import write_weights

WORDS = ("a", "dog", "cat", "bird", "tree", "boat", "red", "big", "on", "the")
CONCEPTS = ("dog", "cat", "wolf", "bird", "tree", "boat", "red", "big")
"""One of them (wolf) is no word of the captions."""
WIDTH = 6
MADE = Preprocessing("made-up", "0" * 64)
PHOTO = Image.new("RGB", (90, 60), (90, 120, 90))


def grid(rows: int, columns: int) -> Tensor:
    return torch.tensor(
        [
            [column / columns, row / rows, (column + 1) / columns, (row + 1) / rows]
            for row in range(rows)
            for column in range(columns)
        ]
    )


class MadeUp:
    """Regions of any photo: the same rows, drawn once; cells of a grid or boxes."""

    boxes = grid(2, 3)

    def __init__(self, *_: object) -> None:
        generator = torch.Generator().manual_seed(5)
        self.rows = torch.randn(len(self.boxes), WIDTH, generator=generator).half().float()
        self.record, self.width = MADE, WIDTH

    def prepare(self, image: object) -> str:
        return "ready"

    def regions(self, prepared: list[Any]) -> list[tuple[Tensor, Tensor]]:
        return [(self.rows, self.boxes) for _ in prepared]


def concept_folder(folder: Path) -> ConceptFolder:
    torch.manual_seed(2)
    network = build("multiple-instance", WIDTH, len(CONCEPTS), 0, 0.0).eval()
    torch.nn.init.normal_(network.head.output.weight)
    words = ConceptVocabulary(CONCEPTS)
    Extractor(words, "multiple-instance", WIDTH, 0, 0.0, network).save(folder)
    source = ConceptSource.of(folder)
    assert source is not None
    about = Manifest("concepts", MADE, len(CONCEPTS), CONCEPTS, source.checksum, "a test")
    return ConceptFolder(folder, FeatureStore(folder, about, [], verify=False), source)


def run(
    folder: Path,
    captioner: str = "spatial-attention",
    source: str = "combined",
    seed: int = 0,
    concepts: int | None = None,
    words: tuple[str, ...] = WORDS,
    **sizes: object,
) -> Path:
    """Lay a run folder with weights drawn at random, large enough that words and maps differ."""
    every = {"width": 8, **sizes}
    settings = RunSettings(
        captioner, source, every, region_width=WIDTH, concepts=concepts, maximum_words=7
    )
    reads = settings.reads & {"concepts", "scores"}
    found = concept_folder(folder.parent / f"{folder.name}-concepts") if reads else None
    vocabulary = Vocabulary(words)
    runs.create(folder, settings, vocabulary, MADE, (), found)
    torch.manual_seed(seed)
    module = build_captioner(settings, len(vocabulary))
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
    write_weights(folder / "weights.safetensors", module.state_dict())
    return folder


def data(root: Path) -> tuple[Dataset, FeatureStore]:
    """Give five photos with two captions each, all in dev, and their made-up features."""
    photos = {}
    entries = []
    generator = torch.Generator().manual_seed(1)
    about = Manifest("regions", MADE, WIDTH, None, None, "a test")
    with StoreWriter(root / "f", about) as writer:
        for index, words in enumerate(WORDS[1:6]):
            name = f"p{index}.png"
            file = root / name
            PHOTO.save(file)
            photos[name] = file.read_bytes()
            entries.append(Entry(name, (f"the {words} on a tree", f"a {words}"), "dev"))
            writer.add(name, torch.randn(6, WIDTH, generator=generator))

    class Photos(SimpleNamespace):
        def __contains__(self, id: object) -> bool:
            return id in photos

    dataset = Dataset("small", tuple(entries), Photos(read=photos.__getitem__))
    return dataset, FeatureStore.open(root / "f")
