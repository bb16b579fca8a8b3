"""Compose a scene: which things, how many, in which colour and size, where.

Everything follows from (seed, index) through `Chance`, whose draws are the same in every
version of Python.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from miacap.data.scenes.places import PLACES, Place
from miacap.data.scenes.things import Kind

T = TypeVar("T")

SIZES = {"small": 0.62, "medium": 1.0, "large": 1.5}
_HIDDEN_AT_MOST = 0.3
_TRIES = 24


class Chance:
    """Draws that depend on their name alone.

    `random.Random` promises the same floats for ever, but not the same choices; so choices
    are made of floats here.
    """

    def __init__(self, name: str) -> None:
        self.number = random.Random(name).random

    def between(self, low: float, high: float) -> float:
        """Draw evenly from low to high."""
        return low + (high - low) * self.number()

    def pick(self, items: Sequence[T]) -> T:
        """Draw one of the items."""
        return items[int(self.number() * len(items))]

    def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """Draw one of the items, heavier ones more often."""
        left = self.number() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def few(self, items: Sequence[T], count: int) -> list[T]:
        """Draw different items in any order."""
        rest = list(items)
        return [rest.pop(int(self.number() * len(rest))) for _ in range(min(count, len(rest)))]


@dataclass(frozen=True)
class Thing:
    """One thing in its place; the box is x0 y0 x1 y1, relative to the picture."""

    kind: Kind
    colour: str
    size: str
    box: tuple[float, float, float, float]
    mirrored: bool

    @property
    def middle(self) -> tuple[float, float]:
        """Centre of the box."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class Scene:
    """A place and groups of equal things, the first group being the one most looked at."""

    place: Place
    horizon: float
    groups: tuple[tuple[Thing, ...], ...]
    painting: str

    @property
    def things(self) -> list[Thing]:
        """All things, from the farthest to the nearest; what flies comes last."""
        all_of_them = [thing for group in self.groups for thing in group]
        return sorted(all_of_them, key=lambda t: (t.kind.layer == "air", t.box[3]))


def compose(seed: int, index: int) -> Scene:
    """Compose the scene with this number in the set of this seed."""
    chance = Chance(f"scene {seed} {index}")
    place = chance.pick(PLACES)
    horizon = chance.between(*place.horizon)
    kinds = chance.few(place.kinds, chance.weighted((1, 2, 3), (0.15, 0.5, 0.35)))
    taken: list[tuple[float, float, float, float]] = []
    groups = [_group(kind, place, horizon, chance, taken) for kind in kinds]
    painting = f"painting {seed} {index}"
    return Scene(place, horizon, tuple(group for group in groups if group), painting)


def _group(
    kind: Kind,
    place: Place,
    horizon: float,
    chance: Chance,
    taken: list[tuple[float, float, float, float]],
) -> tuple[Thing, ...]:
    """Several things of a kind, alike and near each other; as many as find room."""
    count = min(kind.most, chance.weighted((1, 2, 3, 4, 5), (0.46, 0.24, 0.15, 0.1, 0.05)))
    colour = chance.pick([c for c in kind.colours if c not in place.hides] or kind.colours)
    size = chance.weighted(tuple(SIZES), (0.3, 0.4, 0.3))
    # Large things in numbers would fill the picture.
    scale = SIZES[size] * (0.9 if count > 2 and kind.height > 0.2 else 1.0)
    centre = chance.between(0.15, 0.85)
    things = []
    for _ in range(count):
        for _ in range(_TRIES):
            box = _somewhere(kind, scale, horizon, centre, chance)
            if all(_overlap(box, other) <= _HIDDEN_AT_MOST for other in taken):
                taken.append(box)
                things.append(Thing(kind, colour, size, box, chance.number() < 0.5))
                break
    return tuple(things)


def _somewhere(
    kind: Kind, scale: float, horizon: float, centre: float, chance: Chance
) -> tuple[float, float, float, float]:
    if kind.layer == "air":
        height = kind.height * scale
        bottom = chance.between(height + 0.02, max(horizon + 0.06, height + 0.04))
    else:
        nearness = chance.number()
        bottom = horizon + 0.05 + (0.92 - horizon) * nearness
        height = kind.height * scale * (0.86 + 0.2 * nearness)
        bottom = max(bottom, height + 0.02)
    width = height * kind.aspect
    if width > 0.9:
        width, height = 0.9, 0.9 / kind.aspect
    middle = centre + chance.between(-0.42, 0.42)
    middle = min(max(middle, width / 2 + 0.01), 0.99 - width / 2)
    return (middle - width / 2, bottom - height, middle + width / 2, bottom)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Shared area by the smaller of the two areas."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
