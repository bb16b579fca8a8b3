"""Photos are reduced strip by strip, and come out as if they had been converted whole."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageOps

from miacap.visual import pixels
from miacap.visual.pixels import Pixels

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "F>1")
SIZES = ((61, 47), (5, 203), (203, 5))


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pixels, "_STRIP_PIXELS", 400)
    yield


def image(mode: str, size: tuple[int, int]) -> Image.Image:
    draw = np.random.default_rng(5)
    values = draw.integers(0, 256, (*size[::-1], 4), np.uint8)
    if mode in ("I;16", "I"):
        kind = np.uint16 if mode == "I;16" else np.int32
        return Image.fromarray((values[..., 0].astype(np.int64) * 257).astype(kind))
    if mode.startswith("F"):
        grey = values[..., 0].astype(np.float32) / 255
        if mode == "F>1":
            grey[-1, -1] = 200  # the last strip alone tells how white is written
        grey[0, 0], grey[1, 1] = np.nan, np.inf
        return Image.fromarray(grey)
    rgba = Image.fromarray(values, "RGBA")
    return rgba.convert("LA") if mode == "LA" else rgba.convert("RGB").convert(mode)


def whole(mode: str, size: tuple[int, int], orientation: int) -> Image.Image:
    """The plain way: convert all of it, then turn it."""
    one = image(mode, size)
    if mode.startswith("F") or mode in ("I", "I;16"):
        white = {"F": 1.0, "F>1": 255.0}.get(mode, 65535.0)
        values = np.nan_to_num(np.asarray(one).astype(np.float64), posinf=0.0)
        grey = (values.clip(0, white) * (255 / white)).round().astype(np.uint8)
        one = Image.fromarray(grey)
    if mode in ("LA", "PA"):
        one = one.convert("RGBA")
        one = Image.alpha_composite(Image.new("RGBA", size, "white"), one)
    rgb = one.convert("RGB")
    rgb.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(rgb)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_strips_of_every_mode_make_the_whole(mode: str, size: tuple[int, int], thin: None) -> None:
    one = image(mode, size)
    wanted = whole(mode, size, 1)
    assert Pixels(one).whole().tobytes() == wanted.tobytes()
    box = (0.5, 1.25, size[0] - 0.5, size[1] - 1.0)
    found = Pixels(one).resize((32, 24), Image.Resampling.BICUBIC, box)
    assert found.tobytes() == wanted.resize((32, 24), Image.Resampling.BICUBIC, box).tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    "filter", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
)
def test_strips_of_every_turn_make_the_whole(
    orientation: int, size: tuple[int, int], filter: Image.Resampling, thin: None
) -> None:
    one = image("RGB", size)
    one.getexif()[0x0112] = orientation
    wanted = whole("RGB", size, orientation)
    seen = Pixels(one)
    assert seen.size == wanted.size and seen.whole().tobytes() == wanted.tobytes()
    width, height = map(float, wanted.size)
    for sides in ((32, 32), (7, 90), wanted.size):
        for box in ((0.0, 0.0, width, height), (1.5, 0.25, width - 1, height)):
            found = seen.resize(sides, filter, box)
            assert found.tobytes() == wanted.resize(sides, filter, box).tobytes()
    assert Pixels(one, exif="ignore").whole().tobytes() == image("RGB", size).tobytes()


def test_a_transparent_colour_counts_in_every_strip(thin: None) -> None:
    for mode, key in (("RGB", (9, 9, 9)), ("L", 9), ("P", 9), ("I;16", 9)):
        one = Image.new(mode, (61, 47), key)
        one.info["transparency"] = key
        for alpha, value in (("white", 255), ("black", 0)):
            assert Pixels(one, alpha).whole().getextrema() == ((value, value),) * 3
