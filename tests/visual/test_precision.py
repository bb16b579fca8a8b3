"""Networks that compute in bfloat16: what is computed, recorded, refused and found again."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from miacap.data import Dataset, Entry
from miacap.data.features import Preprocessing, parse, require_same
from miacap.data.photos import FolderPhotos
from miacap.errors import RunError, SettingsError
from miacap.settings import to_json
from miacap.visual import Grid, Places, extract, load, preprocessing_for, regions_for
from miacap.visual.named_regions import regions_named

PHOTO = Image.effect_noise((100, 80), 80).convert("RGB")


class Filters:
    """A backbone of one convolution, in whose numbers bfloat16 shows."""

    name, width, weights_sha256, mean, std = "filters", 8, "ab" * 32, (0.5,) * 3, (0.5,) * 3

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.weight = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    def map(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=32)


def in_both(net: Filters) -> tuple[Grid, Grid]:
    return Grid(net), Grid(net, preprocessing_for(net, precision="bfloat16"))


def test_products_are_of_bfloat16_and_rows_float32() -> None:
    net = Filters()
    exact, short = in_both(net)
    assert exact.record.precision == "float32"
    x = torch.rand(6, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    low = F.conv2d(x.bfloat16(), net.weight.bfloat16(), stride=32)
    assert low.dtype == torch.bfloat16
    rows = short.rows_of(x)
    assert rows.dtype == torch.float32
    # Sums of 3,072 products, rounded to eight bits once, in whichever order they were added.
    torch.testing.assert_close(rows, low.float().flatten(2).transpose(1, 2), rtol=8e-3, atol=8e-2)
    assert torch.equal(rows, rows.bfloat16().float())
    wanted = torch.cat([net.map(part) for part in x.split(4)]).flatten(2).transpose(1, 2)
    assert torch.equal(exact.rows_of(x), wanted)  # float32 is what it was, to the bit
    assert not torch.equal(rows, wanted)
    assert not torch.is_autocast_enabled("cpu")


def test_cells_are_pooled_in_float32() -> None:
    net = Filters()
    own = Grid(net, preprocessing_for(net, precision="bfloat16")).rows([PHOTO])[0][0]
    how = preprocessing_for(net, precision="bfloat16", grid=1)
    torch.testing.assert_close(Grid(net, how).rows([PHOTO])[0][0], own.mean(0, keepdim=True))


def test_boxes_are_pooled_from_a_map_in_bfloat16(
    onnx_files: SimpleNamespace, tmp_path: Path
) -> None:
    net = Filters()
    file = onnx_files.write(tmp_path, [[0.0, 0.0, 0.5, 1.0]], [[0.9]], ["cat"])
    how = preprocessing_for(net, precision="bfloat16")
    joined = regions_named(f"grid+detector:{file}", net, preprocessing=how, device="cpu")
    rows, _ = joined.rows([PHOTO])[0]
    cells = Grid(net, how).rows([PHOTO])[0][0]
    assert torch.equal(rows[:49], cells)
    exact, _ = regions_named(f"detector:{file}", net, device="cpu").rows([PHOTO])[0]
    assert len(exact) == 2 and rows[49:].shape == exact.shape
    assert not torch.equal(rows[49:], exact)
    torch.testing.assert_close(rows[49:], exact, rtol=0.01, atol=0.2)
    assert joined.record.title.endswith(" on filters in bfloat16 with the grid")


def test_a_record_brings_the_same_numbers_again() -> None:
    net = load("efficientnet-lite0", "cpu")
    grid = Grid(net, preprocessing_for(net, precision="bfloat16", size=64))
    saved = json.loads(json.dumps(to_json(grid.record)))
    rows = regions_for(parse(saved, "f"), "cpu").rows([PHOTO])[0][0]
    assert torch.equal(rows, grid.rows([PHOTO])[0][0]) and rows.dtype == torch.float32
    del saved["precision"]  # as it was written before
    old = parse(saved, "f")
    assert isinstance(old, Preprocessing) and old.precision == "float32"
    exact = regions_for(old, "cpu").rows([PHOTO])[0][0]
    assert torch.equal(exact, Grid(net, preprocessing_for(net, size=64)).rows([PHOTO])[0][0])
    gap = float((rows - exact).norm() / exact.norm())
    assert 1e-3 < gap < 0.1


def test_transformers_networks_too(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    save = runpy.run_path(str(Path(__file__).with_name("small_models.py")))["save"]
    for name in ("vit", "convnext"):
        net = load(f"hf:{save(name, tmp_path / name)}", "cpu")
        how = preprocessing_for(net, precision="bfloat16")
        rows = regions_for(how, "cpu", places=Places.of([tmp_path])).rows([PHOTO])[0][0]
        exact = Grid(net).rows([PHOTO])[0][0]
        assert rows.dtype == torch.float32 and not torch.equal(rows, exact)
        torch.testing.assert_close(rows, exact, rtol=0.1, atol=0.05)


def test_rows_of_words_and_photos_too(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from miacap.visual.huggingface import Embedder, ModelFolder

    save = runpy.run_path(str(Path(__file__).with_name("small_models.py")))["save"]
    folder = ModelFolder.open(save("clip", tmp_path / "clip"))
    mine = Embedder("clip", folder, "cpu")
    short = Embedder("clip", folder, "cpu", replace(mine.record, precision="bfloat16"))
    exact, rows = mine.rows([PHOTO])[0][0], short.rows([PHOTO])[0][0]
    assert rows.dtype == torch.float32 and not torch.equal(rows, exact)
    assert float(rows.norm()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(rows, exact, rtol=0.1, atol=0.05)


def test_precisions_do_not_mix(tmp_path: Path) -> None:
    net = Filters()
    (tmp_path / "photos").mkdir()
    PHOTO.save(tmp_path / "photos" / "a.png")
    photos = FolderPhotos(tmp_path / "photos")
    data = Dataset("one", (Entry("a.png", (), "none"),), photos)
    exact, short = in_both(net)
    store = extract(data, tmp_path / "f", regions=exact, quiet=True)
    with pytest.raises(RunError, match=r"made otherwise .*precision: 'float32' .*'bfloat16'"):
        extract(data, tmp_path / "f", regions=short, quiet=True)
    other = extract(data, tmp_path / "g", regions=short, quiet=True)
    assert other.rows("a.png").dtype == store.rows("a.png").dtype == torch.float16
    assert torch.equal(other.rows("a.png"), short.rows([PHOTO])[0][0].half())
    with pytest.raises(RunError, match="precision 'float32' in the run and 'bfloat16' in"):
        require_same(store.manifest.preprocessing, other.manifest.preprocessing, "run", "g")


def test_what_cannot_be_had_is_named() -> None:
    net = Filters("meta")
    with pytest.raises(SettingsError) as e:
        Grid(net, preprocessing_for(net, precision="bfloat16")).boxes()
    assert str(e.value) == (
        "precision=bfloat16: not on the device 'meta'; choose cpu or cuda, or precision=float32."
    )
    saved = {**to_json(preprocessing_for(net)), "precision": "float16"}
    with pytest.raises(
        SettingsError, match=r"precision is one of float32, bfloat16, not 'float16'"
    ):
        parse(saved, "f")
