"""Where a scene happens: backgrounds, what may stand in them, how people name them."""

from dataclasses import dataclass

from miacap.data.scenes.things import (
    BALL,
    BALLOON,
    BIRD,
    BOAT,
    BOY,
    BUS,
    BUTTERFLY,
    CAR,
    CAT,
    CHAIR,
    CUP,
    DOG,
    DUCK,
    FISH,
    FLOWER,
    GIRL,
    HORSE,
    HOUSE,
    KITE,
    LAMP,
    MUSHROOM,
    PLANE,
    TREE,
    UMBRELLA,
    Kind,
)

Tone = tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """A kind of background.

    Attributes:
        name: one word, kept with the picture.
        sky, ground: colours at their top and bottom.
        horizon: lowest and highest height of the line between them.
        kinds: what may be seen there.
        hides: colours that would not be seen on that ground.
        features: what the painter adds, back to front ("hills", "clouds", ...).
        phrases: where things are, as people say it; each with a preposition.
        under: what is over or around everything ("under a cloudy sky").
    """

    name: str
    sky: tuple[Tone, Tone]
    ground: tuple[Tone, Tone]
    horizon: tuple[float, float]
    kinds: tuple[Kind, ...]
    hides: tuple[str, ...]
    features: tuple[str, ...]
    phrases: tuple[str, ...]
    under: tuple[str, ...]


_AIR = (BALLOON, KITE, BIRD, PLANE)

PLACES: tuple[Place, ...] = (
    Place(
        "meadow", ((104, 176, 236), (206, 234, 250)), ((126, 190, 92), (84, 150, 66)), (0.42, 0.58),
        (DOG, CAT, HORSE, TREE, FLOWER, MUSHROOM, HOUSE, BALL, GIRL, BOY, BUTTERFLY, *_AIR),
        ("green",),
        ("hills", "clouds", "tufts"), ("in a meadow", "on the grass", "in a green field"),
        ("under a blue sky", "on a sunny day"),
    ),
    Place(
        "beach", ((96, 178, 238), (214, 238, 248)), ((240, 218, 164), (226, 194, 130)),
        (0.44, 0.56),
        (DOG, BALL, UMBRELLA, CHAIR, GIRL, BOY, CAT, CUP, *_AIR), ("yellow", "orange"),
        ("sun", "sea", "clouds"), ("on the beach", "on the sand", "by the sea"),
        ("under a bright sun", "on a sunny day"),
    ),
    Place(
        "snow", ((172, 194, 216), (226, 234, 242)), ((246, 249, 252), (222, 232, 242)), (0.4, 0.56),
        (DOG, CAT, HORSE, HOUSE, TREE, CAR, GIRL, BOY, BALL, *_AIR), ("white", "gray"),
        ("mountains", "flakes"), ("in the snow", "on a snowy field", "in front of the mountains"),
        ("on a winter day", "under a gray sky"),
    ),
    Place(
        "desert", ((248, 206, 140), (252, 232, 190)), ((232, 176, 104), (208, 142, 78)),
        (0.46, 0.6),
        (CAR, BUS, HORSE, DOG, GIRL, BOY, BALL, HOUSE, *_AIR), ("orange", "yellow", "brown"),
        ("sun", "dunes", "cactus"), ("in the desert", "on the hot sand", "among the dunes"),
        ("under a hot sun", "under a yellow sky"),
    ),
    Place(
        "street", ((148, 182, 214), (222, 232, 240)), ((128, 130, 136), (98, 100, 106)), (0.5, 0.6),
        (CAR, BUS, DOG, CAT, GIRL, BOY, BALL, UMBRELLA, TREE, BALLOON, BIRD, PLANE),
        ("gray", "black"),
        ("town", "lane"), ("on the street", "on a city road", "in front of some buildings"),
        ("under a pale sky", "in the city"),
    ),
    Place(
        "lake", ((120, 182, 232), (216, 236, 248)), ((96, 164, 204), (52, 112, 168)), (0.38, 0.5),
        (BOAT, DUCK, FISH, *_AIR, BUTTERFLY), ("blue",),
        ("hills", "clouds", "waves"), ("on a lake", "on the water", "in the blue water"),
        ("under a cloudy sky", "in front of green hills"),
    ),
    Place(
        "night", ((16, 22, 54), (50, 58, 108)), ((46, 70, 62), (26, 42, 44)), (0.5, 0.62),
        (HOUSE, TREE, CAT, DOG, CAR, LAMP, HORSE, BALLOON, KITE, BALL), ("black", "purple", "blue"),
        ("stars", "moon", "tufts"),
        ("on a dark hill", "on the grass at night", "in a field at night"),
        ("under the moon", "under the stars"),
    ),
    Place(
        "sunset", ((94, 72, 132), (250, 160, 104)), ((108, 116, 74), (64, 74, 54)), (0.5, 0.62),
        (HOUSE, TREE, HORSE, DOG, GIRL, BOY, FLOWER, CAR, *_AIR), ("green", "brown"),
        ("low sun", "dark hills", "tufts"),
        ("in a field at sunset", "on a hill", "on the evening grass"),
        ("under an evening sky", "in front of the setting sun"),
    ),
    Place(
        "room", ((238, 222, 196), (230, 208, 178)), ((184, 132, 84), (150, 102, 62)), (0.58, 0.68),
        (CAT, DOG, CHAIR, CUP, LAMP, BALL, GIRL, BOY, BALLOON, UMBRELLA), ("brown",),
        ("window", "boards"), ("in a room", "on the wooden floor", "in front of a wall"),
        ("beside a window", "in the house"),
    ),
)  # fmt: skip
