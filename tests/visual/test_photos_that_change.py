"""Photos that go away, come back, change, or are others than those that a store knows."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from miacap.data import Dataset, Entry, FeatureStore
from miacap.data.photos import FolderPhotos
from miacap.errors import DataError, RunError
from miacap.visual import Backbone, Grid, decode, extract


def photo(number: int, size: tuple[int, int] = (60, 40)) -> bytes:
    values = np.random.default_rng(number).integers(0, 256, (2, 3, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def lay(folder: Path, count: int) -> Dataset:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        (folder / f"{i:03}.png").write_bytes(photo(i))
    return dataset(folder, count)


def dataset(folder: Path, count: int) -> Dataset:
    ids = [f"{i:03}.png" for i in range(count)]
    return Dataset("album", tuple(Entry(id, (), "none") for id in ids), FolderPhotos(folder))


class Failing(FolderPhotos):
    """Photos of a folder whose reading fails after a while, as a share does that went away."""

    def __init__(self, folder: Path, after: int, code: int, upto: int = 10**9) -> None:
        super().__init__(folder)
        self.count, self.after, self.upto, self.code = 0, after, upto, code

    def read(self, id: str) -> bytes:
        self.count += 1
        if self.after < self.count <= self.upto:
            raise DataError(f"{id}: cannot be read ({os.strerror(self.code)}).")
        return super().read(id)


def failing(data: Dataset, folder: Path, *args: int) -> Dataset:
    return Dataset(data.name, data.pictures, Failing(folder, *args))


def same_as_anew(store: FeatureStore, folder: Path, grid: Grid) -> None:
    for name in store.names:
        rows, _ = grid.rows([decode((folder / name).read_bytes())])[0]
        assert torch.equal(store.rows(name), rows.half())


def test_photos_that_go_away_are_not_lost(tmp_path: Path, shades: Backbone) -> None:
    data = lay(tmp_path / "p", 120)
    gone = failing(data, tmp_path / "p", 40, errno.EIO)
    with pytest.raises(DataError) as e:
        extract(gone, tmp_path / "f", shades, batch_size=4, quiet=True)
    assert str(e.value).startswith("20 photos in a row could not be read, the last: 0")
    assert "cannot be read (Input/output error). What was extracted is kept;" in str(e.value)
    kept = FeatureStore.open(tmp_path / "f")
    assert 36 <= len(kept) <= 40 and not kept.set_aside
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert len(store) == 120 and not store.set_aside
    same_as_anew(store, tmp_path / "p", Grid(shades))


def test_a_folder_moved_while_it_is_read(tmp_path: Path, shades: Backbone) -> None:
    data = lay(tmp_path / "p", 90)

    class Moving(FolderPhotos):
        def read(self, id: str) -> bytes:
            if id == "030.png":
                self.folder.rename(tmp_path / "elsewhere")
            return super().read(id)

    moving = Dataset("album", data.pictures, Moving(tmp_path / "p"))
    with pytest.raises(DataError, match="photos in a row could not be read"):
        extract(moving, tmp_path / "f", shades, quiet=True)
    (tmp_path / "elsewhere").rename(tmp_path / "p")
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert len(store) == 90 and not store.set_aside


def test_a_few_unreadable_photos_are_listed_and_tried_again(
    tmp_path: Path, shades: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    data = lay(tmp_path / "p", 60)
    store = extract(failing(data, tmp_path / "p", 5, errno.EACCES, 14), tmp_path / "f", shades)
    assert len(store) == 51 and not store.set_aside
    err = capsys.readouterr().err
    assert "9 photos are absent or unreadable, and tried again next time:\n  0" in err
    assert "cannot be read (Permission denied)." in err
    assert len(extract(data, tmp_path / "f", shades, quiet=True)) == 60


def test_too_little_memory_is_no_damage(
    tmp_path: Path, shades: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lay(tmp_path / "p", 10)
    load = Image.Image.load

    def scarce(image: Image.Image) -> object:
        raise error

    for error in (
        MemoryError(),
        OSError("out of memory error when reading image file"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError(errno.EMFILE, "Too many open files"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("PIL.PngImagePlugin.PngImageFile.load", scarce)
            store = extract(data, tmp_path / "f", shades, quiet=True)
        assert len(store) == 0 and not store.set_aside, error
    assert Image.Image.load is load
    assert len(extract(data, tmp_path / "f", shades, quiet=True)) == 10


def test_a_photo_copied_again_is_looked_at_again(tmp_path: Path, shades: Backbone) -> None:
    data = lay(tmp_path / "p", 6)
    cut = tmp_path / "p" / "002.png"
    cut.write_bytes(photo(2)[:60])
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert set(store.set_aside) == {"002.png"}
    before = {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()}
    # The same bytes with another time: nothing to look at, nothing written.
    os.utime(cut, (0, 0))
    extract(data, tmp_path / "f", shades, quiet=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()} == before
    # As large as before, other bytes: still broken, and remembered as such.
    cut.write_bytes(photo(2)[:59] + b"?")
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert store.photos["002.png"] == hashlib.sha256(cut.read_bytes()).hexdigest()
    cut.write_bytes(photo(2))
    store = extract(data, tmp_path / "f", shades, quiet=True)
    assert not store.set_aside and len(store) == 6
    same_as_anew(store, tmp_path / "p", Grid(shades))


def test_again_looks_at_all_that_was_set_aside(
    tmp_path: Path, shades: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lay(tmp_path / "p", 4)
    with monkeypatch.context() as patch:  # as an older Pillow would that knows no PNG
        patch.setattr("miacap.visual.formats.load_formats", lambda: ("JPEG",))
        assert len(extract(data, tmp_path / "f", shades, quiet=True).set_aside) == 4
    assert len(extract(data, tmp_path / "f", shades, quiet=True)) == 0
    store = extract(data, tmp_path / "f", shades, quiet=True, again=True)
    assert len(store) == 4 and not store.set_aside
    (tmp_path / "p" / "001.png").write_bytes(b"broken")
    extract(data, tmp_path / "f", shades, quiet=True, again=True)
    before = {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()}
    store = extract(data, tmp_path / "f", shades, quiet=True, again=True)
    assert set(store.set_aside) == {"001.png"} and len(store) == 3
    assert {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()} == before


def test_other_photos_under_the_same_names_are_refused(tmp_path: Path, shades: Backbone) -> None:
    data = lay(tmp_path / "p", 6)
    extract(data, tmp_path / "f", shades, quiet=True)
    before = {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()}
    file = tmp_path / "p" / "003.png"
    was = file.stat()
    other = bytearray(file.read_bytes())
    other[-20] ^= 1  # as large as before, and as old
    file.write_bytes(other)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    with pytest.raises(RunError) as e:
        extract(data, tmp_path / "f", shades, quiet=True)
    assert str(e.value) == (
        f"{tmp_path}/f: a photo is not the one that these features were made of, the first: "
        "'003.png'. Choose another folder for other photos, or have the features of changed ones "
        "made anew: --again (again=True)."
    )
    lay(tmp_path / "q", 6)
    for i in range(6):
        (tmp_path / "q" / f"{i:03}.png").write_bytes(photo(100 + i))
    others = dataset(tmp_path / "q", 6)
    with pytest.raises(RunError, match="6 photos are not those that these features were made of"):
        extract(others, tmp_path / "f", shades, quiet=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()} == before
    store = extract(others, tmp_path / "f", shades, quiet=True, again=True)
    same_as_anew(store, tmp_path / "q", Grid(shades))
    assert len(store) == 6
    extract(others, tmp_path / "f", shades, quiet=True)


def test_photos_that_are_no_longer_there_keep_their_features(
    tmp_path: Path, shades: Backbone
) -> None:
    data = lay(tmp_path / "p", 6)
    extract(data, tmp_path / "f", shades, quiet=True)
    (tmp_path / "p" / "003.png").unlink()
    assert len(extract(data, tmp_path / "f", shades, quiet=True)) == 6


INTERRUPTED = """
import sys, time
from pathlib import Path
from miacap.data import Dataset, Entry
from miacap.data.photos import FolderPhotos
from miacap.visual import extract, grid

