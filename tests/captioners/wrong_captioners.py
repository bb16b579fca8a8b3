"""Captioners that are wrong, each in one way that the conformance suite claims to catch."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from miacap.captioners import FedSizes, Trace
from miacap.captioners.att_fcn import AttFcn
from miacap.captioners.spatial import Spatial


@dataclass(frozen=True)
class Wrong:
    """A captioner, the check that catches it, and what that says."""

    check: str
    says: str
    factory: Any
    source: str = "plain"
    rows: str = "match"

    def __str__(self) -> str:
        return f"{self.check}: {self.says}"


def bent(base: type = Spatial, **methods: Callable[..., Any]) -> Any:
    """A captioner of which some methods give something else.

    Each gets self, what the right method gave, and that one's inputs.
    """

    def method(name: str, bend: Callable[..., Any]) -> Callable[..., Any]:
        right = getattr(base, name)

        @functools.wraps(right)
        def wrong(self: Any, *inputs: Any, **named: Any) -> Any:
            return bend(self, right(self, *inputs, **named), *inputs)

        return wrong

    return type("Bent", (base,), {name: method(name, bend) for name, bend in methods.items()})


def with_logits(change: Callable[..., Any], base: type = Spatial) -> Any:
    """``forward`` gives other logits: of self, the right ones, pictures and words."""

    def forward(self: Any, result: Any, pictures: Any, words: Tensor, *_: bool) -> Any:
        if isinstance(result, tuple):
            return change(self, result[0], pictures, words), result[1]
        return change(self, result, pictures, words)

    return bent(base, forward=forward)


def with_trace(change: Callable[[Trace], Any]) -> Any:
    """``forward`` gives another trace."""

    def forward(self: Any, result: Any, *_: Any) -> Any:
        return (result[0], change(result[1])) if isinstance(result, tuple) else result

    return bent(forward=forward)


def with_weights(change: Callable[[Tensor], Tensor]) -> Any:
    """The trace's attention has other weights."""

    def changed(trace: Trace) -> Trace:
        rows = trace.attentions["rows"]
        return replace(trace, attentions={"rows": replace(rows, weights=change(rows.weights))})

    return with_trace(changed)


def with_gate(change: Callable[[Tensor], Tensor]) -> Any:
    """The trace has a gate, made of the attention's weights."""

    def changed(trace: Trace) -> Trace:
        # Not by replace: the shape checker of the tests would speak first.
        object.__setattr__(trace, "gates", {"g": change(trace.attentions["rows"].weights)})
        return trace

    return with_trace(changed)


def with_cost(cost: Callable[[Trace, Tensor], Tensor]) -> Any:
    """ATT-FCN with another regulariser."""
    return type("Costly", (AttFcn,), {"regulariser": staticmethod(cost)})


def saying(*read: str) -> Any:
    """Spatial-Attention, which reads regions alone here, saying something else."""
    return type("Saying", (Spatial,), {"reads": staticmethod(lambda sizes: frozenset(read))})


def with_part(part: Callable[[], Any], use: Callable[..., Tensor]) -> Any:
    """A captioner with one more part, which its logits use."""

    class Parted(with_logits(use)):  # type: ignore[misc]
        def __init__(self, sizes: Any) -> None:
            super().__init__(sizes)
            self.part = part()

    return Parted


class Gate(nn.Module):
    """g W mean(E[concepts]), which is 0 where there are no concepts."""

    def __init__(self, begin: float, learns: bool) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((), begin), requires_grad=learns)
        self.say = nn.Linear(8, 23, bias=False)

    def forward(self, captioner: Any, pictures: Any) -> Tensor:
        valid = pictures.concept_mask[..., None]
        words = captioner.embedding(pictures.concepts) * valid
        said: Tensor = self.say(words.sum(1) / valid.sum(1).clamp(min=1))
        return self.share * said[:, None, None]


def gated(begin: float, learns: bool = True, reads: str = "regions concepts") -> Any:
    """Spatial-Attention that adds a gated share of the concepts to its logits."""

    class Gated(Spatial):
        def __init__(self, sizes: Any) -> None:
            super().__init__(sizes)
            self.gate = Gate(begin, learns)

        @staticmethod
        def reads(sizes: Any) -> frozenset[str]:
            return frozenset(reads.split())

        def forward(self, pictures: Any, words: Tensor, trace: bool = False) -> Any:
            logits: Any = super().forward(pictures, words)
            return logits + self.gate(self, pictures)

    return Gated


class OneMethod(nn.Module):
    """Encodes and does no more."""

    sizes_type, sources = FedSizes, ("plain",)

    def __init__(self, sizes: Any) -> None:
        super().__init__()

    def encode(self, pictures: Any) -> Any:
        return pictures


