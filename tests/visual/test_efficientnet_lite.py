"""EfficientNet-Lite: padding and folding by plain loops, names, refusals; to the bit when slow."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from miacap.errors import RunError
from miacap.visual import backbones, libraries
from miacap.visual.efficientnet_lite import VARIANTS, EfficientNetLite, SameConv, build, rename
from miacap.weights import checksum


def convolved(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """TensorFlow's SAME by plain loops: output i looks at stride i - before + 0 .. kernel - 1."""
    channels, height, width = x.shape
    kernel = weight.shape[-1]

    def before(size: int) -> int:
        return max((-(-size // stride) - 1) * stride + kernel - size, 0) // 2

    out = torch.zeros(len(weight), -(-height // stride), -(-width // stride), dtype=x.dtype)
    for d in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                for c in range(channels):
                    for u in range(kernel):
                        for v in range(kernel):
                            row = stride * i - before(height) + u
                            column = stride * j - before(width) + v
                            if 0 <= row < height and 0 <= column < width:
                                out[d, i, j] += weight[d, c, u, v] * x[c, row, column]
    return out


@pytest.mark.parametrize("size", [(4, 4), (5, 5), (4, 7), (1, 6)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
def test_same_padding(size: tuple[int, int], kernel: int, stride: int) -> None:
    torch.manual_seed(kernel + stride)
    layer = SameConv(2, 3, kernel, stride, bias=False).double()
    x = torch.randn(1, 2, *size, dtype=torch.double)
    torch.testing.assert_close(layer(x)[0], convolved(x[0], layer.weight.detach(), stride))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_structure(name: str) -> None:
    """Parameters as published (millions), 7 x 7 cells at 224 px, the odd sizes' ceilings."""
    with torch.device("meta"):
        network = EfficientNetLite(VARIANTS[name])
        count = sum(p.numel() for p in network.parameters()) / 1e6
        assert network.map(torch.zeros(2, 3, 224, 224)).shape == (2, 1280, 7, 7)
        assert network.map(torch.zeros(1, 3, 260, 225)).shape == (1, 1280, 9, 8)
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)
    published = {"efficientnet-lite0": 4.65, "efficientnet-lite1": 5.42, "efficientnet-lite2": 6.09}
    assert round(count, 2) == published[name]


def shaken(name: str) -> EfficientNetLite:
    """A network whose BatchNorms do something: random statistics, scales and shifts."""
    torch.manual_seed(1)
    network = EfficientNetLite(VARIANTS[name]).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 2)
            module.bias.normal_(0, 0.2)
    return network


def test_folding_changes_rounding_alone() -> None:
    network = shaken("efficientnet-lite0")
    x = torch.randn(2, 3, 64, 64)
    before = network.map(x)
    assert float(before.std()) > 0.1
    after = network.fold().map(x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert float((before - after).abs().max()) < 1e-3
    assert torch.equal(network.fold().map(x), after)  # folding twice is folding once


def package_names(name: str) -> dict[str, Tensor]:
    """Empty tensors under the names that the weight packages use, written out by their rule."""
    stages, entries, block, inputs = VARIANTS[name], {}, 0, 32

    def norm(prefix: str, width: int) -> None:
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            entries[f"{prefix}.{leaf}"] = torch.zeros(width)
        entries[f"{prefix}.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)

    entries["_conv_stem.weight"] = torch.zeros(32, 3, 3, 3)
    norm("_bn0", 32)
    for stage in stages:
        for _ in range(stage.depth):
            place, inner = f"_blocks.{block}", inputs * stage.expansion
            if stage.expansion > 1:
                entries[f"{place}._expand_conv.weight"] = torch.zeros(inner, inputs, 1, 1)
                norm(f"{place}._bn0", inner)
            kernel = stage.kernel
            entries[f"{place}._depthwise_conv.weight"] = torch.zeros(inner, 1, kernel, kernel)
            norm(f"{place}._bn1", inner)
            entries[f"{place}._project_conv.weight"] = torch.zeros(stage.channels, inner, 1, 1)
            norm(f"{place}._bn2", stage.channels)
            block, inputs = block + 1, stage.channels
    entries["_conv_head.weight"] = torch.zeros(1280, inputs, 1, 1)
    norm("_bn1", 1280)
    entries["_fc.weight"], entries["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return entries


def test_tensors_are_matched_by_name() -> None:
    assert rename("_bn0.weight") == "stem.norm.weight"
    assert rename("_blocks.3._bn0.weight") == "blocks.3.expand.norm.weight"
    assert rename("_blocks.0._bn1.bias") == "blocks.0.depthwise.norm.bias"
    weights = package_names("efficientnet-lite0")
    assert len(weights) == 296
    shuffled = dict(reversed(weights.items()))
    shuffled["_fc.bias"] = torch.arange(1000.0)
    network = build("efficientnet-lite0", shuffled, "f.pth")
    assert torch.equal(network.classifier.bias, torch.arange(1000.0))
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_wrong_weights_are_refused() -> None:
    weights = package_names("efficientnet-lite0")
    missing = {k: v for k, v in weights.items() if k != "_conv_head.weight"}
    with pytest.raises(RunError) as e:
        build("efficientnet-lite0", missing, "f.pth")
    assert str(e.value) == (
        "f.pth: not the weights of efficientnet-lite0: the tensor head.conv.weight is missing."
    )
    with pytest.raises(RunError, match=r"the tensor surplus\.weight is unknown\.$"):
        build("efficientnet-lite0", {**weights, "surplus.weight": torch.zeros(1)}, "f.pth")
    with pytest.raises(RunError, match=r"stem\.conv\.weight has shape \(1,\), not \(32, 3, 3, 3\)"):
        build("efficientnet-lite0", {**weights, "_conv_stem.weight": torch.zeros(1)}, "f.pth")
    with pytest.raises(RunError, match="not the weights of efficientnet-lite2"):
        build("efficientnet-lite2", weights, "f.pth")


class Trap:
    """Unpickled by a careless reader, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_weight_files_run_no_code(tmp_path: Path) -> None:
    file, mark = tmp_path / "w.pth", tmp_path / "mark"
    torch.save({"a": Trap(mark)}, file)
    with pytest.raises(RunError, match=r"^w\.pth: not a file of weights"):
        libraries.read_file(file)
    file.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(RunError, match="not a file of weights"):
        libraries.read_file(file)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04", b"{}"])
def test_files_that_hold_no_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(RunError, match=r"^w\.pth: not a file of weights"):
        libraries.read_file(tmp_path / "w.pth")


def test_files_that_hold_other_things(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1), "b": 3}, tmp_path / "w.pth")
    with pytest.raises(RunError, match="other things than tensors"):
        libraries.read_file(tmp_path / "w.pth")


def test_the_checksum_sees_everything() -> None:
    weights = {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.half)}
    seen = {checksum(weights)}
    for change in (
        {"a": torch.arange(6.0).view(2, 3)}, {"a": torch.arange(6.0).double()},
        {"a": torch.arange(6.0) + 1}, {"c": torch.zeros(0)},
    ):  # fmt: skip
        seen.add(checksum({**weights, **change}))
    assert len(seen) == 5
    assert checksum(dict(reversed(weights.items()))) in seen
    transposed = {**weights, "a": torch.arange(6.0).view(2, 3).T.contiguous().T}
    assert checksum(transposed) in seen


# Each at its own size, and the default at ours.
SIZES = [
    ("efficientnet-lite0", 224), ("efficientnet-lite1", 240),
    ("efficientnet-lite2", 260), ("efficientnet-lite2", 224),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), SIZES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_logits_equal_the_package_to_the_bit(name: str, size: int, layout) -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    weights = libraries.read_file(backbones.weights_path(name))
    theirs = reference.EfficientNet.from_name(name, image_size=size)
    theirs.load_state_dict(weights)
    theirs.eval().to(memory_format=layout)
    ours = build(name, weights, "f").to(memory_format=layout)
    torch.manual_seed(0)
    x = (torch.rand(4, 3, size, size) * 2 - 1).to(memory_format=layout)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))
        assert torch.equal(ours.map(x), theirs.extract_features(x))
        folded = backbones.Lite(name)
        assert float((folded.map(x) - theirs.extract_features(x)).abs().max()) < 1e-3


@pytest.mark.slow
def test_real_photos_are_recognised(shared: Path) -> None:
    """The network sees what is there: dogs in photos that show dogs (ImageNet 151 to 268)."""
    from miacap.data import read
    from miacap.visual.grid import preprocessing_for
    from miacap.visual.photo import decode
    from miacap.visual.preprocessing import prepare

    dataset = read(shared / "flickr8k").split("dev")
    words = [id for id, c in dataset.captions.items() if sum(" dog " in f" {x} " for x in c) == 5]
    network = build(
        "efficientnet-lite2",
        libraries.read_file(backbones.weights_path("efficientnet-lite2")),
        "f",
    )
    how = preprocessing_for(backbones.load())
    x = torch.stack([prepare(decode(dataset.photos.read(id)), how) for id in words[:24]])
    with torch.inference_mode():
        best = network(x).argmax(1)
    assert int(((best >= 151) & (best <= 268)).sum()) >= 18


def test_batch_norms_epsilon_is_tensorflows() -> None:
    network = EfficientNetLite(VARIANTS["efficientnet-lite0"])
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 40 and {norm.eps for norm in norms} == {1e-3}
