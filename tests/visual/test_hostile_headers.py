"""Small files that ask for much: refused by their headers, before memory or time are spent."""

import io
import struct
import time

import pytest
from PIL import Image

from miacap.errors import PictureError
from miacap.visual import decode, icons, jpeg, memory


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def icon(inner: bytes) -> bytes:
    """Give an icon whose directory says 256 x 256, whatever is inside."""
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22)
    return b"\x00\x00\x01\x00\x01\x00" + entry + inner


def dib(width: int, height: int) -> bytes:
    """Give the header of a bitmap, its mask counted in the height."""
    return struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 32, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_an_icon_is_refused_by_what_is_inside(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    big = icon(saved(Image.new("L", (1025, 8)), "PNG") if kind == "PNG" else dib(1025, 8))
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened, and so unpacked"))
    with pytest.raises(PictureError, match=r"^i\.ico: an icon with an image of 1025 x 8 pixels"):
        decode(big, "i.ico")


def test_icons_that_people_have_are_read() -> None:
    photo = Image.new("RGB", (1024, 1024), "red")
    assert decode(icon(saved(photo, "PNG"))).size == (1024, 1024)
    assert decode(saved(photo, "ICO", bitmap_format="bmp")).size == (256, 256)
    assert icons.inner_size(saved(photo, "PNG")) is None


def test_a_tile_of_a_tiff_counts_whole() -> None:
    image = Image.new("RGB", (16, 16))
    image.format = "TIFF"
    small = memory.needed(image)
    image.tag_v2 = {322: 14_000, 323: 14_000}  # type: ignore[attr-defined]
    assert memory.needed(image) == small - 4 * 16 * 16 + 4 * 14_000**2 > memory.DECODED
    # Strips of four samples of 16 bits, whatever the image becomes.
    image.tag_v2 = {258: (16, 16, 16, 16), 277: 4, 278: 16}  # type: ignore[attr-defined]
    assert memory.needed(image) == small + 4 * 16 * 16


def with_scans(count: int) -> bytes:
    """Give a progressive JPEG whose last scan comes again and again."""
    data = saved(Image.new("RGB", (64, 64), "teal"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    end = data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * (count - jpeg.scans(data)) + data[end:]


def test_scans_times_pixels_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_scans(40)
    assert jpeg.scans(data) == 40 and decode(data).size == (64, 64)
    monkeypatch.setattr(jpeg, "MOST_SCANNED", 40 * 64 * 64)
    assert decode(data).size == (64, 64)
    monkeypatch.setattr(jpeg, "MOST_SCANNED", 40 * 64 * 64 - 1)
    with pytest.raises(PictureError, match=r"^p\.jpg: 40 scans of 64 x 64 pixels take too long"):
        decode(data, "p.jpg")
    # Those of a thumbnail, and of what lies behind the end, are not this photo's.
    one = saved(Image.new("RGB", (64, 64)), "JPEG")
    thumbnail = b"\xff\xe1\xff\x00" + (b"\xff\xda" * 0x7F7F)
    assert decode(one[:2] + thumbnail + one[2:] + data).size == (64, 64)


def test_scans_of_a_large_photo_are_refused() -> None:
    data = bytearray(with_scans(40))
    frame = data.index(b"\xff\xc2")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 9000, 9000)
    start = time.monotonic()
    with pytest.raises(PictureError, match="40 scans of 9000 x 9000 pixels"):
        decode(bytes(data))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "junk",
    [b"\x00", b"\xff", b"\xff\x00", b"\xff\xd9", b"\xff\xe0\x00\x02"],
    ids=["zeros", "fill", "stuffed", "ends", "segments"],
)
def test_a_jpeg_of_junk_is_refused_before_it_is_opened(
    junk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"\xff\xd8\xff" + junk * 2_000_000
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(PictureError, match=r"^j\.jpg: begins as a JPEG, but no photo comes within"):
        decode(data, "j.jpg")


def test_long_segments_and_some_junk_are_legal() -> None:
    photo = saved(Image.new("RGB", (8, 8)), "JPEG")
    profile = (b"\xff\xe2\xff\xff" + b"\x00" * 0xFFFD) * 100  # 6.5 MB
    assert decode(photo[:2] + profile + b"\x00" * 1000 + photo[2:]).size == (8, 8)
