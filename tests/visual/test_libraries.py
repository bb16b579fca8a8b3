"""The door to timm and torchvision: absent, broken; timm present, played by a stand-in."""

import importlib
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
from miacap.visual import Grid, Places, load, preprocessing_for, regions_for
from miacap.weights import checksum, write_tensors


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


def published(name: str) -> Any:
    """What timm says of a network's own weights."""
    url = f"https://nowhere.invalid/{name}-0a1b2c3d.pth"
    return types.SimpleNamespace(hf_hub_id=None, hf_hub_filename=None, url=url)


def stand_in_for_timm(**more: Any) -> types.ModuleType:
    module = types.ModuleType("timm")
    kinds = ["map", "tokens", "last", "pooled"]
    module.list_models = lambda: kinds

    def create_model(
        name: str, pretrained: bool, pretrained_cfg_overlay: dict[str, Any] | None = None
    ) -> nn.Module:
        assert pretrained
        network = Tower(name)
        if pretrained_cfg_overlay:
            with torch.no_grad():
                network.conv.weight.zero_()
            network.load_state_dict(pretrained_cfg_overlay["state_dict"])
        return network

    module.create_model = create_model
    module.models = types.SimpleNamespace(get_pretrained_cfg=published)
    config = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    module.data = types.SimpleNamespace(resolve_model_data_config=lambda network: config)
    module.__dict__.update(more)
    return module


@pytest.fixture
def cache(torch_cache: Path) -> Path:
    """Torch's cache of weights, with those of the small networks in it."""
    for kind in ("map", "tokens", "last", "pooled"):
        torch.save(Tower(kind).state_dict(), torch_cache / f"{kind}-0a1b2c3d.pth")
    return torch_cache


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch, cache: Path) -> types.ModuleType:
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
    with pytest.raises(RunError, match=r"weights of timm:map are others .* MIACAP_WEIGHTS=FILE\.$"):
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


def test_weights_are_fetched_only_where_that_is_allowed(
    timm: types.ModuleType, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_model(name: str, pretrained: bool) -> nn.Module:
        raise OSError("no route to the hub")

    monkeypatch.setitem(sys.modules, "timm", stand_in_for_timm(create_model=create_model))
    (cache / "map-0a1b2c3d.pth").unlink()
    with pytest.raises(RunError) as e:
        load("timm:map")
    assert str(e.value) == (
        "The backbone timm:map: its weights are not on this machine. Name their file (--weights "
        "FILE, or MIACAP_WEIGHTS=FILE), or let them be fetched where a command has "
        "--allow-download."
    )
    with pytest.raises(RunError) as e:
        load("timm:map", places=Places((), download=True))
    assert str(e.value) == (
        "The backbone timm:map: its weights could not be had (no route to the hub)."
    )


def test_timms_cache_of_the_hub_is_searched(
    timm: types.ModuleType, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    hub = types.SimpleNamespace(hf_hub_id="timm/map", hf_hub_filename=None, url="")
    timm.models.get_pretrained_cfg = lambda name: hub
    file = cache / "map-0a1b2c3d.pth"
    found = {("timm/map", "pytorch_model.bin"): str(file)}
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repo, name: found.get((repo, name))
    )
    assert load("timm:map").width == 8
    found.clear()
    with pytest.raises(RunError, match="not on this machine"):
        load("timm:map")


@pytest.mark.parametrize("form", ["plain.pth", "state_dict.pth", "map-of-mine.safetensors"])
def test_weights_of_a_file(timm: types.ModuleType, tmp_path: Path, form: str) -> None:
    tensors = {name: tensor + 1 for name, tensor in Tower("map").state_dict().items()}
    file = tmp_path / "mine" / form
    file.parent.mkdir()
    if file.suffix == ".safetensors":
        write_tensors(file, tensors)
    else:
        torch.save({"state_dict": tensors, "epoch": 3} if "dict" in form else tensors, file)
    net = load("timm:map", places=Places((file,)))
    assert net.weights_sha256 == checksum(tensors) != load("timm:map").weights_sha256
    record = preprocessing_for(net)
    with pytest.raises(RunError, match="are others than those that made"):
        regions_for(record)
    assert regions_for(record, places=Places((file,))).record == record
    if form.startswith("map-"):  # in a folder it is found by its name
        assert regions_for(record, places=Places((file.parent,))).record == record


def test_a_wrong_file_of_weights_is_told_by_its_keys(
    timm: types.ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "w.pth"
    torch.save({"conv.weight": torch.zeros(8, 3, 16, 16), "head.weight": torch.zeros(2)}, file)
    with pytest.raises(RunError) as e:
        load("timm:map", places=Places((file,)))
    assert str(e.value).startswith(f"The backbone timm:map: {file} holds not its weights: ")
    for key in ('"conv.bias"', '"fc.weight"', '"head.weight"'):
        assert key in str(e.value)
    big = {f"head.{index}": torch.zeros(1) for index in range(1000)}
    torch.save(big, file)
    with pytest.raises(RunError, match=r"\.\.\.$") as e:
        load("timm:map", places=Places((file,)))
    assert len(str(e.value)) < 500


class Fixed(Tower):
    """Takes one size of photos alone."""

    def forward_features(self, x: Tensor) -> Tensor:
        assert x.shape[-2:] == (96, 64), "wrong size"
        return super().forward_features(x)


def test_a_network_of_one_size_is_shown_that_size(timm: types.ModuleType, cache: Path) -> None:
    timm.create_model = lambda name, pretrained, pretrained_cfg_overlay: Fixed("map")
    config = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_size": (3, 96, 64)}
    timm.data = types.SimpleNamespace(resolve_model_data_config=lambda network: config)
    net = load("timm:map")
    assert preprocessing_for(net).size == (96, 64)
    assert Grid(net).boxes().shape == (6, 4)
    with pytest.raises(RunError, match=r"takes no photos of 224 x 224 \(wrong size\); choose"):
        Grid(net, preprocessing_for(net, size=224)).boxes()
