"""What a run saw in a photo: order, ties, whose heat, where it lies, and names of files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from miacap import runs
from miacap.concepts import ConceptFolder, ConceptSource, ConceptVocabulary, Extractor
from miacap.concepts.networks import build
from miacap.data import FeatureStore, Manifest, Preprocessing
from miacap.explain import concepts as module
from miacap.explain import heat_map, show
from miacap.runs import RunSettings
from miacap.text import Vocabulary

WORDS = ("dog", "../cat", "bird", "a b", "tree")
CELLS = 6
"""Two rows of three."""


class Cells:
    """Regions whose rows are the words that each cell is sure of."""

    def __init__(self, *_: object) -> None:
        self.rows = torch.zeros(CELLS, len(WORDS))
        for cell, word in ((1, 2), (4, 2), (5, 0), (0, 1), (2, 3)):
            self.rows[cell, word] = 1.0

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def regions(self, prepared: list[Any]) -> list[tuple[Tensor, Tensor]]:
        return [(self.rows, grid(2, 3)) for _ in prepared]


def grid(rows: int, columns: int) -> Tensor:
    return torch.tensor(
        [
            [column / columns, row / rows, (column + 1) / columns, (row + 1) / rows]
            for row in range(rows)
            for column in range(columns)
        ]
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> runs.Run:
    """Its extractor believes in a word where a cell is sure of it: bird twice, tree nowhere."""
    network = build("multiple-instance", len(WORDS), len(WORDS), 0, 0.0).eval()
    with torch.no_grad():
        network.head.output.weight.copy_(3 * torch.eye(len(WORDS)))
        network.head.output.bias.fill_(-2.0)
    words = ConceptVocabulary(WORDS)
    extractor = Extractor(words, "multiple-instance", len(WORDS), 0, 0.0, network)
    extractor.save(tmp_path / "c")
    source = ConceptSource.of(tmp_path / "c")
    assert source is not None
    made = Preprocessing("made-up", "0" * 64)
    about = Manifest("concepts", made, len(WORDS), WORDS, source.checksum, "a test")
    nothing = FeatureStore(tmp_path / "c", about, [], verify=False)
    found = ConceptFolder(tmp_path / "c", nothing, source)
    monkeypatch.setattr(module, "regions_for", Cells)
    sizes = {"width": 8, "heads": 2, "inner": 8, "rows": "aligned"}
    settings = RunSettings("nic", "combined", sizes, region_width=len(WORDS), concepts=1)
    return runs.create(tmp_path / "r", settings, Vocabulary(["dog"]), made, (), found)


PHOTO = Image.new("RGB", (90, 60), (90, 90, 90))


@pytest.mark.parametrize("top", [1, 2, 4, 5, 9])
def test_words_come_best_first_and_ties_in_the_extractors_order(run: runs.Run, top: int) -> None:
    found = show(run, PHOTO, top=top, device="cpu")
    assert [c.word for c in found] == ["bird", "dog", "../cat", "a b", "tree"][:top]
    sure, not_sure = torch.tensor(1.0).sigmoid().item(), torch.tensor(-2.0).sigmoid().item()
    for concept in found:
        there = {"bird": 2, "tree": 0}.get(concept.word, 1)
        absent = (1 - sure) ** there * (1 - not_sure) ** (CELLS - there)
        assert concept.probability == pytest.approx(1 - absent, abs=1e-3)
        assert concept.hottest == pytest.approx(sure if there else not_sure, abs=1e-3)
        assert concept.heat_map is None


def test_each_map_is_its_own_words_and_its_name_stays_in_the_folder(
    run: runs.Run, tmp_path: Path
) -> None:
    folder = tmp_path / "heat"
    found = show(run, PHOTO, top=4, folder=folder, device="cpu")
    names = ["01-bird.png", "02-dog.png", "03-___cat.png", "04-a_b.png"]
    assert [c.heat_map for c in found] == [folder / name for name in names]
    assert sorted(path.name for path in folder.iterdir()) == names
    hot = {"bird": (1, 4), "dog": (5,), "../cat": (0,), "a b": (2,)}
    for concept in found:
        assert concept.heat_map is not None
        with Image.open(concept.heat_map) as image:
            for cell in range(CELLS):
                red, green, _ = image.getpixel((30 * (cell % 3) + 15, 30 * (cell // 3) + 15))
                assert (red - green > 60) == (cell in hot[concept.word]), (concept.word, cell)
    assert PHOTO.getpixel((45, 30)) == (90, 90, 90)


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (4, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("belief", [1e-6, 0.9])
def test_heat_lies_in_its_cell_and_is_scaled_to_the_hottest(
    rows: int, columns: int, belief: float
) -> None:
    """However weak the belief, its own hottest cell is red; grids need not be square."""
    for cell in range(rows * columns):
        beliefs = torch.zeros(rows * columns)
        beliefs[cell] = belief
        photo = Image.new("RGB", (120, 120), (90, 90, 90))
        image = heat_map(photo, beliefs, grid(rows, columns))
        high, wide = 120 // rows, 120 // columns
        x, y = cell % columns * wide + wide // 2, cell // columns * high + high // 2
        assert image.getpixel((x, y))[0] - image.getpixel((x, y))[1] > 100
        assert image.size == photo.size and photo.getpixel((x, y)) == (90, 90, 90)


def test_a_large_photo_is_left_as_it_is() -> None:
    photo = Image.new("RGB", (1600, 800))
    assert heat_map(photo, torch.rand(CELLS), grid(2, 3)).size == (768, 384)
    assert photo.size == (1600, 800)


def red(image: Image.Image, x: int, y: int) -> int:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel[0] - pixel[1]


def test_boxes_that_lie_anywhere_are_painted_the_strongest_on_top() -> None:
    photo = Image.new("RGB", (100, 100), (90, 90, 90))
    boxes = torch.tensor([[0.0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5], [0.3, 0.3, 0.9, 0.9]])
    image = heat_map(photo, torch.tensor([0.1, 0.8, 0.4]), boxes)
    weak, strong, middle = red(image, 95, 5), red(image, 20, 20), red(image, 80, 80)
    assert red(image, 40, 40) == strong > middle > weak > 0  # where two boxes overlap
    again = heat_map(photo, torch.tensor([0.4, 0.8, 0.1]), boxes[[2, 1, 0]])
    assert again.tobytes() == image.tobytes()  # whatever their order


def test_cells_and_boxes_together_are_painted() -> None:
    photo = Image.new("RGB", (90, 60), (90, 90, 90))
    boxes = torch.cat([grid(2, 3), torch.tensor([[0.0, 0, 1, 1], [0.0, 0.0, 0.001, 0.001]])])
    belief = torch.zeros(8)
    belief[4], belief[7] = 1.0, 0.9
    image = heat_map(photo, belief, boxes)
    assert red(image, 45, 45) == red(image, 31, 59) > 100 > red(image, 15, 15)
    assert red(image, 0, 0) > 100  # a box smaller than a pixel is seen as one
