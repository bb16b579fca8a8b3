"""torchvision's Faster R-CNN: which boxes, whose features. A stand-in plays it where absent."""

import importlib.util
import sys
import types
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from miacap.data.features import BoxHead, parse
from miacap.errors import MissingExtra, RunError, SettingsError, UnknownName
from miacap.settings import to_json
from miacap.visual import Regions, regions_for, regions_named
from miacap.visual.box_head import BoxHeadClassNames, BoxHeadRegions, FasterRcnn
from miacap.visual.roi_align import roi_align
from miacap.weights import checksum

BOXES = torch.tensor([[0.1, 0.1, 0.4, 0.9], [0.5, 0.5, 1, 1], [0, 0, 0.3, 0.3], [0, 0, 1, 0.5]])
SCORES, LABELS = torch.tensor([0.3, 0.9, 0.02, 0.004]), torch.tensor([1, 2, 2, 1])
"""As a network may give them that does not sort; the last one is below every
threshold, the one before it below that which the network comes with."""


class Heads(nn.Module):
    """The second stage: it finds three boxes, and describes any box by the mean of its map."""

    def __init__(self) -> None:
        super().__init__()
        self.score_thresh, self.detections_per_img = 0.05, 100
        self.box_head = nn.Linear(4, 6)
        self.box_predictor = nn.Module()
        self.box_predictor.cls_score = nn.Linear(6, 3)

    def box_roi_pool(self, maps: Any, boxes: Any, sizes: Any) -> Tensor:
        ((height, width),) = sizes
        relative = boxes[0] / torch.tensor([width, height, width, height])
        return roi_align(maps["0"][0], relative).mean((2, 3))

    def forward(self, maps: Any, proposals: Any, sizes: Any) -> Any:
        ((height, width),) = sizes
        good = (self.score_thresh < SCORES).nonzero().squeeze(1)[: self.detections_per_img]
        boxes = BOXES * torch.tensor([width, height, width, height])
        return [{"boxes": boxes[good], "scores": SCORES[good], "labels": LABELS[good]}], {}


class Images:
    def __init__(self, photo: Tensor) -> None:
        height, width = photo.shape[1:]
        self.image_sizes = [(height, width)]
        self.tensors = torch.zeros(1, 3, 64, 64)  # padded, as torchvision does
        self.tensors[0, :, :height, :width] = photo


class Transform:
    min_size, max_size = (32,), 64

    def __call__(self, photos: list[Tensor]) -> Any:
        assert float(photos[0].max()) <= 1
        return Images(photos[0]), None


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform()
        self.backbone, self.roi_heads = nn.Conv2d(3, 4, 4, 4), Heads()
        self.rpn = lambda images, maps: (None, None)


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
    # The whole photo, then by falling score; .004 is no box.
    wanted = torch.cat([torch.tensor([[0.0, 0, 1, 1]]), BOXES[[1, 0, 2]]])
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


def test_its_classes_are_concepts_too(network: Network) -> None:
    looking = BoxHeadClassNames(FasterRcnn(NAME, "cpu"))
    scores = looking.scores(looking.prepare(PHOTO))
    torch.testing.assert_close(scores, torch.tensor([0, 0.3, 0.9]))
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
