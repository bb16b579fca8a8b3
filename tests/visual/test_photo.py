"""Photo files of every kind come out as upright RGB, and bad ones say what is wrong."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, features

from miacap.errors import PictureError
from miacap.visual.photo import MAXIMUM_PIXELS, decode

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def corners() -> Image.Image:
    """A wide picture whose four quarters differ, so that every turn of it looks different."""
    image = Image.new("RGB", (48, 32))
    draw = ImageDraw.Draw(image)
    places = ((0, 0), (24, 0), (0, 16), (24, 16))
    for place, colour in zip(places, (RED, GREEN, BLUE, GREY), strict=True):
        draw.rectangle((*place, place[0] + 23, place[1] + 15), fill=colour)
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"", extra: bytes = b""
) -> bytes:
    """A PNG file from its parts: the header, more chunks, and rows that begin with filter 0."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


# EXIF's own words for where row 0 and column 0 of the stored picture lie in the scene.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,  # row 0 top, column 0 left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.transpose(1, 0, 2),  # left, top
    6: lambda a: a.transpose(1, 0, 2)[::-1],  # right, top
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],  # left, bottom
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    scene = np.asarray(corners())
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](scene)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    found = pixels(decode(saved(stored, kind, exif=exif, **options.get(kind, {}))))
    assert found.shape == scene.shape
    assert np.abs(found - scene).mean() < (4 if kind == "JPEG" else 0.01)


def test_the_orientation_can_be_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(corners(), exif=exif)
    assert decode(data, exif="ignore").size == (48, 32)
    assert decode(data).size == (32, 48)


def test_broken_exif_does_not_cost_the_photo() -> None:
    for notes in (b"MM\0*\0\0\0\x08\xff\xff", b"rubbish", b"II*\0\xff\xff\xff\x7f"):
        body = b"Exif\0\0" + notes
        data = saved(corners(), "JPEG")
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        assert decode(data[:2] + segment + data[2:]).size == (48, 32)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_unknown_orientation_is_upright(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert decode(saved(corners(), exif=exif)).size == (48, 32)


def test_greyscale_and_black_and_white() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (pixels(decode(saved(Image.fromarray(ramp)))) == ramp[..., None]).all()
    bits = Image.fromarray(ramp).point(lambda v: 255 * (v > 99)).convert("1")
    assert (pixels(decode(saved(bits))) == 255 * (ramp[..., None] > 99)).all()


def test_greyscale_with_alpha_lies_on_white() -> None:
    grey = np.full((4, 4), 40, np.uint8)
    alpha = np.array([[0, 255, 128, 64]] * 4, np.uint8)
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    wanted = 255 + (40 - 255) * alpha.astype(float) / 255
    assert np.abs(pixels(decode(saved(image))) - wanted[..., None]).max() <= 1
    dark = 40 * alpha.astype(float) / 255
    assert np.abs(pixels(decode(saved(image), alpha="black")) - dark[..., None]).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_range(kind: str) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = pixels(decode(saved(Image.fromarray(values), kind)))
    assert np.abs(found - values[..., None] / 257).max() <= 0.51


def test_big_endian_sixteen_bit_tiff() -> None:
    values = np.array([[0, 1000, 30000, 65535]], dtype=">u2")
    image = Image.frombytes("I;16B", (4, 1), values.tobytes())
    found = pixels(decode(saved(image, "TIFF")))
    assert np.abs(found[..., 0] - values.astype(float) / 257).max() <= 0.51


def test_sixteen_bit_png_with_a_transparent_value() -> None:
    rows = b"\0" + struct.pack(">4H", 500, 501, 500, 65535)
    data = png(4, 1, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 500)))
    assert pixels(decode(data))[0, :, 0].tolist() == [255, 2, 255, 255]


def test_sixteen_bit_colour() -> None:
    rows = b"\0" + struct.pack(">6H", 65535, 0, 0, 0x8000, 0x8000, 0x8000)
    found = pixels(decode(png(2, 1, 16, 2, rows)))
    assert found[0, 0].tolist() == [255, 0, 0]
    assert np.abs(found[0, 1] - 128).max() <= 1


def test_floating_point_tiff() -> None:
    image = Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32))
    assert pixels(decode(saved(image, "TIFF")))[0, :, 0].tolist() == [0, 128, 255, 0]
    image = Image.fromarray(np.array([[0.0, 100.0, 255.0, 300.0]], np.float32))
    assert pixels(decode(saved(image, "TIFF")))[0, :, 0].tolist() == [0, 100, 255, 255]


