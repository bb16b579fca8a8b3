"""torchvision's classifiers as backbones: stand-ins, and the real ones where they are installed."""

import importlib.util
import runpy
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from miacap.data.features import Preprocessing
from miacap.errors import RunError, UnknownName
from miacap.visual import Places, load, regions_for
from miacap.weights import checksum


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


def in_cache(torch_cache: Path, network: nn.Module, version: str = "v2") -> nn.Module:
    torch.save(network.state_dict(), torch_cache / f"little-{version}.pth")
    return network


def saved(file: Path, shift: float) -> str:
    """Weights of a file of its own; gives their checksum."""
    torch.manual_seed(0)
    network = InOrder()
    network.conv1.bias.data += shift
    file.parent.mkdir(exist_ok=True)
    torch.save(network.state_dict(), file)
    return checksum(network.state_dict())


@pytest.fixture
def mine(tmp_path: Path, torch_cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A folder with both published sets of weights, v1 the first in order: checksums by file."""
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(InOrder))
    names = ("little-v1.pth", "little-v2.pth")
    return {name: saved(tmp_path / "mine" / name, shift) for shift, name in enumerate(names)}


def test_the_published_file_that_is_asked_for_is_taken(
    mine: dict[str, str], tmp_path: Path
) -> None:
    places = Places((tmp_path / "mine",))
    for name, file in (("", "v2"), (".IMAGENET1K_V2", "v2"), (".IMAGENET1K_V1", "v1")):
        found = load(f"torchvision:little{name}", places=places)
        assert found.weights_sha256 == mine[f"little-{file}.pth"]
    (tmp_path / "mine" / "little-v2.pth").unlink()
    with pytest.raises(RunError, match="its weights are not on this machine"):
        load("torchvision:little.IMAGENET1K_V2", places=places)
    other = Places((tmp_path / "mine" / "little-v1.pth",))
    with pytest.raises(RunError, match=r"v1\.pth: is called like other published weights than"):
        load("torchvision:little.IMAGENET1K_V2", places=other)
    # Without a name of weights it is what the person says that it is.
    assert load("torchvision:little", places=other).weights_sha256 == mine["little-v1.pth"]
    saved(tmp_path / "mine" / "little-own.pth", 5)
    with pytest.raises(RunError) as e:
        load("torchvision:little", places=places)
    assert str(e.value) == (
        f"Several files may be the weights of little: {tmp_path}/mine/little-own.pth, "
        f"{tmp_path}/mine/little-v1.pth. Name the right one: --weights FILE"
    )


def test_the_checksum_of_a_record_decides(mine: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    wanted = mine["little-v1.pth"]
    record = Preprocessing("torchvision:little.IMAGENET1K_V2", wanted)
    torch.save({"x": torch.zeros(1)}, tmp_path / "broken.pth")
    renamed = tmp_path / "other.pth"
    saved(renamed, 0)
    for given in (
        [folder], [folder / "little-v2.pth", folder / "little-v1.pth"],
        [tmp_path / "broken.pth", folder / "little-v2.pth", renamed],
    ):  # fmt: skip
        assert regions_for(record, places=Places(tuple(given))).record == record
    with pytest.raises(RunError, match=r"are others than those .* MIACAP_WEIGHTS=FILE\.$"):
        regions_for(record, places=Places((tmp_path / "broken.pth", folder / "little-v2.pth")))
    with pytest.raises(RunError, match=r"broken\.pth holds not its weights"):
        regions_for(record, places=Places((tmp_path / "broken.pth",)))


def test_a_newer_default_does_not_hide_the_weights_of_a_record(
    mine: dict[str, str], torch_cache: Path
) -> None:
    saved(torch_cache / "little-v1.pth", 0)
    saved(torch_cache / "little-v2.pth", 1)
    record = Preprocessing("torchvision:little", mine["little-v1.pth"])
    assert regions_for(record, places=Places()).record == record


def test_no_photo_goes_through_other_weights(
    mine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: nn.Module, x: Tensor) -> Tensor:
        raise AssertionError("the network was run")

    monkeypatch.setattr(nn.Conv2d, "forward", run)
    record = Preprocessing("torchvision:little", "00" * 32)
    with pytest.raises(RunError, match="are others than those"):
        regions_for(record, places=Places((tmp_path / "mine",)))


@pytest.mark.parametrize("make", [WithFeatures, InOrder])
def test_torchvisions_trunk(
    make: type[nn.Module], torch_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(make))
    network = in_cache(torch_cache, make())
    older = in_cache(torch_cache, make(), "v1")
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
    torch_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Port))
    network = in_cache(torch_cache, Port())
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
    torch_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Transformer))
    network = in_cache(torch_cache, Transformer())
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = network.encoder(network.conv_proj(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(load("torchvision:little").map(x), wanted)


class Dense(WithFeatures):
    """As torchvision's DenseNet: a ReLU between the features and the pooling, and no module."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.features(x), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(y, (1, 1)), 1))


def test_densenets_map_is_what_it_classifies_by(
    torch_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Dense))
    network = in_cache(torch_cache, Dense())
    x = torch.rand(2, 3, 64, 64)
    found = load("torchvision:densenet").map(x)
    with torch.no_grad():
        logits = network.classifier(found.mean((2, 3)))
        torch.testing.assert_close(logits, network(x))
        assert bool((network.features(x) < 0).any()) and not bool((found < 0).any())


def test_densenets_old_names_are_read(torch_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        layer = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 5, 32, 32)))
        return nn.Sequential(OrderedDict(features=nn.Sequential(OrderedDict(denselayer1=layer))))

    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(make))
    network = make()
    old = {key.replace("conv1", "conv.1"): v for key, v in network.state_dict().items()}
    assert "features.denselayer1.conv.1.weight" in old
    torch.save(old, torch_cache / "little-v2.pth")
    assert load("torchvision:densenet").weights_sha256 == checksum(network.state_dict())


def test_torchvisions_weights_are_fetched_only_where_that_is_allowed(
    torch_cache: Path, monkeypatch: pytest.MonkeyPatch
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
    assert (torch_cache / "little-v2.pth").is_file()


class Dice(InOrder):
    """Another map each time."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.Dropout(0.5)

    def eval(self) -> "Dice":
        return self


def test_networks_that_throw_dice_or_give_no_numbers_are_refused(
    torch_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", stand_in_for_torchvision(Dice))
    network = in_cache(torch_cache, Dice())
    with pytest.raises(RunError, match="gives other numbers each time that it sees a photo"):
        load("torchvision:little")
    network.conv1.bias.data.fill_(float("nan"))
    in_cache(torch_cache, network)
    with pytest.raises(RunError, match="gives numbers that are not finite"):
        load("torchvision:little")


_KEPT: list[dict[str, Any]] = []  # the operators live as long as what defined them


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, torch_cache: Path) -> Any:
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

    def random_weights(full: str, *others: Any) -> Iterator[Path]:
        torch.manual_seed(0)
        name = full.removeprefix("torchvision:")
        network = torchvision.models.get_model(name.partition(".")[0], weights=None)
        file = Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.pth"
        torch.save(network.state_dict(), file)
        yield file

    monkeypatch.setattr("miacap.visual.from_torchvision.candidates", random_weights)


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