class NoModule:
    """Has every method, and no parameters that anything could find."""

    sizes_type, sources = FedSizes, ("plain",)

    def __init__(self, sizes: Any) -> None:
        self.encode = self.start = self.step = self.forward = print


class Slope(torch.autograd.Function):
    """Multiplies gradients, always or under autocast alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: float, always: bool) -> Tensor:
        ctx.by = by if always or torch.is_autocast_enabled("cpu") else 1.0
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        return slope * ctx.by, None, None


def slope(by: float, always: bool = True) -> Any:
    return with_logits(lambda s, logits, *_: Slope.apply(logits, by, always))


def forgetful(self: Any, result: Any, memory: Any, state: Any, words: Tensor) -> Any:
    """A step that begins anew at each word."""
    return Spatial.step(self, memory, self.start(memory, words.shape[1]), words)


def overheard(self: Any, logits: Tensor, pictures: Any, words: Tensor) -> Tensor:
    """Lets the first picture's word of the same time into the others."""
    return logits + self.embedding(words[:1, :1]).mean(-1, keepdim=True)


def state_with(**methods: Callable[..., Any]) -> Any:
    """A captioner whose first state is of a class that does something else."""

    def start(self: Any, state: Any, *_: Any) -> Any:
        kind = type("Other", (type(state),), methods)
        return kind(state.hidden, state.cell)

    def step(self: Any, result: Any, memory: Any, state: Any, words: Tensor) -> Any:
        return result[0], type(state)(result[1].hidden, result[1].cell)

    return bent(start=start, step=step)


def first_goes_on(self: Any, parents: Tensor) -> Any:
    """A ``reorder`` that lets every hypothesis continue the first one."""
    return type(self)(
        *(t[:, :1].expand(-1, parents.shape[1], -1) for t in (self.hidden, self.cell))
    )


def first_stay(self: Any, rows: Tensor) -> Any:
    """A ``select`` that keeps as many pictures as it is told, the first ones."""
    return type(self)(self.hidden[: len(rows)], self.cell[: len(rows)])


def own_chance(self: Any, logits: Tensor, *_: Any) -> Tensor:
    """Noise in training from a generator that no seed reaches."""
    if not self.training:
        return logits
    return logits * torch.rand(logits.shape, generator=self.part).to(logits)


def all_rows(self: Any, memory: Any, *_: Any) -> Any:
    """Attends to padded rows as well."""
    return replace(memory, mask=torch.ones_like(memory.mask))


def _flat(weights: Tensor) -> Tensor:
    return torch.ones_like(weights, requires_grad=True) / weights.shape[-1]


def _weights(trace: Trace) -> Tensor:
    return trace.attentions["input"].weights


