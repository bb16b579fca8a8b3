"""torchvision's Faster R-CNN: which boxes, whose features. A stand-in plays it where absent."""

import importlib.util
import sys
import types
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from miacap.data.features import BoxHead, parse
from miacap.errors import MissingExtra, RunError, SettingsError, UnknownName
from miacap.settings import to_json
from miacap.visual import Regions, regions_for, regions_named
from miacap.visual.box_head import BoxHeadClassNames, BoxHeadRegions, FasterRcnn, _once, scaled
from miacap.visual.roi_align import roi_align
from miacap.weights import checksum

BOXES = torch.tensor([[0.1, 0.1, 0.4, 0.9], [0.5, 0.5, 1, 1], [0, 0, 0.3, 0.3], [0, 0, 1, 0.5]])
SCORES = torch.tensor([[0.3, 0.25], [0.05, 0.9], [0.015, 0.02], [0.004, 0.001]])
"""Of four proposals for two classes, in no order. The last one is below every threshold, the one
before it below that which the network comes with; the first may be either class."""
SHIFT = torch.tensor([0.0, 0.02, 0.02, 0.02])
"""How far boxes are moved for the first class; those for the second stay."""


def moved() -> Tensor:
    """Where each proposal is moved for each class, with one that is none: 4 x 3 x 4, relative."""
    return torch.stack([torch.zeros(4, 4), BOXES + SHIFT, BOXES], 1)


class Predictor(nn.Module):
    """Tells classes by the number of a proposal, whatever it looks like."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_score = nn.Linear(6, 3)

    def forward(self, rows: Tensor) -> Any:
        every = torch.cat([1 - SCORES.sum(1, keepdim=True), SCORES], 1)
        return every.log(), torch.zeros(len(rows), 12)


class Coder:
    """Moves boxes to where `moved` says."""

    def decode(self, moves: Tensor, proposals: list[Tensor]) -> Tensor:
        assert moves.shape == (4, 12)
        scale = proposals[0][0, 2:].repeat(2)  # the first proposal is the whole photo
        return moved() * scale


class Heads(nn.Module):
    """The second stage: it describes any box by the mean of its map."""

    def __init__(self) -> None:
        super().__init__()
        self.nms_thresh, self.box_coder = 0.5, Coder()
        self.box_head = nn.Linear(4, 6)
        self.box_predictor = Predictor()

    def box_roi_pool(self, maps: Any, boxes: Any, sizes: Any) -> Tensor:
        ((height, width),) = sizes
        relative = boxes[0] / torch.tensor([width, height, width, height])
        return roi_align(maps["0"][0], relative).mean((2, 3))


class Images:
    def __init__(self, photo: Tensor) -> None:
        height, width = photo.shape[1:]
        self.image_sizes = [(height, width)]
        self.scaled = photo
        self.tensors = torch.zeros(1, 3, max(64, height), max(64, width))  # padded
        self.tensors[0, :, :height, :width] = photo


class Transform:
    """Scales photos to its limits, as torchvision's does."""

    min_size, max_size = (32,), 64

    def __call__(self, photos: list[Tensor]) -> Any:
        assert float(photos[0].max()) <= 1
        sides = torch.tensor(photos[0].shape[-2:])
        least, most = sides.min().to(torch.float32), sides.max().to(torch.float32)
        scale = torch.min(self.min_size[-1] / least, self.max_size / most).item()
        photo = F.interpolate(
            photos[0][None], scale_factor=scale, mode="bilinear", recompute_scale_factor=True,
            align_corners=False,
        )[0]  # fmt: skip
        return Images(photo), None


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform()
        self.backbone, self.roi_heads = nn.Conv2d(3, 4, 4, 4), Heads()
        self.rpn = propose


def propose(images: Any, maps: Any) -> Any:
    """Four proposals; the first is the whole photo."""
    ((height, width),) = images.image_sizes
    sides = torch.tensor([width, height, width, height])
    return [torch.cat([torch.tensor([[0.0, 0, 1, 1]]), BOXES[1:]]) * sides], {}


