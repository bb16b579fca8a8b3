"""What backgrounds are made of: hills, clouds, stars, a window and so on.

Each function gets a Pillow drawing, the picture's size and the horizon in pixels, and chance.
"""

import math
from collections.abc import Callable
from typing import Any

from miacap.data.scenes.composing import Chance

Tone = tuple[int, int, int]
Feature = Callable[[Any, int, int, Chance], None]


def _hills(draw: Any, full: int, line: int, chance: Chance) -> None:
    _rounded(draw, full, line, chance, ((132, 176, 130), (112, 164, 104)))


def _dark_hills(draw: Any, full: int, line: int, chance: Chance) -> None:
    _rounded(draw, full, line, chance, ((132, 98, 110), (104, 84, 88)))


def _rounded(draw: Any, full: int, line: int, chance: Chance, tones: tuple[Tone, Tone]) -> None:
    for tone in tones:
        x = chance.between(-0.3, 0.9) * full
        wide, high = chance.between(0.5, 1.0) * full, chance.between(0.06, 0.16) * full
        draw.pieslice((x, line - high, x + wide, line + high), 180, 360, fill=tone)


def _mountains(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(3):
        x, high = chance.between(-0.1, 1.0) * full, chance.between(0.14, 0.3) * full
        draw.polygon([(x - high, line), (x, line - high), (x + high, line)], fill=(142, 156, 178))
        cap = high * 0.35
        draw.polygon(
            [(x - cap, line - high + cap), (x, line - high), (x + cap, line - high + cap)],
            fill=(246, 248, 252),
        )


def _dunes(draw: Any, full: int, line: int, chance: Chance) -> None:
    for tone in ((238, 190, 122), (222, 164, 94)):
        height, phase = chance.between(0.02, 0.06) * full, chance.between(0, 6.28)
        steps = [full * i / 16 for i in range(17)]
        wave = [(x, line - height * (0.4 + math.sin(phase + x / full * 5))) for x in steps]
        draw.polygon([(0, line + height * 2), *wave, (full, line + height * 2)], fill=tone)


def _clouds(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(1 + int(chance.number() * 3)):
        x, y = chance.between(0.0, 0.85) * full, chance.between(0.03, 0.5) * line
        puff = chance.between(0.03, 0.06) * full
        for i, part in enumerate((0.8, 1.2, 0.9)):
            middle = x + i * puff * 1.1
            left, right = middle - puff * part, middle + puff * part
            draw.ellipse((left, y - puff * part, right, y + puff * 0.8), fill=(250, 252, 254))


def _sun(draw: Any, full: int, line: int, chance: Chance) -> None:
    x, y, r = chance.between(0.1, 0.9) * full, chance.between(0.12, 0.3) * line, 0.055 * full
    draw.ellipse((x - 1.4 * r, y - 1.4 * r, x + 1.4 * r, y + 1.4 * r), fill=(255, 240, 180))
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(254, 220, 92))


def _low_sun(draw: Any, full: int, line: int, chance: Chance) -> None:
    x, r = chance.between(0.2, 0.8) * full, 0.12 * full
    draw.pieslice(
        (x - 1.3 * r, line - 1.3 * r, x + 1.3 * r, line + 1.3 * r), 180, 360, fill=(252, 186, 116)
    )
    draw.pieslice((x - r, line - r, x + r, line + r), 180, 360, fill=(255, 224, 140))


def _sea(draw: Any, full: int, line: int, chance: Chance) -> None:
    deep = chance.between(0.05, 0.1) * full
    draw.rectangle((0, line - deep, full, line), fill=(58, 140, 196))
    draw.rectangle((0, line - deep * 0.3, full, line), fill=(120, 190, 220))
    draw.rectangle((0, line - deep * 0.06, full, line + 0.012 * full), fill=(244, 250, 252))


def _waves(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(16):
        x, y = chance.between(0, 1) * full, chance.between(line + 0.03 * full, full)
        draw.line((x, y, x + 0.06 * full, y), fill=(142, 194, 222), width=2)


def _tufts(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(28):
        x, y = chance.between(0, 1) * full, chance.between(line + 0.02 * full, full)
        high = 0.012 * full
        tone = (72, 120, 64) if chance.number() < 0.6 else (112, 160, 84)
        draw.line((x - high / 2, y - high, x, y, x + high / 2, y - high), fill=tone, width=2)


def _flakes(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(40):
        x, y, r = chance.between(0, 1) * full, chance.between(0, 1) * full, chance.between(1, 3.5)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))


def _cactus(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(int(chance.number() * 3)):
        x, y, u = chance.between(0.05, 0.95) * full, line + 0.03 * full, 0.02 * full
        tone = (94, 140, 84)
        draw.rounded_rectangle((x - u / 2, y - 5 * u, x + u / 2, y), radius=u / 2, fill=tone)
        draw.line((x, y - 2 * u, x + 1.5 * u, y - 2 * u, x + 1.5 * u, y - 3.6 * u), fill=tone,
                  width=max(2, round(u * 0.7)), joint="curve")  # fmt: skip


def _town(draw: Any, full: int, line: int, chance: Chance) -> None:
    x = -0.05 * full
    while x < full:
        wide, high = chance.between(0.1, 0.2) * full, chance.between(0.14, 0.38) * full
        gray = round(chance.between(150, 196))
        draw.rectangle((x, line - high, x + wide, line), fill=(gray, gray - 6, gray - 14))
        for i in range(1, 3):
            for j in range(1, max(2, int(high / (0.07 * full)))):
                left, top = x + wide * i / 3 - 0.012 * full, line - high + j * 0.06 * full
                pane = (left, top, left + 0.024 * full, top + 0.03 * full)
                draw.rectangle(
                    pane, fill=(232, 226, 190) if chance.number() < 0.4 else (120, 136, 152)
                )
        x += wide + 0.01 * full
    draw.rectangle((0, line, full, line + 0.035 * full), fill=(186, 186, 184))


def _lane(draw: Any, full: int, line: int, chance: Chance) -> None:
    y, start = line + (full - line) * 0.55, chance.between(-0.1, 0) * full
    for i in range(7):
        x = start + i * 0.18 * full
        draw.rectangle((x, y, x + 0.1 * full, y + 0.014 * full), fill=(236, 232, 214))


def _stars(draw: Any, full: int, line: int, chance: Chance) -> None:
    for _ in range(36):
        x, y, r = (
            chance.between(0, 1) * full,
            chance.between(0, 0.95) * line,
            chance.between(1, 2.6),
        )
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 246, 214))


def _moon(draw: Any, full: int, line: int, chance: Chance) -> None:
    x, y, r = chance.between(0.1, 0.9) * full, chance.between(0.15, 0.35) * line, 0.06 * full
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(248, 242, 210))
    draw.ellipse((x - r * 0.4, y - r * 0.5, x, y - r * 0.1), fill=(228, 220, 186))


