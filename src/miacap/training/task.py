"""What `fit` asks of a task, and what it gives back."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from miacap.parts import WHOLE, Part


@runtime_checkable
class Task(Protocol):
    """Anything that can be trained.

    A batch is whatever `batches` yields and `loss` understands: a tensor, something with
    `.to(device)`, or a tuple, list, mapping or dataclass of these.
    """

    @property
    def module(self) -> nn.Module:
        """The parameters; `fit` moves them to the device and restores them on resume."""
        ...

    @property
    def batches_per_epoch(self) -> int:
        """How many batches every epoch has."""
        ...

    @property
    def watched(self) -> str | None:
        """Which number of `evaluate` picks the best weights; higher is better.

        None: there is nothing to watch, and the last weights are the best.
        """
        ...

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterable[Any]:
        """Give a part of each batch of an epoch (from 0) without its first `skip`.

        Batches depend on the epoch alone, never on the global generators: exact resume rests on it.

        Args:
            epoch: which one.
            skip: leave out so many batches at the start.
            part: which part of every batch; one process has the whole of it. Together the parts
                have each row of the batch once. A batch with too few rows has no such part: its
                place is taken by None.
        """
        ...

    def loss(self, module: nn.Module, batch: Any) -> tuple[Tensor, Tensor | float]:
        """Give the summed loss of a batch (a scalar) and what to divide it by.

        Of several processes each gives those of its part of a batch; losses, weights and gradients
        are summed over all.
        """
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Give the numbers of the module as it is now: eval mode, no gradient, float32."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """A task that says before the first step which numbers its `evaluate` will give.

    A setting `watch` that names none of them then costs no epoch.
    """

    @property
    def numbers(self) -> Collection[str]:
        """Names of the numbers; empty where they are not known yet."""
        ...


class Told(NamedTuple):
    """What the loss of one batch was made of, and of how much.

    Attributes:
        number: of captions, pictures or whatever a speed is told in.
        parts: sum and weight by name; what is told is the sum divided by the weight, over all
            batches between two evaluations.
    """

    number: Tensor | int
    parts: Mapping[str, tuple[Tensor | float, Tensor | float]]


NOTHING_TOLD = Told(0, {})
"""Before the first batch."""


@runtime_checkable
class Telling(Protocol):
    """A task that says more of a batch than its loss."""

    @property
    def unit(self) -> str:
        """What is counted, in the plural: "captions"."""
        ...

    @property
    def told(self) -> Told:
        """Of the batch whose loss was asked for last."""
        ...


class Example(NamedTuple):
    """What a captioner says now of a picture, and what somebody said of it."""

    picture: str
    said: str
    reference: str


@runtime_checkable
class Showing(Protocol):
    """A task whose evaluation can be looked at."""

    @property
    def examples(self) -> Sequence[Example]:
        """Of the last evaluation: the same few pictures every time."""
        ...


@runtime_checkable
class Doubting(Protocol):
    """A task that sees by an evaluation's numbers where a training learns nothing."""

    def doubt(self, record: Mapping[str, Any]) -> str | None:
        """Say what is wrong and what to do about it, in one line; None where nothing is.

        Args:
            record: a line of `metrics.jsonl`.
        """
        ...


@dataclass(frozen=True)
class ParameterGroup:
    """Some of a module's parameters, which learn at a rate of their own.

    Attributes:
        parameters: those of them that ask for no gradient are passed over.
        rate: what the learning rate of every step is multiplied by.
        weight_decay: in place of the settings' own; None takes that.
    """

    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    weight_decay: float | None = None


@runtime_checkable
class Grouped(Protocol):
    """A task whose parameters do not all learn alike."""

    def groups(self) -> Sequence[ParameterGroup]:
        """Give groups of the module's parameters; what is in none learns as the settings say."""
        ...


@dataclass(frozen=True)
class FitResult:
    """How a training run stands.

    Attributes:
        finished: False only where `stop_after` ended it before its time.
        reason: "epochs", "patience" or "stop_after".
        best: the watched number of the kept weights; None where nothing is watched or was
            evaluated yet.
        best_epoch: epochs (counted from 1) after which the kept weights were reached; 0: none.
        epochs, steps: whole epochs and optimiser steps taken in all.
        seconds: time spent in training and evaluation, earlier sittings included.
        history: one mapping per evaluation, as in metrics.jsonl.
        weights: path of the kept weights.
    """

    finished: bool
    reason: str
    best: float | None
    best_epoch: int
    epochs: int
    steps: int
    seconds: float
    history: tuple[dict[str, Any], ...]
    weights: Path