class Published(Enum):
    COCO_V1 = "v1"
    DEFAULT = "v1"

    @property
    def url(self) -> str:
        return "https://nowhere.invalid/little.pth"

    @property
    def meta(self) -> dict[str, Any]:
        return {"categories": ["__background__", "cat", "traffic light"]}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A stand-in for torchvision, its weights in torch's cache."""
    module: Any = types.ModuleType("torchvision")
    module.models = types.SimpleNamespace(
        detection=None,
        list_models=lambda module: ["fasterrcnn_little", "retinanet_little"],
        get_model_weights=lambda name: Published,
        get_model=lambda name, weights, weights_backbone: Network(),
    )
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    torch.manual_seed(0)
    made = Network()
    (tmp_path / "checkpoints").mkdir()
    torch.save(made.state_dict(), tmp_path / "checkpoints" / "little.pth")
    return made.eval()


NAME = "torchvision:fasterrcnn_little"
PHOTO = Image.radial_gradient("L").convert("RGB").resize((100, 50))


def test_rows_are_the_box_heads_features_of_the_stored_boxes(network: Network) -> None:
    regions = regions_named(NAME, None, device="cpu")
    assert isinstance(regions, BoxHeadRegions) and isinstance(regions, Regions)
    assert regions.width == 6 and regions.record.size == (32, 64)
    rows, boxes = regions.rows([PHOTO])[0]
    # The whole photo, then each proposal once, by falling score; .004 is no box. The first is moved
    # as its best class, the first one, says; the others as the second.
    best = torch.stack([BOXES[1], BOXES[0] + SHIFT, BOXES[2]])
    wanted = torch.cat([torch.tensor([[0.0, 0, 1, 1]]), best])
    torch.testing.assert_close(boxes, wanted)
    seen = PHOTO.resize((64, 32), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(seen)).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        maps = {"0": network.backbone(Images(pixels).tensors)}
        heads = network.roi_heads
        places = wanted * torch.tensor([64.0, 32, 64, 32])
        expected = heads.box_head(heads.box_roi_pool(maps, [places], [(32, 64)]))
    torch.testing.assert_close(rows, expected)
    assert rows.dtype == torch.float32 and not rows.requires_grad


@pytest.mark.parametrize(
    ("boxes", "threshold", "count"), [("36", None, 4), ("2", None, 2), ("1-9", 0.5, 2),
                                      ("3-9", 0.5, 3), ("1-9", 0.95, 1)]
)  # fmt: skip
def test_how_many_boxes(network: Network, boxes: str, threshold: Any, count: int) -> None:
    regions = regions_named(NAME, None, boxes=boxes, threshold=threshold, device="cpu")
    assert len(regions.rows([PHOTO])[0][0]) == count


def test_it_is_rebuilt_from_its_record_or_refused(network: Network, tmp_path: Path) -> None:
    regions = regions_named(NAME, None, device="cpu")
    record = parse(to_json(regions.record), "f")
    assert isinstance(record, BoxHead) and record.weights_sha256 == checksum(network.state_dict())
    assert (record.side, record.title) == (64, NAME)
    again = regions_for(record, "cpu")
    assert torch.equal(again.rows([PHOTO])[0][0], regions.rows([PHOTO])[0][0])
    torch.save(Network().state_dict(), tmp_path / "checkpoints" / "little.pth")
    with pytest.raises(RunError, match=r"weights of torchvision:fasterrcnn_little are others than"):
        regions_for(record, "cpu")
    (tmp_path / "checkpoints" / "little.pth").unlink()
    with pytest.raises(RunError, match="its weights are not on this machine"):
        regions_for(record, "cpu")


def test_names_that_are_none(network: Network) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'fasterrcnn_little'\?"):
        regions_named("torchvision:fasterrcnn_litle", None)
    with pytest.raises(UnknownName, match="No Faster R-CNN in torchvision named 'retina"):
        regions_named("torchvision:retinanet_little", None)
    with pytest.raises(SettingsError, match="are of a backbone's map; name a backbone"):
        regions_named("grid", None)


@given(
    st.lists(st.tuples(*[st.integers(0, 4)] * 4, *[st.integers(0, 6)] * 3), max_size=9),
    st.integers(1, 9),
)
def test_each_proposal_once_as_plain_loops(proposals: list[tuple[int, ...]], most: int) -> None:
    boxes = [(x, y, x + w + 1, y + h + 1) for x, y, w, h, *_ in proposals]
    scores = [[0.0, *(score / 8 for score in one[5:])] for one in proposals]
    moved = torch.tensor(boxes, dtype=torch.float32).view(-1, 1, 4).repeat(1, 3, 1)
    moved[:, 1] += 1
    record = BoxHead("n", "00", found=most, overlap=0.5)
    found = _once(moved, torch.tensor(scores).view(-1, 3), record)
    ranked = sorted(
        (-max(own), number, own.index(max(own))) for number, own in enumerate(scores) if max(own)
    )
    kept: list[tuple[float, int, int]] = []
    for score, number, kind in ranked:
        mine = moved[number, kind].tolist()
        if all(k != kind or _iou(mine, moved[n, k].tolist()) <= 0.5 for _, n, k in kept):
            kept.append((score, number, kind))
    kept = kept[:most]
    assert found[0].tolist() == [moved[n, k].tolist() for _, n, k in kept]
    assert found[1].tolist() == [-score for score, _, _ in kept]
    assert found[2].tolist() == [k for _, _, k in kept]


