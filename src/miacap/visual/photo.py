"""Photo files, read right: whatever the format, an upright RGB image of 8 bits a channel.

Read: JPEG, PNG, GIF, WebP, AVIF, TIFF, BMP, JPEG 2000, PPM, ICO, and HEIC where pillow-heif is
installed; of animations and many-page files the first frame. The file's content says what it is,
not its name. No other format is tried: some of Pillow's readers start programs (EPS).
Colour profiles (ICC) are not applied.
"""

import hashlib
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from miacap.data.features import Alpha, Exif
from miacap.errors import PictureError
from miacap.visual import formats, icons, jpeg, memory
from miacap.visual.pixels import Pixels, upright_size

# Pillow's own bound, a quarter of a gigabyte as RGB; there it is a warning, here a refusal.
MAXIMUM_PIXELS = 89_478_485
LONGEST_SIDE = 65_535
_ROWS_TOGETHER = 64
_JPEG = ("JPEG", "MPO")
_SCALES = (2, 4, 8)  # those of libjpeg
LACKS_END = "lacks its end marker; all of the photo is there"


class NotReadHere(PictureError):
    """A photo that another installation reads; the message says what to install."""


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
        PictureError: empty, no image, damaged, cut off, larger than `MAXIMUM_PIXELS`, in need of
            more memory than `memory.LARGEST`, or of a package that is not installed.
        MemoryError, OSError: no fault of the photo: too little memory, too many open files.
    """
    with refusals(where, data):
        opened, _ = open_file(data, where)
        image, _ = load(opened, data)
        return Pixels(image, alpha, exif).whole()


def upright(
    image: Image.Image, where: str = "the photo", alpha: Alpha = "white", exif: Exif = "apply"
) -> Image.Image:
    """Give an image that somebody opened as `decode` gives that of its file.

    Args:
        image: of any mode; read now if it was only opened.
        where: its id, for messages.
        alpha: what lies behind transparent pixels.
        exif: whether the EXIF orientation is applied.

    Raises:
        PictureError: it cannot be read, has no pixels or more than `MAXIMUM_PIXELS`.
    """
    with refusals(where):
        check_size(image, where)
        image.load()
        return Pixels(image, alpha, exif).whole()


def size_of(data: bytes, where: str = "the photo") -> tuple[int, int]:
    """Give width and height of a photo as it is shown, turned as its EXIF says, by its header.

    Raises:
        PictureError: it cannot be read.
    """
    with refusals(where, data):
        if not data:
            raise PictureError(f"{where}: the file is empty; copy it again.")
        _check_bytes(data, where)
        image = Image.open(io.BytesIO(data), formats=formats.load_formats())
        check_size(image, where)
        return upright_size(image)


@contextmanager
def refusals(where: str, data: bytes = b"") -> Iterator[None]:
    """Say what is wrong with a photo in a sentence; quiet Pillow's own warnings meanwhile."""
    with _pillow_warnings:
        try:
            yield
        except (PictureError, MemoryError):
            raise
        except UnidentifiedImageError:
            if needed := formats.to_install(data):
                raise NotReadHere(f"{where}: {needed}") from None
            raise PictureError(f"{where}: {_unknown(data)}") from None
        except Image.DecompressionBombError:
            raise _too_large(where, "far more pixels") from None
        except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
            _raise_shortage(error)
            if needed := formats.without_decoder(error):
                raise NotReadHere(f"{where}: {needed}") from None
            raise PictureError(f"{where}: {_damage(error)}") from None


def open_file(data: bytes, where: str, side: int = 224) -> tuple[Image.Image, int]:
    """Open a photo and look at its header; nothing is unpacked yet. To be used in `refusals`.

    Gives the photo, and how many bytes it takes to decode it and to reduce it to `side`.

    Args:
        data: the file's bytes.
        where: its id or path, for messages.
        side: pixels of the square that it will be reduced to.

    Raises:
        PictureError: empty, or it takes more memory than is given to one photo.
    """
    if not data:
        raise PictureError(f"{where}: the file is empty; copy it again.")
    kinds = formats.load_formats()
    _check_bytes(data, where)
    first = Image.open(io.BytesIO(data), formats=kinds)
    check_size(first, where)
    width, height = first.size
    if first.format in _JPEG and jpeg.takes_too_long(data, width * height):
        raise PictureError(
            f"{where}: {jpeg.scans(data)} scans of {width} x {height} pixels take too long to "
            "read; save it as PNG or baseline JPEG."
        )
    image, need = _reduced(first, data, side)
    if not _fits(need, data):
        raise PictureError(
            f"{where}: {image.size[0]} x {image.size[1]} pixels as {image.format} take up to "
            f"{(need + len(data)) / 1e6:.0f} MB to read, more than is given to one photo. Make it "
            "smaller, or save it as PNG or baseline JPEG."
        )
    return image, need


