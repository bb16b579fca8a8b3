"""A JPEG that lacks only its end marker is read with a note; one that is cut inside is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from miacap.errors import PictureError
from miacap.visual import Backbone, Grid, decode, prepared


def jpeg(size: tuple[int, int] = (97, 61), mode: str = "RGB", **options: object) -> bytes:
    values = np.random.default_rng(2).integers(0, 256, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, "JPEG", quality=80, **options)
    return file.getvalue()


KINDS = [
    {}, {"mode": "L"}, {"mode": "CMYK"}, {"progressive": True}, {"progressive": True, "mode": "L"},
    {"subsampling": 0}, {"restart_marker_blocks": 2}, {"progressive": True, "subsampling": 0},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_only_the_end_marker_is_missing(kind: dict, shades: Backbone) -> None:
    whole = jpeg(**kind)
    assert whole.endswith(b"\xff\xd9")
    for cut in (whole[:-2], whole[:-1]):
        assert decode(cut).tobytes() == decode(whole).tobytes()
        (ready,) = prepared([("a.jpg", cut)], Grid(shades))
        assert ready.note == "a.jpg: lacks its end marker; all of the photo is there"
    (ready,) = prepared([("a.jpg", whole)], Grid(shades))
    assert ready.note == ""


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_cut_inside_is_refused(kind: dict) -> None:
    whole = jpeg(**kind)
    for count in (3, 4, 8, 20, 100, 500, len(whole) // 2, len(whole) - 300):
        try:
            found = decode(whole[:-count])
        except PictureError as error:
            assert "cut off" in str(error)
        else:  # the last byte may hold nothing but fill bits
            assert count == 3 and found.tobytes() == decode(whole).tobytes()


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    whole = jpeg(progressive=True)
    scans = [at for at in range(len(whole) - 1) if whole[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for end in scans[1:]:
        tables = whole.rfind(b"\xff\xc4", 0, end)  # a scan's tables stand before it
        with pytest.raises(PictureError, match="cut off"):
            decode(whole[:tables])
