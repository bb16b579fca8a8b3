"""What a photo needs that is not read here is said, and it is looked at again once it is there."""

import io
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile, features

from miacap.data import Dataset, Entry
from miacap.data.photos import FolderPhotos
from miacap.errors import PictureError
from miacap.visual import Backbone, Grid, decode, extract, formats, prepared


def heif(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(64)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_says_what_to_install(brand: bytes) -> None:
    with pytest.raises(PictureError) as e:
        decode(heif(brand), "IMG_1.HEIC")
    assert str(e.value) == (
        "IMG_1.HEIC: HEIC photos need one more package: pip install pillow-heif; or save it as "
        "JPEG."
    )


def test_avif_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(name for name in formats.load_formats() if name != "AVIF")
    monkeypatch.setattr(formats, "load_formats", lambda: others)
    with pytest.raises(PictureError, match=r"newer Pillow: pip install 'pillow>=11\.3'; or save"):
        decode(heif(b"avif"), "a.avif")


def test_heic_is_read_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    stand_in = types.ModuleType("pillow_heif")
    stand_in.register_heif_opener = lambda: called.append(1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    monkeypatch.setitem(Image.OPEN, "HEIF", (None, None))
    formats.load_formats.cache_clear()
    try:
        assert "HEIF" in formats.load_formats() and called == [1]
    finally:
        formats.load_formats.cache_clear()


@pytest.fixture
def with_heic_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for pillow-heif that reads every file with a HEIC mark as a red photo."""

    class Red(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self) -> None:
            self._size, self._mode = (8, 6), "RGB"

        def load(self) -> Any:
            self.im = Image.new("RGB", (8, 6), (255, 0, 0)).im
            return Image.Image.load(self)

    stand_in = types.ModuleType("pillow_heif")
    stand_in.register_heif_opener = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    monkeypatch.setitem(Image.OPEN, "HEIF", (Red, lambda start: start[4:12] == b"ftypheic"))
    formats.load_formats.cache_clear()
    yield
    formats.load_formats.cache_clear()


def test_what_lacked_a_package_is_looked_at_again_once_it_is_there(
    tmp_path: Path,
    shades: Backbone,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "p").mkdir()
    for name in ("a.heic", "b.heic", "c.heic"):
        (tmp_path / "p" / name).write_bytes(heif(b"heic") if name < "c" else b"broken")
    entries = tuple(Entry(name, (), "none") for name in ("a.heic", "b.heic", "c.heic"))
    data = Dataset("phone", entries, FolderPhotos(tmp_path / "p"))
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert len(store) == 0 and "pip install pillow-heif" in store.set_aside["a.heic"]
    before = {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()}
    extract(data, tmp_path / "f", shades)
    said = capsys.readouterr().err
    assert "1 photo is broken and set aside:\n  c.heic: " in said
    assert "2 photos could not be read and are set aside:\n  a.heic: HEIC photos need" in said
    assert {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()} == before
    request.getfixturevalue("with_heic_reader")
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert store.names == ("a.heic", "b.heic") and set(store.set_aside) == {"c.heic"}


def test_a_pillow_without_a_decoder_is_no_damage(
    shades: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "JPEG2000")

    def absent(*_: object) -> None:
        raise OSError("decoder jpeg2k not available")

    monkeypatch.setattr(ImageFile.ImageFile, "load", absent)
    (ready,) = prepared([("a.jp2", file.getvalue())], Grid(shades))
    assert ready.broken and ready.to_install
    assert ready.reason == (
        "a.jp2: this Pillow was built without decoder jpeg2k: pip install --force-reinstall pillow"
    )


@pytest.mark.parametrize(
    ("suffix", "feature", "said"),
    [
        (".HEIC", "", "pip install pillow-heif"),
        (".heif", "", "pip install pillow-heif"),
        (".avif", "avif", "pip install 'pillow>=11.3'"),
        (".jp2", "jpg_2000", "without JPEG 2000: pip install"),
        (".webp", "webp", "without WebP: pip install"),
        (".NEF", "", "photos of this kind are not read; save them as JPEG or PNG."),
    ],
)
def test_why_a_suffix_is_not_read(
    suffix: str, feature: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != feature)
    assert said in formats.why_unread(suffix)
    monkeypatch.setattr(features, "check", lambda name: True)
    monkeypatch.setattr(formats, "load_formats", lambda: ("HEIF",))
    assert (formats.why_unread(suffix) == "") == (suffix != ".NEF")
    # An older Pillow does not know the feature by name.
    for known in ("modules", "codecs"):
        table = {k: v for k, v in getattr(features, known).items() if k != feature}
        monkeypatch.setattr(features, known, table)
    assert (formats.why_unread(suffix) == "") == (not feature and suffix != ".NEF")