def palette_image() -> Image.Image:
    image = Image.new("P", (4, 1))
    image.putpalette([*RED, *GREEN, *BLUE, *GREY])
    image.putdata([0, 1, 2, 3])
    return image


def test_palette() -> None:
    for kind in ("PNG", "GIF", "BMP"):
        assert pixels(decode(saved(palette_image(), kind)))[0].tolist() == [
            [*RED], [*GREEN], [*BLUE], [*GREY],
        ]  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_one_transparent_colour(kind: str) -> None:
    found = pixels(decode(saved(palette_image(), kind, transparency=1)))[0]
    assert found.tolist() == [[*RED], [255] * 3, [*BLUE], [*GREY]]


def test_palette_with_a_table_of_alphas() -> None:
    found = pixels(decode(saved(palette_image(), transparency=bytes([255, 0, 128, 255]))))[0]
    assert np.abs(found - [[*RED], [255] * 3, [127, 127, 255], [*GREY]]).max() <= 1


def test_colour_key_and_full_alpha() -> None:
    image = corners()
    assert pixels(decode(saved(image, transparency=RED)))[0, 0].tolist() == [255] * 3
    image.putalpha(0)  # what hides under full transparency must not shine through
    assert (pixels(decode(saved(image))) == 255).all()
    assert (pixels(decode(saved(image, "WEBP", lossless=True))) == 255).all()


CMYK = [(0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 0), (0, 0, 0, 255)]
MEANT = [[*RED], [*GREEN], [255] * 3, [0] * 3]


def cmyk(values: list[tuple[int, ...]]) -> Image.Image:
    image = Image.new("CMYK", (16 * len(values), 16))
    for i, value in enumerate(values):
        image.paste(value, (16 * i, 0, 16 * i + 16, 16))
    return image


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    # Pillow writes a JPEG as Adobe does: marker APP14, values inverted; a TIFF as they are.
    data = saved(cmyk(CMYK), kind, **({"quality": 95} if kind == "JPEG" else {}))
    assert (b"Adobe" in data) == (kind == "JPEG")
    assert np.abs(pixels(decode(data))[8, 8::16] - MEANT).max() <= 6


def test_cmyk_jpeg_by_its_raw_values() -> None:
    # Adobe's files hold 255 - ink: stored zeros are full ink, which is black.
    stored = saved(cmyk([(255, 255, 255, 255)]), "JPEG")
    assert pixels(decode(stored)).max() <= 6


def test_ycck_jpeg() -> None:
    """Adobe's transform 2: the inks as if they were red, green and blue, turned to YCC; K as is."""
    inks = Image.new("RGB", (64, 16))
    for i, colour in enumerate(MEANT):
        inks.paste(tuple(255 - v for v in colour), (16 * i, 0, 16 * i + 16, 16))
    # The writer inverts what it is given, so that these arrive as they are; no K: 255 stored.
    channels = [c.point(lambda v: 255 - v) for c in inks.convert("YCbCr").split()]
    image = Image.merge("CMYK", (*channels, Image.new("L", inks.size, 0)))
    data = saved(image, "JPEG", quality=95)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    found = decode(data[:at] + b"\x02" + data[at + 1 :])
    assert np.abs(pixels(found)[8, 8::16] - MEANT).max() <= 8


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), c) for c in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    found = pixels(decode(data))
    assert (found == RED).all(axis=-1).all()


def test_progressive_jpeg_is_the_same_photo() -> None:
    base, progressive = (saved(corners(), "JPEG", progressive=p) for p in (False, True))
    assert b"\xff\xc2" in progressive
    assert (pixels(decode(base)) == pixels(decode(progressive))).all()


def test_the_content_says_what_a_file_is() -> None:
    assert decode(saved(corners(), "WEBP", lossless=True), where="really-a-webp.jpg").size == (
        48,
        32,
    )


@pytest.mark.parametrize("kind", ["BMP", "PPM", "JPEG2000", "AVIF", "ICO"])
def test_other_formats(kind: str) -> None:
    codec = {"JPEG2000": "jpg_2000", "AVIF": "avif"}.get(kind)
    if codec and not features.check(codec):
        pytest.skip(f"this Pillow was built without {codec}")
    image = Image.new("RGB", (32, 32), RED)
    assert np.abs(pixels(decode(saved(image, kind)))[16, 16] - RED).max() <= 6


