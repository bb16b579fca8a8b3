"""What can be seen in a scene: kinds of things, each a short list of shapes.

Shapes live in a unit square that the thing fills from edge to edge, x to the right, y down; the
painter scales it to the thing's box. A shape is (form, tone, numbers):
    oval, box   x0 y0 x1 y1            poly   x y x y ...
    round       x0 y0 x1 y1 radius     line   width x y x y ...
    pie         x0 y0 x1 y1 from to    (degrees, clockwise from the right)
A tone is "main" (the thing's own colour), "dark" or "light" (shades of it), or one of `INKS`.
"""

from dataclasses import dataclass
from typing import Any, Literal

Shape = tuple[Any, ...]
Layer = Literal["ground", "air", "water"]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (212, 52, 50),
    "orange": (242, 140, 40),
    "yellow": (250, 212, 60),
    "green": (64, 158, 78),
    "blue": (48, 108, 208),
    "purple": (132, 78, 178),
    "pink": (243, 142, 182),
    "brown": (136, 86, 50),
    "white": (246, 246, 242),
    "black": (44, 44, 50),
    "gray": (142, 146, 152),
}
INKS: dict[str, tuple[int, int, int]] = {
    "ink": (38, 38, 44),
    "cream": (250, 240, 214),
    "glass": (190, 222, 240),
    "wood": (122, 80, 48),
    "leaf": (66, 138, 66),
    "sun": (252, 208, 70),
    "beak": (240, 150, 40),
    "skin": (236, 188, 150),
    "hair": (92, 60, 40),
    "denim": (70, 88, 130),
    "metal": (176, 180, 186),
    "paper": (250, 250, 248),
}

BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
PAINTED = (*BRIGHT, "white", "black", "gray")
FUR = ("brown", "black", "white", "gray")


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes:
        name, plural: what people call one, and several.
        colours: the colours that it comes in.
        height: of a middle-sized one, relative to the picture.
        aspect: width by height.
        verbs: what one does ("stands"); several do it without the s.
        shapes: how it is drawn, back to front.
        layer: where it belongs.
        other: another name and plural for the same thing, if there is one.
        worn: for people: what has the colour ("dress", "dresses").
        most: how many there are at most.
    """

    name: str
    plural: str
    colours: tuple[str, ...]
    height: float
    aspect: float
    verbs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    layer: Layer = "ground"
    other: tuple[str, str] | None = None
    worn: tuple[str, str] | None = None
    most: int = 5


def _wheel(x: float, y: float, rx: float, ry: float) -> tuple[Shape, ...]:
    return (
        ("oval", "ink", x - rx, y - ry, x + rx, y + ry),
        ("oval", "metal", x - rx / 2, y - ry / 2, x + rx / 2, y + ry / 2),
    )


def _petals() -> tuple[Shape, ...]:
    centres = ((0.5, 0.13), (0.79, 0.27), (0.68, 0.47), (0.32, 0.47), (0.21, 0.27))
    return tuple(("oval", "main", x - 0.21, y - 0.13, x + 0.21, y + 0.13) for x, y in centres)


BALL = Kind(
    "ball", "balls", PAINTED, 0.15, 1.0, ("lies", "rests"),
    (
        ("oval", "main", 0, 0, 1, 1),
        ("pie", "light", 0, 0, 1, 1, 200, 250),
        ("pie", "dark", 0, 0, 1, 1, 20, 70),
        ("oval", "main", 0.32, 0.32, 0.68, 0.68),
    ),
)  # fmt: skip
CAR = Kind(
    "car", "cars", PAINTED, 0.19, 1.9, ("stands", "is parked"),
    (
        ("poly", "main", 0.18, 0.45, 0.3, 0.0, 0.68, 0.0, 0.84, 0.45),
        ("poly", "glass", 0.25, 0.42, 0.34, 0.09, 0.48, 0.09, 0.48, 0.42),
        ("poly", "glass", 0.53, 0.42, 0.53, 0.09, 0.65, 0.09, 0.76, 0.42),
        ("round", "main", 0, 0.4, 1, 0.82, 0.12),
        ("box", "dark", 0.02, 0.68, 0.98, 0.75),
        ("oval", "sun", 0.93, 0.48, 1.0, 0.6),
        *_wheel(0.24, 0.8, 0.105, 0.2), *_wheel(0.76, 0.8, 0.105, 0.2),
    ),
    most=3,
)  # fmt: skip
BUS = Kind(
    "bus", "buses", ("red", "orange", "yellow", "green", "blue", "white"), 0.3, 1.9,
    ("stands", "is parked"),
    (
        ("round", "main", 0, 0, 1, 0.88, 0.1),
        *(("round", "glass", x, 0.14, x + 0.15, 0.44, 0.03) for x in (0.05, 0.23, 0.41, 0.59)),
        ("round", "glass", 0.8, 0.14, 0.96, 0.74, 0.03),
        ("box", "light", 0.0, 0.54, 0.76, 0.62),
        *_wheel(0.22, 0.86, 0.075, 0.14), *_wheel(0.68, 0.86, 0.075, 0.14),
    ),
    most=2,
)  # fmt: skip
HOUSE = Kind(
    "house", "houses", ("red", "yellow", "blue", "white", "pink", "gray", "brown"), 0.38, 1.0,
    ("stands",),
    (
        ("box", "wood", 0.7, 0.04, 0.8, 0.3),
        ("box", "main", 0.08, 0.4, 0.92, 1),
        ("poly", "dark", 0, 0.42, 0.5, 0, 1, 0.42),
        ("box", "wood", 0.42, 0.66, 0.58, 1),
        ("box", "glass", 0.17, 0.54, 0.33, 0.72), ("box", "glass", 0.67, 0.54, 0.83, 0.72),
        ("line", "paper", 0.02, 0.25, 0.54, 0.25, 0.72),
        ("line", "paper", 0.02, 0.75, 0.54, 0.75, 0.72),
    ),
    other=("cottage", "cottages"), most=3,
)  # fmt: skip
TREE = Kind(
    "tree", "trees", ("green", "orange", "yellow", "pink"), 0.42, 0.8, ("stands", "grows"),
    (
        ("poly", "wood", 0.42, 1, 0.46, 0.5, 0.56, 0.5, 0.6, 1),
        ("oval", "dark", 0, 0.26, 0.6, 0.7), ("oval", "main", 0.38, 0.28, 1, 0.72),
        ("oval", "main", 0.14, 0, 0.86, 0.5), ("oval", "light", 0.28, 0.06, 0.6, 0.26),
    ),
    most=4,
)  # fmt: skip
FLOWER = Kind(
    "flower", "flowers", ("red", "orange", "yellow", "blue", "purple", "pink", "white"), 0.2, 0.62,
    ("grows", "blooms"),
    (
        ("line", "leaf", 0.07, 0.5, 0.4, 0.5, 1), ("pie", "leaf", 0.46, 0.66, 1.0, 1.06, 180, 270),
        ("pie", "leaf", 0.0, 0.6, 0.54, 1.0, 270, 360), *_petals(),
        ("oval", "sun", 0.34, 0.21, 0.66, 0.41),
    ),
    other=("blossom", "blossoms"),
)  # fmt: skip
MUSHROOM = Kind(
    "mushroom", "mushrooms", ("red", "orange", "brown", "purple", "white"), 0.16, 1.0, ("grows",),
    (
        ("round", "cream", 0.34, 0.4, 0.66, 1, 0.12), ("pie", "main", 0, 0, 1, 1.1, 180, 360),
        ("oval", "paper", 0.18, 0.26, 0.34, 0.42), ("oval", "paper", 0.46, 0.08, 0.62, 0.24),
        ("oval", "paper", 0.68, 0.28, 0.82, 0.42),
    ),
)  # fmt: skip
DOG = Kind(
    "dog", "dogs", FUR, 0.22, 1.25, ("stands", "waits"),
    (
        ("line", "main", 0.07, 0.16, 0.5, 0.05, 0.22),
        *(("box", "dark", x, 0.6, x + 0.09, 1) for x in (0.2, 0.6)),
        *(("box", "main", x, 0.6, x + 0.09, 1) for x in (0.12, 0.52)),
        ("round", "main", 0.1, 0.4, 0.7, 0.74, 0.17), ("oval", "main", 0.52, 0.06, 0.88, 0.56),
        ("round", "main", 0.68, 0.26, 1, 0.5, 0.1), ("oval", "ink", 0.92, 0.25, 1, 0.35),
        ("oval", "ink", 0.73, 0.19, 0.78, 0.26), ("oval", "dark", 0.52, 0.0, 0.66, 0.42),
        ("line", "beak", 0.05, 0.56, 0.52, 0.74, 0.54),
    ),
    other=("puppy", "puppies"),
)  # fmt: skip
CAT = Kind(
    "cat", "cats", ("black", "white", "gray", "orange"), 0.2, 0.8, ("sits", "waits"),
    (
        ("line", "dark", 0.09, 0.67, 0.94, 0.93, 0.86, 0.96, 0.6),
        ("oval", "main", 0.07, 0.42, 0.82, 1),
        ("poly", "main", 0, 0, 0.07, 0.34, 0.36, 0.16),
        ("poly", "main", 0.89, 0, 0.82, 0.34, 0.53, 0.16),
        ("poly", "light", 0.07, 0.07, 0.11, 0.25, 0.26, 0.16), ("oval", "main", 0, 0.1, 0.89, 0.58),
        ("oval", "sun", 0.18, 0.26, 0.36, 0.38), ("oval", "sun", 0.53, 0.26, 0.71, 0.38),
        ("oval", "ink", 0.23, 0.26, 0.3, 0.38), ("oval", "ink", 0.59, 0.26, 0.66, 0.38),
        ("poly", "beak", 0.38, 0.41, 0.51, 0.41, 0.44, 0.47),
        ("oval", "light", 0.2, 0.86, 0.4, 1), ("oval", "light", 0.49, 0.86, 0.69, 1),
    ),
    other=("kitten", "kittens"),
)  # fmt: skip
HORSE = Kind(
    "horse", "horses", FUR, 0.34, 1.15, ("stands", "waits"),
    (
        ("line", "dark", 0.07, 0.1, 0.4, 0.03, 0.56, 0.04, 0.76),
        *(("box", "dark", x, 0.6, x + 0.07, 1) for x in (0.2, 0.58)),
        *(("box", "main", x, 0.6, x + 0.07, 1) for x in (0.12, 0.66)),
        ("round", "main", 0.08, 0.36, 0.74, 0.7, 0.2),
        ("poly", "main", 0.52, 0.5, 0.7, 0.08, 0.84, 0.12, 0.74, 0.56),
        ("poly", "dark", 0.5, 0.42, 0.66, 0.02, 0.74, 0.06, 0.6, 0.46),
        ("poly", "main", 0.7, 0.06, 0.82, 0.04, 1, 0.24, 0.95, 0.33, 0.72, 0.24),
        ("poly", "main", 0.7, 0.1, 0.73, 0, 0.78, 0.09), ("oval", "ink", 0.81, 0.11, 0.85, 0.16),
    ),
    most=3,
)  # fmt: skip
CHAIR = Kind(
    "chair", "chairs", ("red", "orange", "green", "blue", "white", "black", "brown"), 0.27, 0.75,
    ("stands",),
    (
        ("box", "dark", 0.02, 0.5, 0.12, 1), ("box", "dark", 0.78, 0.55, 0.88, 0.92),
        ("round", "main", 0, 0, 0.16, 0.62, 0.05), ("round", "main", 0, 0.46, 1, 0.62, 0.05),
        ("box", "main", 0.18, 0.6, 0.28, 1), ("box", "main", 0.88, 0.6, 0.98, 1),
        ("line", "light", 0.03, 0.06, 0.06, 0.06, 0.5),
    ),
    most=4,
)  # fmt: skip
CUP = Kind(
    "cup", "cups", PAINTED, 0.14, 1.1, ("stands",),
    (
        ("oval", "dark", 0.6, 0.18, 1.0, 0.74), ("oval", "cream", 0.68, 0.3, 0.9, 0.62),
        ("round", "main", 0, 0.06, 0.8, 1, 0.16), ("oval", "dark", 0, 0, 0.8, 0.18),
        ("oval", "wood", 0.06, 0.04, 0.74, 0.16), ("box", "light", 0.1, 0.3, 0.18, 0.8),
    ),
    other=("mug", "mugs"),
)  # fmt: skip
LAMP = Kind(
    "lamp", "lamps", ("red", "orange", "yellow", "green", "blue", "purple", "white"), 0.36, 0.55,
    ("stands", "shines"),
    (
        ("box", "metal", 0.45, 0.3, 0.55, 0.96), ("oval", "metal", 0.16, 0.9, 0.84, 1),
        ("poly", "main", 0.26, 0, 0.74, 0, 1, 0.4, 0, 0.4),
        ("poly", "light", 0.34, 0.03, 0.46, 0.03, 0.38, 0.37, 0.18, 0.37),
    ),
    most=3,
)  # fmt: skip
UMBRELLA = Kind(
    "umbrella", "umbrellas", BRIGHT, 0.34, 0.95, ("stands",),
    (
        ("box", "wood", 0.48, 0.0, 0.53, 1), ("pie", "main", 0, 0.05, 1, 0.95, 180, 360),
        ("pie", "light", 0.3, 0.05, 0.7, 0.95, 180, 360), ("oval", "dark", 0, 0.46, 0.333, 0.54),
        ("oval", "dark", 0.333, 0.46, 0.667, 0.54), ("oval", "dark", 0.667, 0.46, 1, 0.54),
    ),
    most=3,
)  # fmt: skip
GIRL = Kind(
    "girl", "girls", PAINTED, 0.36, 0.5, ("stands", "smiles"),
    (
        ("round", "hair", 0.22, 0.0, 0.78, 0.42, 0.2), ("box", "skin", 0.36, 0.74, 0.46, 0.96),
        ("box", "skin", 0.54, 0.74, 0.64, 0.96), ("round", "ink", 0.32, 0.94, 0.47, 1, 0.02),
        ("round", "ink", 0.53, 0.94, 0.68, 1, 0.02),
        ("line", "skin", 0.09, 0.36, 0.4, 0.04, 0.62),
        ("line", "skin", 0.09, 0.64, 0.4, 0.96, 0.62),
        ("poly", "main", 0.36, 0.34, 0.64, 0.34, 0.9, 0.8, 0.1, 0.8),
        ("oval", "skin", 0.28, 0.05, 0.72, 0.34),
        ("pie", "hair", 0.25, 0.0, 0.75, 0.28, 180, 360), ("oval", "ink", 0.39, 0.18, 0.44, 0.21),
        ("oval", "ink", 0.56, 0.18, 0.61, 0.21), ("line", "red", 0.02, 0.44, 0.27, 0.56, 0.27),
    ),
    worn=("dress", "dresses"), most=3,
)  # fmt: skip
BOY = Kind(
    "boy", "boys", PAINTED, 0.36, 0.5, ("stands", "smiles"),
    (
        ("box", "denim", 0.3, 0.6, 0.48, 0.96), ("box", "denim", 0.52, 0.6, 0.7, 0.96),
        ("round", "ink", 0.26, 0.94, 0.48, 1, 0.02), ("round", "ink", 0.52, 0.94, 0.74, 1, 0.02),
        ("line", "skin", 0.1, 0.3, 0.42, 0.05, 0.62), ("line", "skin", 0.1, 0.7, 0.42, 0.95, 0.62),
        ("round", "main", 0.24, 0.34, 0.76, 0.66, 0.1), ("oval", "skin", 0.27, 0.04, 0.73, 0.35),
        ("pie", "hair", 0.25, 0, 0.75, 0.32, 170, 370), ("oval", "ink", 0.38, 0.19, 0.43, 0.22),
        ("oval", "ink", 0.57, 0.19, 0.62, 0.22), ("line", "red", 0.02, 0.43, 0.28, 0.57, 0.28),
    ),
    worn=("shirt", "shirts"), most=3,
)  # fmt: skip
BALLOON = Kind(
    "balloon", "balloons", BRIGHT, 0.28, 0.52, ("floats", "hangs"),
    (
        ("line", "ink", 0.025, 0.5, 0.66, 0.42, 0.8, 0.56, 0.9, 0.5, 1),
        ("oval", "main", 0, 0, 1, 0.64), ("poly", "dark", 0.5, 0.6, 0.38, 0.7, 0.62, 0.7),
        ("oval", "light", 0.2, 0.1, 0.42, 0.26),
    ),
    layer="air",
)  # fmt: skip
KITE = Kind(
    "kite", "kites", BRIGHT, 0.26, 0.62, ("flies", "floats"),
    (
        ("line", "ink", 0.03, 0.5, 0.6, 0.38, 0.74, 0.58, 0.86, 0.5, 1),
        ("poly", "main", 0.5, 0, 1, 0.26, 0.5, 0.66, 0, 0.26),
        ("poly", "light", 0.5, 0, 0.5, 0.26, 0, 0.26),
        ("poly", "dark", 0.5, 0.26, 1, 0.26, 0.5, 0.66),
        ("poly", "sun", 0.32, 0.7, 0.32, 0.79, 0.54, 0.7, 0.54, 0.79),
        ("poly", "sun", 0.42, 0.83, 0.42, 0.92, 0.66, 0.83, 0.66, 0.92),
    ),
    layer="air", most=4,
)  # fmt: skip
BIRD = Kind(
    "bird", "birds", ("red", "yellow", "blue", "green", "white", "black", "brown"),
    0.13, 1.45, ("flies",),
    (
        ("poly", "dark", 0.22, 0.55, 0, 0.42, 0.02, 0.82), ("oval", "main", 0.12, 0.4, 0.74, 0.92),
        ("oval", "main", 0.58, 0.26, 0.88, 0.68), ("poly", "beak", 0.86, 0.4, 1, 0.48, 0.86, 0.56),
        ("oval", "ink", 0.73, 0.36, 0.78, 0.46), ("poly", "dark", 0.28, 0.56, 0.3, 0.0, 0.6, 0.52),
        ("oval", "light", 0.3, 0.72, 0.6, 0.9), ("box", "dark", 0.42, 0.9, 0.44, 1.0),
    ),
    layer="air",
)  # fmt: skip
BUTTERFLY = Kind(
    "butterfly", "butterflies", BRIGHT, 0.13, 1.15, ("flies",),
    (
        ("oval", "main", 0, 0, 0.48, 0.6), ("oval", "main", 0.52, 0, 1, 0.6),
        ("oval", "dark", 0.1, 0.5, 0.48, 1), ("oval", "dark", 0.52, 0.5, 0.9, 1),
        ("oval", "light", 0.12, 0.14, 0.32, 0.4), ("oval", "light", 0.68, 0.14, 0.88, 0.4),
        ("round", "ink", 0.46, 0.14, 0.54, 0.9, 0.04), ("line", "ink", 0.03, 0.49, 0.2, 0.38, 0.02),
        ("line", "ink", 0.03, 0.51, 0.2, 0.62, 0.02),
    ),
    layer="air",
)  # fmt: skip
PLANE = Kind(
    "plane", "planes", ("red", "yellow", "blue", "white", "gray", "orange"), 0.16, 2.2, ("flies",),
    (
        ("poly", "dark", 0.44, 0.5, 0.36, 0.0, 0.48, 0.0, 0.64, 0.5),
        ("poly", "main", 0.0, 0.06, 0.1, 0.06, 0.24, 0.5, 0.08, 0.56),
        ("round", "main", 0.06, 0.36, 1, 0.74, 0.3),
        *(("oval", "glass", x, 0.44, x + 0.05, 0.56) for x in (0.36, 0.46, 0.56, 0.66)),
        ("poly", "glass", 0.84, 0.42, 0.93, 0.44, 0.97, 0.54, 0.84, 0.54),
        ("poly", "dark", 0.4, 0.6, 0.26, 1.0, 0.4, 1.0, 0.62, 0.62),
    ),
    layer="air", most=3,
)  # fmt: skip
BOAT = Kind(
    "boat", "boats", ("red", "orange", "yellow", "green", "blue", "white", "black"), 0.3, 1.0,
    ("floats", "sails"),
    (
        ("box", "wood", 0.49, 0.0, 0.53, 0.76),
        ("poly", "paper", 0.55, 0.03, 0.55, 0.66, 0.96, 0.66),
        ("poly", "cream", 0.47, 0.12, 0.47, 0.66, 0.14, 0.66),
        ("poly", "main", 0, 0.72, 1, 0.72, 0.82, 1, 0.18, 1),
        ("poly", "dark", 0, 0.72, 1, 0.72, 0.96, 0.79, 0.04, 0.79),
    ),
    layer="water", other=("sailboat", "sailboats"), most=4,
)  # fmt: skip
DUCK = Kind(
    "duck", "ducks", ("yellow", "white", "brown", "black"), 0.15, 1.2, ("swims", "floats"),
    (
        ("poly", "dark", 0.0, 0.38, 0.22, 0.56, 0.12, 0.82),
        ("oval", "main", 0.06, 0.42, 0.84, 1.0),
        ("oval", "main", 0.54, 0, 0.88, 0.52), ("poly", "beak", 0.85, 0.2, 1, 0.28, 0.85, 0.38),
        ("oval", "ink", 0.73, 0.14, 0.78, 0.22), ("pie", "dark", 0.2, 0.4, 0.62, 0.86, 0, 180),
    ),
    layer="water",
)  # fmt: skip
FISH = Kind(
    "fish", "fish", BRIGHT, 0.13, 1.6, ("swims",),
    (
        ("poly", "dark", 0.26, 0.5, 0, 0.1, 0.04, 0.9),
        ("poly", "dark", 0.4, 0.25, 0.56, 0, 0.72, 0.25),
        ("poly", "dark", 0.45, 0.8, 0.55, 1, 0.68, 0.78), ("oval", "main", 0.16, 0.12, 1, 0.88),
        ("pie", "light", 0.16, 0.12, 1, 0.88, 60, 120), ("oval", "paper", 0.78, 0.3, 0.88, 0.48),
        ("oval", "ink", 0.81, 0.34, 0.86, 0.44),
    ),
    layer="water",
)  # fmt: skip

KINDS: tuple[Kind, ...] = (
    BALL, CAR, BUS, HOUSE, TREE, FLOWER, MUSHROOM, DOG, CAT, HORSE, CHAIR, CUP, LAMP, UMBRELLA,
    GIRL, BOY, BALLOON, KITE, BIRD, BUTTERFLY, PLANE, BOAT, DUCK, FISH,
)  # fmt: skip