WRONG = [
    # contract
    Wrong("contract", "is an nn.Module", NoModule),
    Wrong("contract", "A method of the contract is missing", OneMethod),
    Wrong("contract", r"len\(memory\)", bent(encode=lambda s, m, *_: m.select([0, 1]))),
    Wrong("contract", r"len\(memory\)", bent(encode=lambda s, m, *_: SimpleNamespace())),
    Wrong("contract", "select and reorder", bent(start=lambda s, state, *_: (state.hidden,))),
    Wrong("contract", "step gives B K W", bent(step=lambda s, r, *_: (r[0][..., :-1], r[1]))),
    Wrong("contract", "forward gives B C T W", with_logits(lambda s, x, *_: x[:, :, :-1])),
    Wrong("contract", "Logits are finite", with_logits(lambda s, x, *_: x.log())),
    # words
    Wrong("forward-is-steps", "equals repeated step", bent(step=forgetful)),
    Wrong("forward-is-steps", "equals repeated step", with_logits(lambda s, x, *_: x + 1e-8)),
    Wrong("forward-is-steps", "Shapes", with_logits(lambda s, x, *_: x[:, :1])),
    Wrong(
        "forward-is-steps",
        "equals repeated step",
        with_logits(lambda s, x, p, w: x + (p.concepts.shape[1] == 4)),
        "regions",
        "aligned",
    ),
    Wrong("no-later-word", "no later word", with_logits(lambda s, x, *_: x + x.mean(2, True))),
    Wrong("no-later-word", "no other caption", with_logits(lambda s, x, *_: x + x.mean(1, True))),
    Wrong("no-later-word", "no other picture's words", with_logits(overheard)),
    Wrong("no-later-word", "the words so far", with_logits(lambda s, x, *_: x.detach() * 0 + 1)),
    Wrong("alone", "no company", with_logits(lambda s, x, *_: x + x.mean(0, True))),
    Wrong("alone", "no padding", with_logits(lambda s, x, p, w: x + p.regions.shape[1])),
    Wrong(
        "alone",
        "no padding",
        bent(encode=all_rows, _encode=lambda s, r, *_: (all_rows(s, r[0]), r[1])),
    ),
    Wrong("padding", "Padded rows", with_logits(lambda s, x, p, w: x + p.regions.sum())),
    Wrong("padding", "Padded rows", with_logits(lambda s, x, p, w: x + p.concepts.sum())),
    Wrong("picture-matters", "other logits", with_logits(lambda s, x, *_: x[:1].expand_as(x))),
    Wrong(
        "picture-matters",
        "other logits",
        bent(_encode=lambda s, r, *_: (r[0].select([0, 0, 2]), r[1])),
    ),
    Wrong("reorder", "the one that it names", state_with(reorder=first_goes_on)),
    Wrong("select", "in that order", state_with(select=first_stay)),
    Wrong("select", "keeps gradients", bent(step=lambda s, r, *_: (r[0].detach(), r[1]))),
    # learning
    Wrong(
        "gradients",
        "gets a gradient, or is frozen",
        with_part(lambda: nn.Linear(1, 1), lambda s, x, *_: x),
    ),
    Wrong("gradients", "is finite", slope(float("nan"))),
    Wrong(
        "gradients",
        "not zero everywhere",
        with_part(
            lambda: nn.Linear(1, 1), lambda s, x, *_: x + 0.0 * s.part.weight + 0.0 * s.part.bias
        ),
    ),
    Wrong("dropout", "In eval mode", with_logits(lambda s, x, *_: nn.functional.dropout(x))),
    Wrong("dropout", "Under a seed", with_part(torch.Generator, own_chance)),
    Wrong(
        "saved",
        "give the same captioner",
        with_part(lambda: torch.rand(23), lambda s, x, *_: x + s.part),
    ),
    Wrong(
        "half-precision",
        "bfloat16 is close",
        with_logits(lambda s, x, *_: x + 9.0 * torch.is_autocast_enabled("cpu")),
    ),
    Wrong("half-precision", "finite gradients", slope(float("inf"), always=False)),
    Wrong("regulariser", "gives B C", with_cost(lambda t, m: AttFcn.regulariser(t, m).sum(1))),
    Wrong("regulariser", "is finite", with_cost(lambda t, m: AttFcn.regulariser(t, m).log())),
    Wrong(
        "regulariser", "without words is 0", with_cost(lambda t, m: AttFcn.regulariser(t, m) + 1)
    ),
    Wrong(
        "regulariser",
        "leaves masked words out",
        with_cost(lambda t, m: _weights(t).square().sum((2, 3)) * m.any(2)),
    ),
    Wrong(
        "regulariser",
        "gradients are finite",
        with_cost(lambda t, m: Slope.apply(AttFcn.regulariser(t, m), float("nan"), True)),
    ),
    Wrong("regulariser", "gradients reach", with_cost(lambda t, m: AttFcn.regulariser(t, m) * 0.0)),
    # looking
    Wrong("trace", "gives logits and a Trace", with_trace(lambda t: t.attentions)),
    Wrong(
        "trace",
        "changes no logits",
        bent(forward=lambda s, r, *_: (r[0] + 1, r[1]) if isinstance(r, tuple) else r),
    ),
    Wrong("trace", "is B C T R", with_weights(lambda w: w[:, :, 1:])),
    Wrong("trace", "sum to 1", with_weights(lambda w: w * 0.5)),
    Wrong("trace", "leaves padded rows out", with_weights(_flat)),
    Wrong("trace", "keeps gradients", with_weights(Tensor.detach)),
    Wrong("trace", "is B C T", with_gate(lambda w: w)),
    Wrong("trace", "is a share", with_gate(lambda w: w[..., 0] + 1)),
    Wrong("trace", "is a share", with_gate(lambda w: w[..., 0] - 1)),
    Wrong("trace", "refiner's steps", with_trace(lambda t: replace(t, refiner=())), "combined"),
    Wrong("reads", "not pixels", saying("regions", "pixels")),
    Wrong("reads", "names 'concepts': after a step", saying("regions", "concepts")),
    Wrong("reads", "names 'scores': after a step", saying("regions", "scores")),
    Wrong("reads", "names 'concepts': after a step", gated(0.0, learns=False)),
    Wrong("reads", "does not name 'regions'", saying("concepts")),
    Wrong("reads", "does not name 'concepts'", gated(0.5, reads="regions")),
    # Nothing moves at first; after a step everything does.
    Wrong("reads", "does not name 'concepts'", gated(0.0, reads="regions")),
    Wrong("reads", "may be absent", with_logits(lambda s, x, p, w: x + p.concepts.shape[1])),
    Wrong("reads", "may be absent", with_logits(lambda s, x, p, w: x + (p.concept_scores is None))),
]
