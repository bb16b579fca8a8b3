"""Which of several processes this one is, as whoever launched them says in the environment.

`accelerate launch` and `torchrun` set RANK and WORLD_SIZE. Nothing is joined here:
`training.processes` does that. Rooms below it learn here which part of the work is theirs.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from miacap.errors import RunError

__all__ = [
    "ALONE", "WHOLE", "Alone", "Part", "Sharing", "on_this_machine", "own", "require_alone",
    "speaks", "title",
]  # fmt: skip

T = TypeVar("T")


class Part(NamedTuple):
    """One of `world` parts of some work; `rank` counts from 0."""

    rank: int = 0
    world: int = 1

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Give every `world`-th item: all parts together have each item once."""
        return items[self.rank :: self.world]

    def groups(self, items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
        """Give every `world`-th group of `size` items; the last of all may be smaller."""
        for start in range(self.rank * size, len(items), self.world * size):
            yield items[start : start + size]


WHOLE = Part()
"""The only part: all of the work."""


@runtime_checkable
class Sharing(Protocol):
    """Processes that share work whose results one of them writes; `training.processes` has it."""

    @property
    def part(self) -> Part:
        """Which part of the work is this process's."""
        ...

    @property
    def main(self) -> bool:
        """Whether this process writes."""
        ...

    def from_main(self, work: Callable[[], T]) -> T:
        """Do something in the main process alone, and tell the others what came of it."""
        ...

    def in_turn(self, own: Iterator[bytes]) -> Iterator[bytes]:
        """Give the main process the results of all: one of each process, then the next of each.

        Results are in the order of the work where each process has done its `Part.of` it. The
        other processes get none; they have to draw from it all the same.
        """
        ...


class Alone:
    """One process, which does all of the work."""

    part = WHOLE
    main = True

    def from_main(self, work: Callable[[], T]) -> T:
        """Do it."""
        return work()

    def in_turn(self, own: Iterator[bytes]) -> Iterator[bytes]:
        """Give its own results."""
        return own


ALONE = Alone()


def own() -> Part:
    """Give the part of this process. Raises RunError where the environment makes no sense."""
    told = {name: os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK")}
    if told["WORLD_SIZE"] in ("", "1"):
        return WHOLE
    if all(text.isdecimal() for text in told.values()):
        world, rank = map(int, told.values())
        if rank < world:
            return Part(rank, world)
    raise RunError(
        f"The environment says WORLD_SIZE={told['WORLD_SIZE']!r} and RANK={told['RANK']!r}, which "
        "name no process of several. Unset both, or start with `accelerate launch` or `torchrun`."
    )


def on_this_machine() -> int:
    """Give how many processes were launched on this machine; 1 where no launcher says so."""
    told = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(told) if told.isdecimal() else 1


def speaks() -> bool:
    """Whether this process prints: of several, the first alone."""
    return os.environ.get("WORLD_SIZE", "1") in ("", "1") or os.environ.get("RANK", "0") == "0"


def title() -> str:
    """Name this process where it is one of several and not the one that prints; else ""."""
    if speaks():
        return ""
    return f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}"


def require_alone(what: str) -> None:
    """Refuse what several processes cannot do together.

    Args:
        what: the command, as a user would name it.

    Raises:
        RunError: this is one of several processes.
    """
    if own().world > 1:
        raise RunError(
            f"{what} is the work of one process and {own().world} were launched. Start it without "
            "`accelerate launch`."
        )
