"""Photo files, read right: whatever the format, an upright RGB image of 8 bits a channel.

Read: JPEG, PNG, GIF, WebP, AVIF, TIFF, BMP, JPEG 2000, PPM, ICO; of animations and
many-page files the first frame. The file's content says what it is, not its name.
No other format is tried: some of Pillow's readers start programs (EPS).
Colour profiles (ICC) are not applied.
"""

import functools
import io
import threading
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from miacap.data.features import Alpha, Exif
from miacap.errors import PictureError

# Pillow's own bound, a quarter of a gigabyte as RGB; there it is a warning, here a refusal.
MAXIMUM_PIXELS = 89_478_485
_FORMATS = (
    "JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM", "ICO",
)  # fmt: skip
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


def decode(
    data: bytes, where: str = "the photo", alpha: Alpha = "white", exif: Exif = "apply"
) -> Image.Image:
    """Read one photo.

    Args:
        data: the file's bytes.
        where: its id or path, for messages.
        alpha: what lies behind transparent pixels.
        exif: whether the EXIF orientation is applied (a TIFF's always is).

    Returns:
        The whole photo, upright, mode RGB.

    Raises:
        PictureError: empty, no image, damaged, cut off, or larger than `MAXIMUM_PIXELS`.
        MemoryError, OSError: no fault of the photo: too little memory, too many open files.
    """
    if not data:
        raise PictureError(f"{where}: the file is empty; copy it again.")
    with _pillow_warnings:
        try:
            with Image.open(io.BytesIO(data), formats=load_formats()) as image:
                _check_size(image, where)
                return _upright(image, alpha, exif)
        except (PictureError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise PictureError(
                f"{where}: not an image, or of a format that is not read (bytes begin "
                f"{data[:8]!r}); save it as JPEG or PNG."
            ) from None
        except Image.DecompressionBombError:
            raise _too_large(where, "far more pixels") from None
        except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
            _raise_shortage(error)
            raise PictureError(f"{where}: {_damage(error)}") from None


def upright(
    image: Image.Image, where: str = "the photo", alpha: Alpha = "white", exif: Exif = "apply"
) -> Image.Image:
    """Give an image that somebody opened as `decode` gives that of its file.

    Args:
        image: of any mode; read now if it was only opened.
        where: its id, for messages.
        alpha: what lies behind transparent pixels.
        exif: whether the EXIF orientation is applied.

    Returns:
        The whole photo, upright, mode RGB.

    Raises:
        PictureError: it cannot be read, has no pixels or more than `MAXIMUM_PIXELS`.
    """
    _check_size(image, where)
    with _pillow_warnings:
        try:
            return _upright(image, alpha, exif)
        except MemoryError:
            raise
        except Exception as error:  # Pillow reads on demand, and raises nearly anything then
            _raise_shortage(error)
            raise PictureError(f"{where}: the image cannot be read ({error}).") from None


def _upright(image: Image.Image, alpha: Alpha, exif: Exif) -> Image.Image:
    image.load()
    turn = _orientation(image) if exif == "apply" else None
    rgb = _to_rgb(image, alpha)
    return rgb if turn is None else rgb.transpose(turn)


def _check_size(image: Image.Image, where: str) -> None:
    """Refuse by the header, before anything is unpacked."""
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError(f"{where}: the image has no pixels ({width} x {height}).")
    if width * height > MAXIMUM_PIXELS:
        raise _too_large(where, f"{width} x {height} pixels")


def _too_large(where: str, size: str) -> PictureError:
    return PictureError(
        f"{where}: the image has {size}; at most {MAXIMUM_PIXELS:,} are read. Make it smaller."
    )


def _raise_shortage(error: Exception) -> None:
    """Raise what is no fault of the photo: too little memory, too many open files.

    Errors of the system have a number, those of Pillow's decoders have none.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    if "out of memory" in str(error):  # so Pillow says it where a decoder finds none
        raise MemoryError(str(error))


def _damage(error: Exception) -> str:
    text = str(error)
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"the file is cut off ({text or 'it ends too early'}); copy it again."
    return f"the image is damaged ({text or type(error).__name__}); copy or save it again."


def _orientation(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # a camera's broken notes are no reason to refuse its photo
        return None


def _to_rgb(image: Image.Image, alpha: Alpha) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, alpha)
        return Image.alpha_composite(behind, image).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale deep greyscale to 8 bits; Pillow's own conversion would clip it at 255.

    16 bits (mode I holds them too): 65535 is white. Floating point: 1 is white, or 255
    where a value exceeds 1.
    """
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        white = 1.0 if values.max() <= 1 else 255.0
    else:
        white = 65535.0
    grey = Image.fromarray((values.clip(0, white) * (255 / white)).round().astype(np.uint8))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    opaque = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, opaque))


@functools.cache
def load_formats() -> tuple[str, ...]:
    """Load Pillow's readers; give the names of the formats that are read."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


class _PillowWarnings:
    """Silence Pillow's warnings on odd files while any thread decodes.

    `warnings.catch_warnings` swaps global state and must not interleave between threads;
    this adds one filter for Pillow's modules when the first enters and takes it away when
    the last leaves, whatever else has changed in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                ours = [f for f in warnings.filters if getattr(f[3], "pattern", "") == r"PIL\."]
                for entry in ours:
                    warnings.filters.remove(entry)  # type: ignore[attr-defined]


_pillow_warnings = _PillowWarnings()
