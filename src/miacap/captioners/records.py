"""Memory and State as small frozen dataclasses of tensors: what `select` and `reorder` do.

A field is a tensor, a tuple of tensors, another record, or None.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["MemoryRecord", "StateRecord"]

# Not typing.Self: the shape checker of the tests reads methods one by one.
R = TypeVar("R")


@dataclass(frozen=True)
class MemoryRecord:
    """Fulfils `Memory` for a dataclass whose tensors start with B."""

    def __len__(self) -> int:
        return len(_first_tensor(self))

    def select(self: R, rows: Int[Tensor, " S"] | Sequence[int]) -> R:
        """Keep the pictures at these indices."""
        return _select(self, rows)


@dataclass(frozen=True)
class StateRecord:
    """Fulfils `State` for a dataclass whose tensors start with B K."""

    def select(self: R, rows: Int[Tensor, " S"] | Sequence[int]) -> R:
        """Keep the pictures at these indices."""
        return _select(self, rows)

    def reorder(self: R, parents: Int[Tensor, "B J"]) -> R:
        """Let hypothesis j of a picture continue its hypothesis `parents[j]`."""
        picture = torch.arange(len(parents), device=parents.device).unsqueeze(1)
        return _mapped(self, lambda tensor: tensor[picture, parents])

    def fan_out(self: R, hypotheses: int) -> R:
        """Turn one hypothesis a picture into K equal ones, without a copy."""
        return _mapped(self, lambda t: t.expand(t.shape[0], hypotheses, *t.shape[2:]))


def _select(record: R, rows: Tensor | Sequence[int]) -> R:
    indices = torch.as_tensor(rows, dtype=torch.long, device=_first_tensor(record).device)
    return _mapped(record, lambda tensor: tensor.index_select(0, indices))


def _mapped(value: R, change: Callable[[Tensor], Tensor]) -> R:
    result: Any = value
    if isinstance(value, Tensor):
        result = change(value)
    elif isinstance(value, tuple):
        result = tuple(_mapped(item, change) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _mapped(getattr(value, f.name), change) for f in fields(value)}
        result = replace(cast(Any, value), **changed)
    return cast(R, result)


def _first_tensor(value: Any) -> Tensor:
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    _mapped(value, note)
    return tensors[0]
