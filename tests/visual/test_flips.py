"""Maps of a photo and its mirror image: the mean by plain loops, records, stores, captions' way."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from miacap.data import Dataset, Entry
from miacap.data.features import Preprocessing, parse, require_same
from miacap.data.photos import FolderPhotos
from miacap.errors import RunError
from miacap.settings import to_json
from miacap.visual import Grid, Places, extract, load, preprocessing_for, regions_for
from miacap.visual.huggingface.pairs import PREFIX, Embedder

SIDE = 96
PHOTO = Image.effect_noise((SIDE, SIDE), 80).convert("RGB")
"""As large as it is seen, so that nothing is scaled."""


class Filters:
    """A backbone of one convolution that tells left from right."""

    name, width, weights_sha256, mean, std = "filters", 8, "ab" * 32, (0.5,) * 3, (0.5,) * 3
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.weight = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    def map(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=32)


def plain(grid: Grid, h: int, w: int) -> Tensor:
    """Extract the photo, extract its mirror image, mirror the cells back, take the mean."""
    seen = grid.rows([PHOTO])[0][0].view(h, w, -1)
    mirrored = grid.rows([ImageOps.mirror(PHOTO)])[0][0].view(h, w, -1)
    rows = torch.zeros_like(seen)
    for i in range(h):
        for j in range(w):
            rows[i, j] = (seen[i, j] + mirrored[i, w - 1 - j]) / 2
    return rows.flatten(0, 1)


@pytest.mark.parametrize("cells", [None, 2, (1, 3), (3, 2)])
@pytest.mark.parametrize("name", ["filters", "efficientnet-lite0"])
def test_the_map_is_the_mean_of_the_photo_and_its_mirror_image(
    name: str, cells: int | tuple[int, int] | None
) -> None:
    net = Filters() if name == "filters" else load(name, "cpu")
    once = Grid(net, preprocessing_for(net, size=SIDE, grid=cells))
    both = Grid(net, preprocessing_for(net, size=SIDE, grid=cells, flips=True))
    h, w = (3, 3) if cells is None else once.record.cells or (0, 0)
    wanted = plain(once, h, w)
    rows, boxes = both.rows([PHOTO])[0]
    torch.testing.assert_close(rows, wanted, rtol=1e-5, atol=1e-5)
    assert float((rows - once.rows([PHOTO])[0][0]).abs().max()) > 0.01
    assert torch.equal(boxes, once.boxes(PHOTO.size))
    turned, _ = both.rows([ImageOps.mirror(PHOTO)])[0]  # what is left is right, and nothing else
    back = rows.view(h, w, -1).flip(1).flatten(0, 1)
    torch.testing.assert_close(turned, back, rtol=1e-5, atol=1e-5)


def test_without_flips_rows_are_what_they_were_to_the_bit() -> None:
    net = Filters()
    x = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    wanted = torch.cat([net.map(part) for part in x.split(4)]).flatten(2).transpose(1, 2)
    assert torch.equal(Grid(net, preprocessing_for(net, size=64)).rows_of(x), wanted)


def test_a_record_brings_the_same_rows_again() -> None:
    net = load("efficientnet-lite0", "cpu")
    grid = Grid(net, preprocessing_for(net, size=64, flips=True))
    saved = json.loads(json.dumps(to_json(grid.record)))
    rows = regions_for(parse(saved, "f"), "cpu").rows([PHOTO])[0][0]
    assert torch.equal(rows, grid.rows([PHOTO])[0][0])
    assert grid.record.title == "efficientnet-lite0 with flips"
    del saved["flips"]  # as it was written before
    old = parse(saved, "f")
    assert isinstance(old, Preprocessing) and not old.flips


def test_a_row_of_a_whole_photo_has_no_cells_to_mirror() -> None:
    record = Preprocessing(f"{PREFIX}small-clip", "ab" * 32, flips=True)
    with pytest.raises(RunError, match="flips are for the cells of a backbone's map"):
        Embedder.rebuild(record, "cpu", Places(()))


def test_stores_with_and_without_are_told_apart(tmp_path: Path) -> None:
    net = Filters()
    (tmp_path / "photos").mkdir()
    PHOTO.save(tmp_path / "photos" / "a.png")
    data = Dataset("one", (Entry("a.png", (), "none"),), FolderPhotos(tmp_path / "photos"))
    once, both = (Grid(net, preprocessing_for(net, size=SIDE, flips=f)) for f in (False, True))
    store = extract(data, tmp_path / "f", regions=once, quiet=True)
    with pytest.raises(RunError, match=r"made otherwise .*flips: False .*True"):
        extract(data, tmp_path / "f", regions=both, quiet=True)
    other = extract(data, tmp_path / "g", regions=both, quiet=True)
    assert torch.equal(other.rows("a.png"), both.rows([PHOTO])[0][0].half())
    with pytest.raises(RunError, match="flips False in the run and True in the features"):
        require_same(store.manifest.preprocessing, other.manifest.preprocessing, "run", "g")
