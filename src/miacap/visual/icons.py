"""Icons (ICO): the image inside is looked at before Pillow opens, and thereby unpacks, the file.

The directory of an icon has at most 256 x 256 pixels; the image inside says a size of its own.
"""

import io

from PIL import BmpImagePlugin, IcoImagePlugin, PngImagePlugin

LARGEST_SIDE = 1024
"""Pixels of a side, four times what an icon's directory can say."""
_START = b"\x00\x00\x01\x00"
_PNG = b"\x89PNG\r\n\x1a\n"


def inner_size(data: bytes) -> tuple[int, int] | None:
    """Give width and height of the image that Pillow takes from an icon; None: no icon.

    Raises:
        Exception: whatever Pillow raises on a damaged file.
    """
    if not data.startswith(_START):
        return None
    entries = IcoImagePlugin.IcoFile(io.BytesIO(data)).entry
    if not entries:
        return None
    offset = entries[0].offset
    file = io.BytesIO(data)
    file.seek(offset)
    if data[offset : offset + len(_PNG)] == _PNG:
        return PngImagePlugin.PngImageFile(file).size
    width, height = BmpImagePlugin.DibImageFile(file).size
    return width, height // 2  # the mask lies below the image
