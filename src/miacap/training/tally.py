"""What is counted between two evaluations: parts of the loss, speed, waiting, time left.

    part          sum over batches of its sums / sum of its weights        [tally:part]
    waiting       seconds until batches were there / seconds of training
    seconds left  batches to come * seconds a batch + evaluations to come * seconds of the last one

Parts are in the checkpoints, so that a run which was killed says the same of them; speed and time
are of this sitting alone. A GPU computes while the next batch is fetched: there `waiting` is what
it waits at most. Of several processes it is that of the one which waits most; the others wait for
it in their steps.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from miacap.training.task import Telling, Told

__all__ = ["LEFT", "PREFIX", "WAITING", "Tally"]

PREFIX = "train "
"""Before the name of each part, which a score on dev may have as well."""

WAITING, LEFT = "waiting", "seconds left"
"""Names of what is timed, beside "captions per second" and the like."""


class Tally:
    """Counts of one sitting.

    Args:
        task: says of each batch what its loss was made of, where it is `Telling`.
        device: of the losses.
    """

    def __init__(self, task: object, device: torch.device) -> None:
        self._task = task if isinstance(task, Telling) else None
        self._device = device
        self.unit = "batches" if self._task is None else self._task.unit
        self._sums: dict[str, Tensor] = {}
        self._count: Tensor | float = 0
        self.begin()

    def begin(self) -> None:
        """Begin anew, after an evaluation."""
        self._sums, self._count, self.batches = {}, 0, 0
        self.waited = self.worked = 0.0

    def add(self) -> None:
        """Count a batch whose loss was just taken."""
        self.batches += 1
        told = Told(1, {}) if self._task is None else self._task.told
        number = told.number
        self._count = self._count + (number.detach() if isinstance(number, Tensor) else number)
        for name, both in told.parts.items():
            numbers = [
                torch.as_tensor(number, dtype=torch.float64, device=self._device).detach()
                for number in both
            ]
            before = self._sums.get(name)
            both_now = torch.stack(numbers)
            self._sums[name] = both_now if before is None else before + both_now

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        began = time.monotonic()
        yield
        self.waited += time.monotonic() - began

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count the time inside as training."""
        began = time.monotonic()
        yield
        self.worked += time.monotonic() - began

    # -- checkpoints ---------------------------------------------------------------------------

    def sums(self) -> dict[str, list[float]]:
        """Give sum and weight of each part, for a checkpoint."""
        return {name: both.tolist() for name, both in self._sums.items()}

    def restore(self, sums: Mapping[str, list[float]]) -> None:
        """Go on with the sums of a checkpoint."""
        self._sums = {
            name: torch.tensor(both, dtype=torch.float64, device=self._device)
            for name, both in sums.items()
        }

    # -- several processes ---------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Give what this process counted, as JSON can hold it."""
        share = self.waiting_share
        return {"sums": self.sums(), "count": float(self._count), "waiting": share}

    def join(self, told: Sequence[Mapping[str, Any]]) -> None:
        """Take over what all processes counted of their parts of the batches."""
        if not told[1:]:
            return
        sums: dict[str, list[float]] = {}
        for one in told:
            for name, both in one["sums"].items():
                before = sums.get(name, [0.0, 0.0])
                sums[name] = [old + new for old, new in zip(before, both, strict=True)]
        self.restore(sums)
        self._count = sum(one["count"] for one in told)
        # The others wait, in their steps, for the one whose batches come last.
        seconds, share = self.seconds, max(one["waiting"] for one in told)
        self.waited, self.worked = share * seconds, (1.0 - share) * seconds

    # -- what comes of it ----------------------------------------------------------------------

    def parts(self) -> dict[str, float]:
        """Give the mean of each part. [tally:part]"""
        return {
            f"{PREFIX}{name}": total / weight if weight else 0.0
            for name, (total, weight) in self.sums().items()
        }

    @property
    def seconds(self) -> float:
        """Time of training, waiting included."""
        return self.waited + self.worked

    @property
    def speed(self) -> float:
        """Captions (or what the task counts) a second."""
        return float(self._count) / max(self.seconds, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Part of the time that was spent waiting for data."""
        return self.waited / max(self.seconds, 1e-9)

    def seconds_for(self, batches: int) -> float:
        """Say how long so many more batches take, as it went up to here."""
        return batches * self.seconds / max(self.batches, 1)