folder, store, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
rows_of = grid.Grid.rows_of


def slow(self, pixels):
    print(len(pixels), flush=True)
    time.sleep(pause)
    return rows_of(self, pixels)


grid.Grid.rows_of = slow
ids = sorted(p.name for p in folder.iterdir())
data = Dataset("d", tuple(Entry(i, (), "none") for i in ids), FolderPhotos(folder))
extract(data, store, "efficientnet-lite0", batch_size=4, quiet=True, device="cpu")
"""


@pytest.mark.slow
def test_ctrl_c_loses_a_handful(tmp_path: Path) -> None:
    lay(tmp_path / "p", 40)
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "p")]
    subprocess.run([*command, str(tmp_path / "whole"), "0"], check=True, capture_output=True)
    seen = 0
    for goal in (8, 20):
        with subprocess.Popen(
            [*command, str(tmp_path / "f"), "0.2"], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                seen += int(line)
                if seen >= goal:
                    break
            process.send_signal(signal.SIGINT)
        assert process.returncode != 0
        kept = len(FeatureStore.open(tmp_path / "f"))
        assert seen - 4 <= kept <= seen
        seen = kept
    subprocess.run([*command, str(tmp_path / "f"), "0"], check=True, capture_output=True)
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "f").iterdir())
    for name in names:
        assert (tmp_path / "f" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