def _iou(one: list[float], other: list[float]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    inner = max(0.0, wide) * max(0.0, high)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return inner / (areas - inner)


@pytest.mark.parametrize("limits", [(800, 1333), (32, 64), (320, 640)])
def test_a_photo_is_scaled_once(limits: tuple[int, int]) -> None:
    class Own(Transform):
        min_size, max_size = limits[:1], limits[1]

    shapes = [(334, 500), (500, 334), (1, 9000), (375, 500), (640, 427), limits, (7, 7)]
    shapes += [(334 + 7 * step, 334 + 11 * step) for step in range(40)]
    for shape in shapes:
        width, height = scaled(shape, limits)
        assert min(width, height) == limits[0] or max(width, height) == limits[1]
        assert min(width, height) <= limits[0] and max(width, height) <= limits[1]
        if width * height > 1e5 and shape != (334, 500):
            continue  # two large ones say enough, and are slow
        photo = torch.rand(3, height, width)
        images, _ = Own()([photo])
        assert images.image_sizes == [(height, width)]
        assert torch.equal(images.scaled, photo)


def test_a_network_with_other_limits_is_refused(network: Network) -> None:
    record = regions_named(NAME, None, device="cpu").record
    assert isinstance(record, BoxHead)
    kept = record.least_score, record.overlap, record.found, record.interpolation
    assert kept == (0.01, 0.5, 1000, "bilinear")
    with pytest.raises(RunError) as e:
        regions_for(replace(record, size=(40, 64)), "cpu")
    assert str(e.value) == (
        f"These regions were made by a {NAME} whose size is (40, 64); in the torchvision that is "
        "installed it is (32, 64). Install the one that made them, or extract the features again."
    )
    with pytest.raises(RunError, match=r"whose overlap is 0\.7; .* it is 0\.5"):
        regions_for(replace(record, overlap=0.7), "cpu")
    few = regions_for(replace(record, found=1), "cpu")
    some = regions_for(replace(record, least_score=0.2), "cpu")
    assert [len(one.rows([PHOTO])[0][0]) for one in (few, some)] == [2, 3]
    for name, value in (("least_score", 2.0), ("overlap", -1.0), ("found", 0)):
        with pytest.raises(SettingsError, match=f"box-head: {name} is "):
            replace(record, **{name: value})


def test_its_classes_are_concepts_too(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = BoxHeadClassNames(FasterRcnn(NAME, "cpu"))
    scores = looking.scores(looking.prepare(PHOTO))
    torch.testing.assert_close(scores, torch.tensor([0, 0.3, 0.9]))
    monkeypatch.setattr(sys.modules[__name__], "SCORES", torch.tensor([[0.3, 0.6]] * 4))
    # A class counts where it is no box's best as well.
    torch.testing.assert_close(looking.scores(looking.prepare(PHOTO)), torch.tensor([0, 0.3, 0.6]))
    assert looking.classes == ("__background__", "cat", "traffic light") and looking.name == NAME


def test_without_torchvision_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtra, match=r"needs the extra \[backbones\]"):
        regions_named(NAME, None)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights, where a torchvision with its compiled part is installed."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed; there is no build of it beside a CPU torch")
    import torchvision

    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    made = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    file = tmp_path / f"{name}.pth"
    torch.save(made.state_dict(), file)
    monkeypatch.setenv("MIACAP_WEIGHTS", str(file))
    regions = regions_named(f"torchvision:{name}", None, boxes="10", device="cpu")
    rows, boxes = regions.rows([PHOTO])[0]
    assert rows.shape == (len(boxes), 1024) and 1 <= len(boxes) <= 10
    assert boxes[0].tolist() == [0, 0, 1, 1]
