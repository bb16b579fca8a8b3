"""The door to timm and torchvision: absent, broken, present (stand-ins, and the real ones)."""

import importlib
import importlib.util
import runpy
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
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
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of weights, with those of the small networks in it."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for kind in ("map", "tokens", "last", "pooled"):
        torch.save(Tower(kind).state_dict(), folder / f"{kind}-0a1b2c3d.pth")
    return folder


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


def stand_in_for_torchvision(make: Callable[..., nn.Module]) -> types.ModuleType:
    module = types.ModuleType("torchvision")
    transforms = types.SimpleNamespace(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])

    class Published(Enum):
        IMAGENET1K_V1 = "v1"
        IMAGENET1K_V2 = "v2"
        DEFAULT = "v2"

        @property
        def url(self) -> str:
            return f"https://nowhere.invalid/little-{self.value}.pth"

        def transforms(self) -> Any:
            return transforms

    names = ["little", "googlenet", "densenet"]
    module.models = types.SimpleNamespace(
        list_models=lambda module=None: names,
        get_model_weights=lambda name: Published,
        get_model=lambda name, weights, **more: make(**more),
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


def in_cache(cache: Path, network: nn.Module, version: str = "v2") -> nn.Module:
    torch.save(network.state_dict(), cache / f"little-{version}.pth")
    return network


@pytest.mark.parametrize("make", [WithFeatures, InOrder])
def test_torchvisions_trunk(
    make: type[nn.Module], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(make))
    network = in_cache(cache, make())
    older = in_cache(cache, make(), "v1")
    net = load("torchvision:little")
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = network.features(x) if make is WithFeatures else network.conv1(x).relu()
    torch.testing.assert_close(net.map(x), wanted)
    assert net.width == 5 and net.mean == (0.1, 0.2, 0.3)
    assert net.weights_sha256 == checksum(network.state_dict())
    tagged = load("torchvision:little.IMAGENET1K_V1")
    assert tagged.name == "torchvision:little.IMAGENET1K_V1"
    assert tagged.weights_sha256 == checksum(older.state_dict())
    with pytest.raises(UnknownName, match="Did you mean 'little'"):
        load("torchvision:litle")
    with pytest.raises(UnknownName, match="Did you mean 'IMAGENET1K_V"):
        load("torchvision:little.IMAGENET1K_V3")


class Port(InOrder):
    """As GoogLeNet: photos are normalised a second time, side heads are for training."""

    def __init__(self, transform_input: bool = False, init_weights: bool = True) -> None:
        super().__init__()
        self.transform_input, self.aux_logits = transform_input, True
        self.aux1, self.aux2 = nn.Linear(5, 10), nn.Linear(5, 10)

    def _transform_input(self, x: Tensor) -> Tensor:
        return 2 * x - 1 if self.transform_input else x


def test_googlenets_photos_are_normalised_as_its_weights_want(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Port))
    network = in_cache(cache, Port())
    x = torch.rand(2, 3, 64, 64)
    net = load("torchvision:googlenet")
    with torch.no_grad():
        torch.testing.assert_close(net.map(x), network.conv1(2 * x - 1).relu())
    # Known by the tensors that are used: torchvision drops the side heads as well.
    used = {k: v for k, v in network.state_dict().items() if not k.startswith("aux")}
    assert net.weights_sha256 == checksum(used)


class Transformer(nn.Module):
    """As torchvision's vision transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, 4, 32, 32)
        self.class_token = nn.Parameter(torch.randn(1, 1, 4))
        self.encoder, self.heads = nn.LayerNorm(4), nn.Linear(4, 10)

    def _process_input(self, x: Tensor) -> Tensor:
        return self.conv_proj(x).flatten(2).transpose(1, 2)


def test_torchvisions_transformers_give_their_patches(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Transformer))
    network = in_cache(cache, Transformer())
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = network.encoder(network.conv_proj(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(load("torchvision:little").map(x), wanted)


def test_densenets_old_names_are_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        layer = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 5, 32, 32)))
        return nn.Sequential(OrderedDict(features=nn.Sequential(OrderedDict(denselayer1=layer))))

    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(make))
    network = make()
    old = {key.replace("conv1", "conv.1"): v for key, v in network.state_dict().items()}
    assert "features.denselayer1.conv.1.weight" in old
    torch.save(old, cache / "little-v2.pth")
    assert load("torchvision:densenet").weights_sha256 == checksum(network.state_dict())


def test_torchvisions_weights_are_fetched_only_where_that_is_allowed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(InOrder))
    with pytest.raises(RunError, match="torchvision:little: its weights are not on this machine"):
        load("torchvision:little")
    tensors = InOrder().state_dict()

    def fetch(url: str, file: str, hash_prefix: str | None) -> None:
        assert url == "https://nowhere.invalid/little-v2.pth" and hash_prefix is None
        torch.save(tensors, file)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    net = load("torchvision:little", places=Places((), download=True))
    assert net.weights_sha256 == checksum(tensors)
    assert (cache / "little-v2.pth").is_file()


class Dice(InOrder):
    """Another map each time."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.Dropout(0.5)

    def eval(self) -> "Dice":
        return self


def test_networks_that_throw_dice_or_give_no_numbers_are_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Dice))
    network = in_cache(cache, Dice())
    with pytest.raises(RunError, match="gives other numbers each time that it sees a photo"):
        load("torchvision:little")
    network.conv1.bias.data.fill_(float("nan"))
    in_cache(cache, network)
    with pytest.raises(RunError, match="gives numbers that are not finite"):
        load("torchvision:little")


_KEPT: list[dict[str, Any]] = []  # the operators live as long as what defined them


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Any:
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
    monkeypatch.setattr("miacap.visual.from_timm._cached", lambda timm, name: None)

    def random_weights(full: str, name: str, weights: Any, places: Places) -> Path:
        torch.manual_seed(0)
        network = torchvision.models.get_model(name.partition(".")[0], weights=None)
        file = Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.pth"
        torch.save(network.state_dict(), file)
        return file

    monkeypatch.setattr("miacap.visual.from_torchvision._file", random_weights)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("name", "width", "side"),
    [
        ("timm:resnet18", 512, 7), ("timm:vit_tiny_patch16_224", 192, 14),
        ("timm:swin_tiny_patch4_window7_224", 768, 7), ("timm:tf_efficientnet_lite0", 1280, 7),
        ("torchvision:resnet18", 512, 7), ("torchvision:mobilenet_v3_small", 576, 7),
        ("torchvision:convnext_tiny", 768, 7), ("torchvision:swin_t", 768, 7),
        ("torchvision:googlenet", 1024, 7), ("torchvision:resnet101", 2048, 7),
        ("torchvision:vit_b_32", 768, 7), ("torchvision:densenet121", 1024, 7),
    ],
)  # fmt: skip
def test_real_networks(real: None, name: str, width: int, side: int) -> None:
    net = load(name, places=Places((), download=True))
    assert net.width == width
    assert net.map(torch.rand(2, 3, 224, 224)).shape == (2, width, side, side)