def _window(draw: Any, full: int, line: int, chance: Chance) -> None:
    x, y, w, h = chance.between(0.08, 0.62) * full, 0.1 * full, 0.28 * full, 0.3 * full
    draw.rectangle((x - 8, y - 8, x + w + 8, y + h + 8), fill=(252, 250, 244))
    draw.rectangle((x, y, x + w, y + h), fill=(166, 212, 240))
    draw.line((x + w / 2, y, x + w / 2, y + h), fill=(252, 250, 244), width=6)
    draw.line((x, y + h / 2, x + w, y + h / 2), fill=(252, 250, 244), width=6)
    draw.rectangle((0, line - 0.02 * full, full, line), fill=(250, 244, 232))


def _boards(draw: Any, full: int, line: int, chance: Chance) -> None:
    for i in range(1, 6):
        y = line + (full - line) * (i / 6) ** 1.3
        draw.line((0, y, full, y), fill=(140, 96, 60), width=2)
        x = chance.between(0, 1) * full
        draw.line((x, y, x, y + (full - line) / 6), fill=(140, 96, 60), width=2)


FEATURES: dict[str, Feature] = {
    "boards": _boards,
    "cactus": _cactus,
    "clouds": _clouds,
    "dark hills": _dark_hills,
    "dunes": _dunes,
    "flakes": _flakes,
    "hills": _hills,
    "lane": _lane,
    "low sun": _low_sun,
    "moon": _moon,
    "mountains": _mountains,
    "sea": _sea,
    "stars": _stars,
    "sun": _sun,
    "town": _town,
    "tufts": _tufts,
    "waves": _waves,
    "window": _window,
}
