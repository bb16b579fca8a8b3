"""What a search would take in memory, asked before it is tried.

The first step runs with one hypothesis a picture. From what it left, the bytes that one more
hypothesis takes are known: its logits, its states, and what it computes beside the picture's
rows. Of the captioner only the contract is read, and the tensors in its records.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from miacap.errors import SettingsError
from miacap.memory import free_memory
from miacap.wording import by_number, counted

__all__ = ["Needs", "require_memory"]


@dataclass(frozen=True)
class Needs:
    """Bytes that a search takes; estimated, about right within a factor of two."""

    pictures: int
    vocabulary: int
    maximum: int
    memory: int
    """Of the encoded pictures, all together."""
    state: int
    """Of the states of one hypothesis a picture at the last step, all together."""
    itemsize: int
    """Of one logit as the search holds it."""

    def of(self, width: int) -> int:
        """Give the bytes that `width` hypotheses a picture take at the last step.

        A search holds logits five times (as given, allowed, and within softmax), the 2 K best
        words of every hypothesis with their ids, scores in double precision and order, and the
        words four times; states stand in the old order and in the new one; a captioner looks
        at all rows for each hypothesis.
        """
        best = min(2 * width, self.vocabulary)
        words = 5 * self.itemsize * self.vocabulary + 32 * best + 4 * 8 * self.maximum
        return width * (self.pictures * words + 2 * self.state + self.memory)


def require_memory(
    width: int,
    maximum: int,
    memory: Any,
    states: tuple[Any, Any],
    logits: Float[Tensor, "B J W"],
) -> None:
    """Refuse a search of several hypotheses that would not fit; one is always tried.

    Args:
        width: hypotheses a picture.
        maximum: steps.
        memory: of the encoded pictures.
        states: before and after the first step, with one hypothesis a picture.
        logits: of the first step, with one hypothesis a picture.

    Raises:
        SettingsError: the search would take more than is free; says how wide one may be.
    """
    free = _free(logits.device)
    if free is None or width == 1:
        return
    first, second = (_bytes(state) for state in states)
    needs = Needs(
        pictures=len(logits),
        vocabulary=logits.shape[2],
        maximum=maximum,
        memory=_bytes(memory),
        state=second + max(0, second - first) * (maximum - 1),
        itemsize=8 if logits.dtype == torch.float64 else 4,
    )
    if needs.of(width) <= free:
        return
    most = bisect_right(range(width), free, key=needs.of) - 1
    advice = f"take at most {most}" if most >= 1 else "take fewer pictures at a time"
    raise SettingsError(
        f"{counted(width, 'hypothesis', 'hypotheses')} for each of "
        f"{counted(needs.pictures, 'picture')} {by_number(width, 'takes', 'take')} about "
        f"{_gigabytes(needs.of(width))} of memory at once, and {_gigabytes(free)} are free; "
        f"{advice}."
    )


def _free(device: torch.device) -> int | None:
    if device.type == "cuda":
        # What torch holds for itself and does not use is free for a search.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    return free_memory() if device.type == "cpu" else None


def _bytes(record: Any) -> int:
    """Sum up the tensors of a record; what is shared without a copy counts as if it were not."""
    if isinstance(record, Tensor):
        return record.numel() * record.element_size()
    if isinstance(record, Mapping):
        return sum(_bytes(part) for part in record.values())
    if isinstance(record, tuple | list):
        return sum(_bytes(part) for part in record)
    if is_dataclass(record) and not isinstance(record, type):
        return sum(_bytes(getattr(record, part.name)) for part in fields(record))
    return 0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
