"""Averages of weights along a training: what is evaluated and kept in place of the last weights.

    exponential   a <- d a + (1 - d) w after every step,  d = min(decay, (1 + step) / (10 + step))
    epochs        a  = mean of w at the ends of the last so many epochs

[train:average] The training itself goes on with w. The decay begins low, so that the first weights
are soon forgotten. Numbers that are no floats (counts) are w's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from miacap.training.settings import TrainingSettings

__all__ = ["Averages"]


class Averages:
    """The average of one training; does nothing where none is asked for.

    Args:
        module: whose weights are averaged.
        settings: `average`, `average_decay` and `average_epochs`.
    """

    def __init__(self, module: nn.Module, settings: TrainingSettings) -> None:
        self._module, self._kind = module, settings.average
        self._decay, self._most = settings.average_decay, settings.average_epochs
        # The oldest first; of an exponential average there is one.
        self._kept: list[dict[str, Tensor]] = []
        self._own: dict[str, Tensor] | None = None

    def update(self, step: int, epoch_ended: bool) -> None:
        """Take in the weights as they are after a step (counted from 1)."""
        if self._kind == "exponential":
            self._decayed(step)
        elif self._kind == "epochs" and epoch_ended:
            self._kept = [*self._kept, _copied(self._module)][-self._most :]

    def weights(self) -> dict[str, Tensor]:
        """Give the average, or the weights themselves where there is none."""
        own = self._module.state_dict()
        if not self._kept:
            return own
        found = {}
        for name, value in own.items():
            rows = [kept[name] for kept in self._kept]
            found[name] = _mean(rows) if value.is_floating_point() else rows[-1]
        return found

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module hold the average inside, and its own weights again afterwards."""
        if not self._kept:
            yield
            return
        self._own = _copied(self._module)
        try:
            self._module.load_state_dict(self.weights())
            yield
        finally:
            self._module.load_state_dict(self._own)
            self._own = None

    def own_weights(self) -> dict[str, Tensor]:
        """Give the module's own weights, also where an interruption left the average in it."""
        return self._module.state_dict() if self._own is None else self._own

    def tensors(self) -> dict[str, Tensor]:
        """Give the state as `{place}/{name}` -> tensor, for a checkpoint."""
        return {
            f"{place}/{name}": value
            for place, kept in enumerate(self._kept)
            for name, value in kept.items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave. Raises KeyError where the names are not the module's."""
        places: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            place, _, name = key.partition("/")
            places.setdefault(int(place), {})[name] = value
        own = self._module.state_dict()
        self._kept = [
            {name: places[place][name].to(value).clone() for name, value in own.items()}
            for place in sorted(places)
        ]

    @torch.no_grad()
    def _decayed(self, step: int) -> None:
        if not self._kept:
            self._kept = [_copied(self._module)]
            return
        share = 1.0 - min(self._decay, (1 + step) / (10 + step))
        for name, value in self._module.state_dict().items():
            kept = self._kept[0][name]
            if value.is_floating_point():
                kept.lerp_(value, share)
            else:
                kept.copy_(value)


def _mean(rows: list[Tensor]) -> Tensor:
    """Give the mean; of what never changed (layers and statistics that are fixed) the very bits."""
    if all(torch.equal(row, rows[-1]) for row in rows[:-1]):
        return rows[-1]
    return torch.stack(rows).mean(dim=0)


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
