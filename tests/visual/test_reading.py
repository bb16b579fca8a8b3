"""Photos on their way to the network: every kind of source, and why one did not come."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from miacap.errors import DataError
from miacap.visual import Backbone, Grid, Ready, decode, prepared, preprocessing_for, upright


def noise(size: tuple[int, int] = (50, 40), mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(3).integers(0, 256, (*size[::-1], 4), np.uint8)
    return Image.fromarray(values, "RGBA").convert(mode)


def file_of(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def only(items: list, grid: Grid) -> Ready:
    (ready,) = prepared(items, grid)
    return ready


def test_every_source_gives_the_same_picture(tmp_path: Path, shades: Backbone) -> None:
    data = file_of(noise(mode="RGBA"))
    path = tmp_path / "p.png"
    path.write_bytes(data)
    sources = [data, bytearray(data), memoryview(data), path, str(path), lambda: data,
               Image.open(path), Image.open(io.BytesIO(data))]  # fmt: skip
    grid = Grid(shades)
    found = list(prepared([(str(i), source) for i, source in enumerate(sources)], grid))
    assert [ready.id for ready in found] == [str(i) for i in range(len(sources))]
    wanted = grid.prepare(decode(data))
    for ready in found:
        assert ready.size == (50, 40) and ready.reason == ""
        assert torch.equal(ready.picture.pixels, wanted.pixels)
        rows, _ = grid.regions([ready.picture])[0]
        assert torch.equal(rows, grid.rows([decode(data)])[0][0])


@pytest.mark.parametrize("alpha", ["white", "black"])
@pytest.mark.parametrize("exif", ["apply", "ignore"])
@pytest.mark.parametrize("wrap", [bytes, lambda d: Image.open(io.BytesIO(d))])
def test_the_records_alpha_and_exif_hold(
    alpha: str, exif: str, wrap: Callable, shades: Backbone
) -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    data = file_of(noise(mode="RGBA"), exif=notes)
    grid = Grid(shades, preprocessing_for(shades, alpha=alpha, exif=exif))
    ready = only([("a", wrap(data))], grid)
    assert ready.size == ((40, 50) if exif == "apply" else (50, 40))
    wanted = grid.prepare(decode(data, "a", alpha, exif))
    assert torch.equal(ready.picture.pixels, wanted.pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "HSV"])
def test_an_opened_image_is_read_as_its_file(mode: str, shades: Backbone) -> None:
    kind = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "TIFF"
    image = noise(mode="L") if mode in ("I;16", "F") else noise(mode=mode)
    if mode in ("I;16", "F"):
        scale = 257 if mode == "I;16" else 1 / 255
        kinds = np.uint16 if mode == "I;16" else np.float32
        image = Image.fromarray((np.asarray(image) * np.float64(scale)).astype(kinds))
    assert image.mode == mode
    if mode == "HSV":  # no file holds it
        assert upright(image).tobytes() == image.convert("RGB").tobytes()
        return
    assert upright(image).tobytes() == decode(file_of(image, kind)).tobytes()


def test_what_does_not_come_says_why(tmp_path: Path, shades: Backbone) -> None:
    def unplugged() -> bytes:
        raise DataError("d: no such photo in album.")

    cut = Image.open(io.BytesIO(file_of(noise())[:200]))
    items = [("a", b"<html>"), ("b", tmp_path / "none.png"), ("c", "nul\0.png"),
             ("d", unplugged), ("e", cut), ("f", noise())]  # fmt: skip
    found = {ready.id: ready for ready in prepared(items, Grid(shades))}
    assert found["a"].broken and found["a"].reason.startswith("a: not an image")
    assert not found["b"].broken and found["b"].reason == "b: there is no such photo."
    assert not found["c"].broken and found["c"].reason.startswith("c: cannot be read")
    assert not found["d"].broken and found["d"].reason == "d: no such photo in album."
    assert found["e"].broken and found["e"].reason.startswith("e: ")
    assert found["f"].picture is not None
    assert all(found[id].picture is None for id in "abcde")
