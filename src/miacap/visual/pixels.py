"""A decoded photo as upright RGB of 8 bits a channel, made strip by strip.

A photo of 89 megapixels takes 0.36 GB as Pillow holds it. Every copy of it, and every number in
double precision, would take as much again or more; so only a strip at a time is converted.
"""

from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from miacap.data.features import Alpha, Exif

_STRIP_PIXELS = 1 << 18
# What undoes each EXIF orientation (CIPA DC-008, "Orientation"); 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACROSS = (5, 6, 7, 8)  # a row of the upright photo is a column of the file's
_BACKWARDS = (3, 4, 7, 8)  # the upright photo's first row is the file's last row or column


class Pixels:
    """An image that is in memory, seen upright and as RGB.

    Args:
        image: of any mode, its pixels loaded.
        alpha: what lies behind transparent pixels.
        exif: whether the EXIF orientation is applied.

    Attributes:
        size: width and height of the upright photo.
    """

    def __init__(self, image: Image.Image, alpha: Alpha = "white", exif: Exif = "apply") -> None:
        self._image, self._alpha = image, alpha
        self._orientation = _orientation(image) if exif == "apply" else 1
        across = self._orientation in _ACROSS
        self.size: tuple[int, int] = image.size[::-1] if across else image.size
        self._white = _white(image)

    def whole(self) -> Image.Image:
        """Give the whole photo, mode RGB."""
        strips = list(self._bounds())
        if len(strips) == 1:
            return self._strip(*strips[0])
        result = Image.new("RGB", self.size)
        for top, bottom in strips:
            result.paste(self._strip(top, bottom), (0, top))
        return result

    def resize(
        self,
        size: tuple[int, int],
        interpolation: Image.Resampling,
        box: tuple[float, float, float, float],
    ) -> Image.Image:
        """Give what `Image.resize` gives of the whole photo, to the bit.

        Channels are scaled one after another, as Pillow scales each for itself: a large photo
        takes one byte a pixel beside the image, and not another four. (Strips would take less,
        but whether Pillow scales rows or columns first depends on the photo and its version.)
        """
        strips = list(self._bounds())
        if len(strips) == 1:
            return self._strip(*strips[0]).resize(size, interpolation, box)
        image = self._image
        if image.mode == "RGB" and self._orientation == 1 and not image.has_transparency_data:
            return image.resize(size, interpolation, box)
        channels = [self._channel(n).resize(size, interpolation, box) for n in range(3)]
        return Image.merge("RGB", channels)

    def _channel(self, number: int) -> Image.Image:
        """Give red (0), green (1) or blue (2) of the whole photo."""
        result = Image.new("L", self.size)
        for top, bottom in self._bounds():
            result.paste(self._strip(top, bottom).getchannel(number), (0, top))
        return result

    def _bounds(self) -> Iterator[tuple[int, int]]:
        width, height = self.size
        step = max(1, _STRIP_PIXELS // width)
        if width * height <= _STRIP_PIXELS:
            step = height
        for top in range(0, height, step):
            yield top, min(top + step, height)

    def _strip(self, top: int, bottom: int) -> Image.Image:
        """Give rows `top` to `bottom` - 1 of the upright photo, mode RGB."""
        width, height = self._image.size
        if self._orientation in _BACKWARDS:
            top, bottom = self.size[1] - bottom, self.size[1] - top
        box = (top, 0, bottom, height) if self._orientation in _ACROSS else (0, top, width, bottom)
        part = self._image if box == (0, 0, width, height) else self._image.crop(box)
        rgb = _to_rgb(part, self._alpha, self._white)
        turn = _TURNS.get(self._orientation)
        return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return orientation if orientation in _TURNS else 1
    except MemoryError:
        raise
    except Exception:  # a camera's broken notes are no reason to refuse its photo
        return 1


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Give width and height of an opened image as its EXIF orientation turns it."""
    return image.size[::-1] if _orientation(image) in _ACROSS else image.size


def _white(image: Image.Image) -> float:
    """Give the value that is white in a deep greyscale image.

    16 bits (mode I holds them too): 65535. Floating point: 1, or 255 where a value exceeds 1.
    """
    if image.mode != "F":
        return 65535.0
    width, height = image.size
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        values = np.asarray(image.crop((0, top, width, min(top + step, height))))
        # Infinity counts as black, NaN as nothing.
        if np.any(np.isfinite(values) & (values > 1)):
            return 255.0
    return 1.0


def _to_rgb(image: Image.Image, alpha: Alpha, white: float) -> Image.Image:
    if _is_deep(image):
        image = _to_eight_bits(image, white)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, alpha)
        return Image.alpha_composite(behind, image).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image, white: float) -> Image.Image:
    """Scale deep greyscale to 8 bits; Pillow's own conversion would clip it at 255."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    grey = Image.fromarray((values.clip(0, white) * (255 / white)).round().astype(np.uint8))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    opaque = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, opaque))
