"""Paint a scene with Pillow, twice as large as wanted, then halved for smooth edges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from miacap.data.scenes.composing import Chance, Scene, Thing
from miacap.data.scenes.features import FEATURES
from miacap.data.scenes.things import COLOURS, INKS
from miacap.errors import MissingExtra

if TYPE_CHECKING:
    from PIL.Image import Image

_FINER = 2
Tone = tuple[int, int, int]


def paint(scene: Scene, size: int) -> "Image":
    """Paint a scene as an RGB picture of size x size pixels.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise MissingExtra("torch", "drawing scenes") from None
    full = size * _FINER
    chance = Chance(scene.painting)
    picture = Image.new("RGB", (full, full))
    line = round(scene.horizon * full)
    _gradient(picture, scene.place.sky, 0, line, chance)
    _gradient(picture, scene.place.ground, line, full, chance)
    draw = ImageDraw.Draw(picture)
    for name in scene.place.features:
        FEATURES[name](draw, full, line, chance)
    shadow = _shade(scene.place.ground[1], 0.78)
    for thing in scene.things:
        if thing.kind.layer == "ground":
            _shadow(draw, thing, full, shadow)
        _thing(draw, thing, full)
    return picture.reduce(_FINER)


def _gradient(picture: "Image", tones: tuple[Tone, Tone], top: int, end: int, c: Chance) -> None:
    from PIL import Image

    shift = c.between(-12, 12)
    rows = max(end - top, 1)
    column = Image.new("RGB", (1, rows))
    column.putdata(
        [
            tuple(round(a + (b - a) * y / rows + shift) for a, b in zip(*tones, strict=True))
            for y in range(rows)
        ]
    )
    picture.paste(column.resize((picture.width, rows), Image.Resampling.NEAREST), (0, top))


def _shade(tone: Tone, factor: float) -> Tone:
    """Darker below 1; above 1 towards white."""
    if factor <= 1:
        return (round(tone[0] * factor), round(tone[1] * factor), round(tone[2] * factor))
    part = factor - 1
    r, g, b = (round(value + (255 - value) * part) for value in tone)
    return (r, g, b)


def _shadow(draw: Any, thing: Thing, full: int, tone: Tone) -> None:
    x0, _, x1, y1 = (value * full for value in thing.box)
    high = 0.05 * (x1 - x0) + 0.006 * full
    draw.ellipse((x0, y1 - high, x1, y1 + high), fill=tone)


def _thing(draw: Any, thing: Thing, full: int) -> None:
    main = COLOURS[thing.colour]
    tones = {
        "main": main,
        "dark": _shade(main, 0.74),
        "light": _shade(main, 1.45),
        **INKS,
        **COLOURS,
    }
    x0, y0, x1, y1 = (value * full for value in thing.box)
    wide, high = x1 - x0, y1 - y0

    def points(numbers: Sequence[float]) -> list[tuple[float, float]]:
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [(x0 + wide * (1 - x if thing.mirrored else x), y0 + high * y) for x, y in pairs]

    for form, tone, *numbers in thing.kind.shapes:
        fill = tones[tone]
        if form == "poly":
            draw.polygon(points(numbers), fill=fill)
        elif form == "line":
            width = max(1, round(numbers[0] * wide))
            draw.line(points(numbers[1:]), fill=fill, width=width, joint="curve")
        else:
            (left, top), (right, bottom) = points(numbers[:4])
            box = (min(left, right), top, max(left, right), bottom)
            _boxed(draw, form, box, numbers[4:], fill, thing.mirrored, min(wide, high))


def _boxed(
    draw: Any,
    form: str,
    box: tuple[float, float, float, float],
    more: Sequence[float],
    fill: Tone,
    mirrored: bool,
    unit: float,
) -> None:
    if form == "oval":
        draw.ellipse(box, fill=fill)
    elif form == "box":
        draw.rectangle(box, fill=fill)
    elif form == "round":
        draw.rounded_rectangle(box, radius=more[0] * unit, fill=fill)
    else:
        start, end = more if not mirrored else (180 - more[1], 180 - more[0])
        draw.pieslice(box, start, end, fill=fill)
