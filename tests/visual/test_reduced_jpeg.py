"""Progressive JPEGs, whose decoder holds all coefficients: counted, and read smaller if need be."""

import io

import numpy as np
import pytest
from PIL import Image

from miacap.errors import PictureError
from miacap.visual import decode, jpeg, memory
from miacap.visual.photo import needed, open_file


def saved(size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    width, height = size
    ramp = np.add.outer(np.arange(height), 2 * np.arange(width)) * 255 // (height + 2 * width)
    image = Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "options", "bytes_a_pixel"),
    [
        ("RGB", {}, 0.0),
        ("RGB", {"progressive": True, "subsampling": 2}, 3.15),  # 4:2:0
        ("RGB", {"progressive": True, "subsampling": 1}, 4.2),  # 4:2:2
        ("RGB", {"progressive": True, "subsampling": 0}, 6.3),  # 4:4:4
        ("L", {"progressive": True}, 2.1),
        ("CMYK", {"progressive": True}, 8.4),
    ],
)
def test_coefficients_by_sampling(mode: str, options: dict, bytes_a_pixel: float) -> None:
    data = saved((160, 96), mode, **options)
    assert jpeg.coefficients(data) == pytest.approx(160 * 96 * bytes_a_pixel, abs=2)


def test_a_sequential_jpeg_of_several_scans_counts_too() -> None:
    data = bytearray(saved((32, 16), subsampling=0))
    scan = data.index(b"\xff\xda")
    assert data[scan + 4] == 3 and jpeg.coefficients(bytes(data)) == 0
    data[scan + 4] = 1  # the first scan holds one of three channels
    assert jpeg.coefficients(bytes(data)) == pytest.approx(32 * 16 * 6.3, abs=2)


@pytest.mark.parametrize("data", [
    b"",
    b"\xff\xd8",
    b"\xff\xd8\xff\xc2\x00\x08\x08\x00\x01\x00\x01\x03",
    b"\xff\xd8\xff\xc2\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x00\x00\xff\xda\x00\x03\x00",
])  # fmt: skip
def test_headers_of_any_kind_have_a_number(data: bytes) -> None:
    assert jpeg.coefficients(data) == 0


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_what_does_not_fit_is_read_smaller(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved((801, 603), progressive=True)
    whole = decode(data)
    image = Image.open(io.BytesIO(data))
    # Room for this scale and no larger one.
    sizes = {s: Image.new("RGB", (-(-801 // s), -(-603 // s))) for s in (1, 2, 4, 8)}
    held = jpeg.coefficients(data)
    room = {s: memory.needed(one, 224, held) for s, one in sizes.items()}
    assert needed(image, data) == room[1] > room[2] > room[4] > room[8]
    monkeypatch.setattr(memory, "DECODED", room[scale])
    opened, need = open_file(data, "a.jpg")
    assert (opened.size, need) == (sizes[scale].size, room[scale])
    smaller = decode(data)
    assert smaller.size == sizes[scale].size
    wanted = np.asarray(whole.resize(smaller.size, Image.Resampling.BOX), dtype=int)
    assert np.abs(np.asarray(smaller, dtype=int) - wanted).mean() < 2
    # One that lacks its end marker is read at the same size.
    assert decode(data[:-2]).tobytes() == smaller.tobytes()
    monkeypatch.setattr(memory, "DECODED", room[8] - 1)
    with pytest.raises(PictureError, match=r"^a\.jpg: 801 x 603 pixels as JPEG take up to"):
        decode(data, "a.jpg")


def test_what_fits_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved((801, 603), progressive=True)
    before = decode(data).tobytes()
    room = needed(Image.open(io.BytesIO(data)), data)
    monkeypatch.setattr(memory, "DECODED", room)
    assert open_file(data, "a.jpg")[1] == room
    assert decode(data).tobytes() == before


@pytest.mark.parametrize(
    ("megapixels", "subsampling", "scale"), [(50, 2, 1), (50, 0, 2), (56, 2, 1), (72, 2, 2)]
)
def test_cameras_photos_are_read(megapixels: int, subsampling: int, scale: int) -> None:
    """By the header alone: nothing of such a size is unpacked here."""
    data = saved((64, 48), progressive=True, subsampling=subsampling)
    at = data.index(b"\xff\xc2") + 5
    side = int((megapixels * 1e6) ** 0.5)
    data = data[:at] + side.to_bytes(2, "big") * 2 + data[at + 4 :]
    assert open_file(data, "camera.jpg")[0].size == (-(-side // scale),) * 2