def test_a_script_is_no_photo() -> None:
    with pytest.raises(PictureError, match="of a format that is not read"):
        decode(saved(corners(), "EPS"), "page.eps")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_says_so(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = saved(noise, kind)
    with pytest.raises(PictureError, match=r"^a/b\.jpg: .*(copy it again|save it again)\.$") as e:
        decode(data[: len(data) // 2], "a/b.jpg")
    if kind == "JPEG":
        assert "the file is cut off (image file is truncated" in str(e.value)


def test_a_truncated_progressive_jpeg() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = saved(noise, "JPEG", progressive=True)
    with pytest.raises(PictureError, match=r"^p\.jpg: the file is cut off .*; copy it again\.$"):
        decode(data[: len(data) * 2 // 3], "p.jpg")


def test_an_empty_file() -> None:
    with pytest.raises(PictureError, match=r"^x\.jpg: the file is empty; copy it again\.$"):
        decode(b"", "x.jpg")


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"\0" * 100, b"\xff\xd8", b"GIF89a"])
def test_what_is_no_image(data: bytes) -> None:
    with pytest.raises(PictureError, match=r"^x\.jpg: .*(copy|save) "):
        decode(data, "x.jpg")


def test_what_is_no_image_shows_its_beginning() -> None:
    with pytest.raises(PictureError) as e:
        decode(b"<html>not found</html>", "x.jpg")
    assert str(e.value) == (
        "x.jpg: not an image, or of a format that is not read (bytes begin b'<html>no'); "
        "save it as JPEG or PNG."
    )


@pytest.mark.parametrize("size", [(100_000, 1_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=r"^x: the image has .* pixels; at most 89,478,485") as e:
        decode(png(*size), "x")
    assert str(e.value).endswith("Make it smaller.")
    assert size[0] * size[1] > MAXIMUM_PIXELS


def test_a_bomb_just_over_the_limit_names_its_size() -> None:
    with pytest.raises(PictureError, match="the image has 89479 x 1000 pixels;"):
        decode(png(89_479, 1_000), "x")


def test_a_gif_whose_frame_outgrows_its_screen_is_refused() -> None:
    data = bytearray(saved(Image.new("P", (4, 4)), "GIF"))
    at = data.index(b",\0\0\0\0\x04\0\x04\0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(PictureError, match=r"far more pixels|damaged|cut off"):
        decode(bytes(data), "x")


def test_no_pixels() -> None:
    for data in (png(0, 4), png(4, 0), b"P6 0 5 255\n"):
        with pytest.raises(PictureError, match=r"^x: "):
            decode(data, "x")


def test_extreme_shapes_are_photos_too() -> None:
    assert decode(saved(Image.new("RGB", (20_000, 1)))).size == (20_000, 1)


def test_pillows_warnings_stay_inside() -> None:
    # Notes of a camera that point outside the file.
    data = saved(corners(), "JPEG")
    body = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\xff\0\0\xff\xff"
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    with pytest.warns(UserWarning, match=r"Tag data|EXIF"):
        Image.open(io.BytesIO(data)).getexif()
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert {image.size for image in pool.map(decode, [data] * 40)} == {(48, 32)}
    assert list(warnings.filters) == before


def test_filters_are_left_alone_after_a_refusal() -> None:
    before = list(warnings.filters)
    with pytest.raises(PictureError):
        decode(b"rubbish", "x")
    assert list(warnings.filters) == before


SEEDS = [
    saved(corners(), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "ICO")
] + [saved(corners().convert("P"), "PNG"), saved(corners().convert("CMYK"), "JPEG")]


def damaged(seed: int, changes: list[tuple[float, int]], keep: float) -> bytes:
    data = bytearray(SEEDS[seed])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    return bytes(data[: int(keep * len(data)) + 1])


DAMAGE = {
    "seed": st.integers(0, len(SEEDS) - 1),
    "changes": st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    "keep": st.one_of(st.just(1.0), st.floats(0, 1)),
}


def check_damaged(data: bytes) -> None:
    try:
        image = decode(data, "x")
    except PictureError as error:
        assert str(error).startswith("x: ") and str(error).endswith(".")
    else:
        assert image.mode == "RGB" and min(image.size) > 0


@settings(max_examples=150, deadline=None)
@given(**DAMAGE)
def test_damage_gives_a_photo_or_a_clear_refusal(
    seed: int, changes: list[tuple[float, int]], keep: float
) -> None:
    check_damaged(damaged(seed, changes, keep))


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None)
@given(**DAMAGE)
def test_much_damage_gives_a_photo_or_a_clear_refusal(
    seed: int, changes: list[tuple[float, int]], keep: float
) -> None:
    check_damaged(damaged(seed, changes, keep))
