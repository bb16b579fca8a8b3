"""The door to timm and torchvision: absent, broken, present (stand-ins, and the real ones)."""

import importlib
import importlib.util
import runpy
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap.data.features import parse
from miacap.errors import MissingExtra, RunError, UnknownName
from miacap.settings import to_json as settings_of
from miacap.visual import Grid, load, preprocessing_for, regions_for


class Tower(nn.Module):
    """A little network of timm's make: convolutions, then pooling and a classifier."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.kind = kind
        self.conv = nn.Conv2d(3, 8, 32, 32)
        self.fc = nn.Linear(8, 10)
        if kind == "tokens":
            self.num_prefix_tokens = 1
        if kind == "last":
            self.output_fmt = "NHWC"

    def forward_features(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.kind == "tokens":
            return torch.cat([torch.full((len(x), 1, 8), 99.0), y.flatten(2).transpose(1, 2)], 1)
        if self.kind == "last":
            return y.permute(0, 2, 3, 1)
        return y.mean((2, 3)) if self.kind == "pooled" else y


def stand_in_for_timm(**more: Any) -> types.ModuleType:
    module = types.ModuleType("timm")
    kinds = ["map", "tokens", "last", "pooled"]
    module.list_models = lambda: kinds

    def create_model(name: str, pretrained: bool) -> nn.Module:
        assert pretrained
        return Tower(name)

    module.create_model = create_model
    config = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    module.data = types.SimpleNamespace(resolve_model_data_config=lambda network: config)
    module.__dict__.update(more)
    return module


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = stand_in_for_timm()
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.mark.parametrize("kind", ["map", "tokens", "last"])
def test_timms_features_become_a_map(timm: types.ModuleType, kind: str) -> None:
    net = load(f"timm:{kind}")
    assert (net.name, net.width) == (f"timm:{kind}", 8)
    assert net.mean == (0.1, 0.2, 0.3) and net.std == (0.4, 0.5, 0.6)
    x = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        wanted = Tower(kind).conv(x)
    torch.testing.assert_close(net.map(x), wanted)
    how = preprocessing_for(net)
    assert how.mean == net.mean and how.std == net.std
    assert regions_for(parse(settings_of(how), "f")).record == how
    assert Grid(net).boxes().shape == (49, 4)


def test_features_that_are_no_map_are_refused(timm: types.ModuleType) -> None:
    with pytest.raises(RunError, match=r"pooled gives features of shape \(1, 8\), which are no"):
        load("timm:pooled")


def test_an_unknown_name_offers_the_nearest(timm: types.ModuleType) -> None:
    with pytest.raises(UnknownName, match=r"No backbone in timm named 'token'\. Did you mean 't"):
        load("timm:token")


def test_other_weights_under_the_same_name_are_refused(timm: types.ModuleType) -> None:
    saved = preprocessing_for(load("timm:map"))
    with pytest.raises(RunError, match=r"weights of timm:map are others .* the same ones\.$"):
        regions_for(replace(saved, weights_sha256="00" * 32))


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_an_absent_library_is_one_sentence(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra) as e:
        load(f"{library}:resnet18")
    assert str(e.value) == (
        f"The backbone {library}:resnet18 needs the extra [backbones]: "
        "pip install 'miacap[backbones]'"
    )


def test_a_library_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(RunError) as e:
        load("torchvision:resnet18")
    assert str(e.value) == (
        "The backbone torchvision:resnet18: torchvision is installed but does not import (operator "
        "torchvision::nms does not exist). Install builds of torch and torchvision that belong "
        "together."
    )


def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, pretrained: bool) -> nn.Module:
        raise OSError("no route to the hub")

    monkeypatch.setitem(sys.modules, "timm", stand_in_for_timm(create_model=create_model))
    with pytest.raises(RunError) as e:
        load("timm:map")
    assert str(e.value) == (
        "The backbone timm:map: its weights could not be had (no route to the hub)."
    )


def stand_in_for_torchvision(network: nn.Module) -> types.ModuleType:
    module = types.ModuleType("torchvision")
    transforms = types.SimpleNamespace(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    weights = types.SimpleNamespace(transforms=lambda: transforms)
    module.models = types.SimpleNamespace(
        list_models=lambda module=None: ["little"],
        get_model_weights=lambda name: types.SimpleNamespace(DEFAULT=weights),
        get_model=lambda name, weights: network,
    )
    return module


class WithFeatures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 5, 32, 32)
        self.classifier = nn.Linear(5, 10)


class InOrder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu = nn.Conv2d(3, 5, 32, 32), nn.ReLU()
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(5, 10)


@pytest.mark.parametrize("make", [WithFeatures, InOrder])
def test_torchvisions_trunk(make: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    network = make()
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(network))
    net = load("torchvision:little")
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = network.features(x) if make is WithFeatures else network.conv1(x).relu()
    torch.testing.assert_close(net.map(x), wanted)
    assert net.width == 5 and net.mean == (0.1, 0.2, 0.3)
    with pytest.raises(UnknownName, match="Did you mean 'little'"):
        load("torchvision:litle")


_KEPT: list[dict[str, Any]] = []  # the operators live as long as what defined them


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real libraries, where they are installed; random weights instead of downloaded ones."""
    for library in ("torchvision", "timm"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed; there is no build of it beside a CPU torch")
    _KEPT.append(runpy.run_path(str(Path(__file__).with_name("torchvision_operators.py"))))
    _KEPT[-1]["register"]()
    import timm
    import torchvision

    make = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: make(name))
    get = torchvision.models.get_model
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: get(name))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("name", "width", "side"),
    [
        ("timm:resnet18", 512, 7), ("timm:vit_tiny_patch16_224", 192, 14),
        ("timm:swin_tiny_patch4_window7_224", 768, 7), ("timm:tf_efficientnet_lite0", 1280, 7),
        ("torchvision:resnet18", 512, 7), ("torchvision:mobilenet_v3_small", 576, 7),
        ("torchvision:convnext_tiny", 768, 7), ("torchvision:swin_t", 768, 7),
    ],
)  # fmt: skip
def test_real_networks(real: None, name: str, width: int, side: int) -> None:
    net = load(name)
    assert net.width == width
    assert net.map(torch.rand(2, 3, 224, 224)).shape == (2, width, side, side)