def _check_bytes(data: bytes, where: str) -> None:
    """Refuse what takes long or much memory as soon as Pillow opens it. Raises PictureError."""
    if jpeg.is_junk(data):
        raise PictureError(
            f"{where}: begins as a JPEG, but no photo comes within {jpeg.MOST_JUNK:,} bytes; copy "
            "it again."
        )
    size = icons.inner_size(data)
    if size is not None and max(size) > icons.LARGEST_SIDE:
        raise PictureError(
            f"{where}: an icon with an image of {size[0]} x {size[1]} pixels; a side of an icon "
            f"has at most {icons.LARGEST_SIDE:,}. Save it as PNG."
        )


def needed(image: Image.Image, data: bytes, side: int = 224) -> int:
    """Give how many bytes it takes to decode an opened photo and to reduce it to `side`."""
    coefficients = jpeg.coefficients(data) if image.format in _JPEG else 0
    return memory.needed(image, side, coefficients)


def _fits(need: int, data: bytes) -> bool:
    return need <= memory.DECODED and need + len(data) <= memory.LARGEST


def _reduced(whole: Image.Image, data: bytes, side: int) -> tuple[Image.Image, int]:
    """Have a JPEG that takes too much memory decoded at half its size, or less.

    Gives the photo that is to be loaded, and the bytes that it needs.
    """
    need = needed(whole, data, side)
    if whole.format not in _JPEG or _fits(need, data):
        return whole, need
    for scale in _SCALES:
        smaller = Image.open(io.BytesIO(data), formats=_JPEG)
        smaller.draft(None, (max(1, whole.size[0] // scale), max(1, whole.size[1] // scale)))
        less = needed(smaller, data, side)
        if _fits(less, data):
            return smaller, less
    return whole, need


def load(image: Image.Image, data: bytes, side: int = 224) -> tuple[Image.Image, str]:
    """Unpack a photo that `open_file` gave for the same side, with a note where it is odd.

    To be used in `refusals`.
    """
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error) or not jpeg.ends_early(data):
            raise
        image.close()  # one photo at a time is held
        whole = _same_whatever_follows(data, side)
        if whole is None:
            raise
        return whole, LACKS_END
    return image, ""


def _same_whatever_follows(data: bytes, side: int) -> Image.Image | None:
    """Give a JPEG that ends early, if bytes appended to it leave it as it is."""
    digests = []
    for tail in jpeg.TAILS:
        whole = jpeg.completed(data, tail)
        image, _ = _reduced(Image.open(io.BytesIO(whole), formats=("JPEG",)), whole, side)
        image.load()
        digest = hashlib.sha256()
        for top in range(0, image.size[1], _ROWS_TOGETHER):
            box = (0, top, image.size[0], min(top + _ROWS_TOGETHER, image.size[1]))
            digest.update(image.crop(box).tobytes())
        digests.append(digest.digest())
    return image if len(set(digests)) == 1 else None


def check_size(image: Image.Image, where: str) -> None:
    """Refuse by the header, before anything is unpacked. Raises PictureError."""
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError(f"{where}: the image has no pixels ({width} x {height}).")
    if width * height > MAXIMUM_PIXELS:
        raise _too_large(where, f"{width} x {height} pixels")
    if max(width, height) > LONGEST_SIDE:
        raise PictureError(
            f"{where}: the image is {width} x {height} pixels; a side has at most "
            f"{LONGEST_SIDE:,}. Make it smaller."
        )


def _too_large(where: str, size: str) -> PictureError:
    return PictureError(
        f"{where}: the image has {size}; at most {MAXIMUM_PIXELS:,} are read. Make it smaller."
    )


def _unknown(data: bytes) -> str:
    return (
        f"not an image, or of a format that is not read (bytes begin {data[:8]!r}); save it as "
        "JPEG or PNG."
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
