"""Which formats of photos are read here, and what to install for those that are not.

A file's content says what it is; its suffix matters only where a folder is searched for photos.
"""

import functools
import importlib
from contextlib import suppress

from PIL import Image, features

_FORMATS = (
    "JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM", "ICO",
    "HEIF",
)  # fmt: skip
_READERS = ("Jpeg", "Mpo", "Png", "Gif", "WebP", "Avif", "Tiff", "Bmp", "Jpeg2K", "Ppm", "Ico")
"""Modules of Pillow that have them. None of the others is loaded; some start programs."""
_BLOCK = 64 << 20
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF = (b"avif", b"avis")

_NEED_HEIC = "HEIC photos need one more package: pip install pillow-heif; or save it as JPEG."
_NEED_AVIF = "AVIF photos need a newer Pillow: pip install 'pillow>=11.3'; or save it as JPEG."
_NEED_PILLOW = "this Pillow was built without {}: pip install --force-reinstall pillow"
_NEVER = "photos of this kind are not read; save them as JPEG or PNG."

OTHER_SUFFIXES = (
    ".jxl", ".psd", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2",
)  # fmt: skip
"""Suffixes of photos that are never read."""


@functools.cache
def load_formats() -> tuple[str, ...]:
    """Load Pillow's readers; give the names of the formats that are read."""
    for reader in _READERS:
        with suppress(ImportError):  # AVIF comes with newer Pillows
            importlib.import_module(f"PIL.{reader}ImagePlugin")
    # Blocks of more than 32 MB go back to the system when an image is freed; smaller ones stay
    # with the C library, and two large photos one after another then took 1.2 GB.
    Image.core.set_block_size(_BLOCK)  # type: ignore[attr-defined]
    with suppress(ImportError):  # HEIC photos are then refused with what to install
        importlib.import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def to_install(data: bytes) -> str:
    """Say what a file needs that no reader here opens, by its first bytes, or give ""."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _HEIC:
        return _NEED_HEIC
    if brand in _AVIF:
        return _NEED_AVIF
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and not _has("webp"):
        return _NEED_PILLOW.format("WebP")
    return ""


def without_decoder(error: Exception) -> str:
    """Say what to install where Pillow was built without a format's decoder, or give ""."""
    text = str(error)
    if isinstance(error, OSError) and text.endswith(" not available"):
        return _NEED_PILLOW.format(text.removesuffix(" not available"))
    return ""


def why_unread(suffix: str) -> str:
    """Say why photos with a suffix (".heic") are not read here, or give "" where they are."""
    suffix = suffix.lower()
    if suffix in (".heic", ".heif") and "HEIF" not in load_formats():
        return _NEED_HEIC.replace("save it", "save them")
    if suffix == ".avif" and not _has("avif"):
        return _NEED_AVIF.replace("save it", "save them")
    for ending, module, name in ((".webp", "webp", "WebP"), (".jp2", "jpg_2000", "JPEG 2000")):
        if suffix == ending and not _has(module):
            return _NEED_PILLOW.format(name)
    return _NEVER if suffix in OTHER_SUFFIXES else ""


def _has(feature: str) -> bool:
    known = feature in features.modules or feature in features.codecs
    return known and bool(features.check(feature))
