"""From photos to a store: resumes, sets broken photos aside, lists them, and says what it did."""

import io
import os
import signal
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from miacap.data import Dataset, Entry, FeatureStore
from miacap.errors import DataError, RunError
from miacap.visual import Backbone, Grid, decode, extract, load, preprocessing_for, regions_for
from miacap.visual.reading import prepared


class Album:
    """Photos in memory that counts what is read and can be told to break off."""

    def __init__(self, files: dict[str, bytes], stop_after: int = 10**9) -> None:
        self.files, self.stop_after, self.reads = files, stop_after, []

    def read(self, id: str) -> bytes:
        if len(self.reads) >= self.stop_after:
            raise KeyboardInterrupt
        self.reads.append(id)
        if self.files[id] == b"gone":
            raise DataError(f"{id}: no such photo in album.")
        return self.files[id]

    def __contains__(self, id: object) -> bool:
        return id in self.files


def photo(number: int, size: tuple[int, int] = (60, 40)) -> bytes:
    values = np.random.default_rng(number).integers(0, 256, (2, 3, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def album(count: int, **files: bytes) -> dict[str, bytes]:
    return {f"{i:03}.png": photo(i) for i in range(count)} | files


def dataset(photos: Album, *more: str) -> Dataset:
    ids = [*photos.files, *more]
    return Dataset("album", tuple(Entry(id, (), "none") for id in ids), photos)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def test_each_photo_gets_its_own_rows_and_boxes(tmp_path: Path, shades: Backbone) -> None:
    photos = Album(album(21))
    store = extract(dataset(photos), tmp_path, shades, batch_size=4, quiet=True)
    assert store.names == tuple(photos.files) and store.kind == "regions"
    assert store.manifest.width == 3 and store.manifest.made_by.startswith("miacap ")
    for name in ("000.png", "007.png", "020.png"):
        image = decode(photos.files[name]).resize((224, 224), Image.Resampling.BICUBIC)
        x = torch.from_numpy(np.asarray(image).astype(np.float32) / 127.5 - 1).permute(2, 0, 1)
        wanted = F.avg_pool2d(x, 32).flatten(1).T
        assert float((store.rows(name).float() - wanted).abs().max()) < 1e-3
        assert torch.equal(store.boxes(name), Grid(shades).boxes())
    assert store.manifest.preprocessing == preprocessing_for(shades)


def test_the_manifest_rebuilds_the_same_grid(tmp_path: Path) -> None:
    photos = Album(album(3))
    net = load("efficientnet-lite0")
    how = preprocessing_for(net, size=64)
    store = extract(dataset(photos), tmp_path, net, quiet=True, preprocessing=how)
    regions = regions_for(FeatureStore.open(tmp_path).manifest.preprocessing)
    live, _ = regions.rows([decode(photos.files["001.png"])])[0]
    assert live.shape == (4, 1280)
    # Half precision keeps eleven bits; batches of another size may round otherwise.
    torch.testing.assert_close(store.rows("001.png").float(), live, rtol=1e-3, atol=1e-4)


def test_a_broken_off_extraction_goes_on_where_it_was(tmp_path: Path, shades: Backbone) -> None:
    files = album(200, **{"100b.png": b"broken"})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    extract(dataset(Album(files)), whole, shades, batch_size=8, quiet=True, shard_size=16)
    first = Album(files, stop_after=120)
    with pytest.raises(KeyboardInterrupt):
        extract(dataset(first), parts, shades, batch_size=8, quiet=True, shard_size=16)
    finished = FeatureStore.open(parts).names
    assert 120 - 8 <= len(finished) <= 120  # all but the batch in hand
    second = Album(files)
    extract(dataset(second), parts, shades, batch_size=8, quiet=True, shard_size=16)
    # What is there is compared with its photo once; all else is read once.
    assert sorted(second.reads) == sorted(files)
    assert contents(parts) == contents(whole)
    third = Album(files)
    extract(dataset(third), parts, shades, quiet=True, shard_size=16)
    assert sorted(third.reads) == sorted(files) and contents(parts) == contents(whole)


def test_broken_photos_are_set_aside_and_listed(
    tmp_path: Path, shades: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    files = album(5, **{"cut.png": photo(9)[:60], "page.jpg": b"<html>", "odd.jpg": b"gone"})
    photos = Album(files)
    store = extract(dataset(photos, "lost.jpg"), tmp_path, shades, batch_size=3)
    assert len(store) == 5 and "cut.png" not in store
    assert set(store.set_aside) == {"cut.png", "page.jpg"}
    assert store.set_aside["page.jpg"].startswith("page.jpg: not an image")
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 photos are broken and set aside:\n  cut.png: " in err
    assert "  page.jpg: not an image, or of a format that is not read" in err
    assert (
        "2 photos are absent or unreadable, and tried again next time:\n"
        "  lost.jpg: the photo is not there\n  odd.jpg: no such photo in album.\n"
    ) in err
    assert "Extracting regions: 8 photos" in err


def test_long_lists_are_cut_short(
    tmp_path: Path, shades: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    files = album(1, **{f"bad{i:02}": b"x" for i in range(25)})
    extract(dataset(Album(files)), tmp_path, shades)
    err = capsys.readouterr().err
    assert "25 photos are broken" in err and "  and 5 more\n" in err
    assert err.count("not an image") == 20


def test_quiet_says_nothing(
    tmp_path: Path, shades: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(dataset(Album(album(1, bad=b"x"))), tmp_path, shades, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_an_absent_photo_is_tried_again_next_time(tmp_path: Path, shades: Backbone) -> None:
    files = album(4)
    late = files.pop("002.png")
    store = extract(dataset(Album(files), "002.png"), tmp_path, shades, quiet=True)
    assert "002.png" not in store and "002.png" not in store.set_aside
    again = extract(dataset(Album(files | {"002.png": late})), tmp_path, shades, quiet=True)
    assert set(again.names) == {"000.png", "001.png", "002.png", "003.png"}


def test_no_photo_at_all_is_an_error(tmp_path: Path, shades: Backbone) -> None:
    with pytest.raises(DataError) as e:
        extract(dataset(Album({}), "a.jpg", "b.jpg"), tmp_path / "f", shades)
    assert str(e.value) == (
        "album: none of its 2 photos is there, 'a.jpg' for one; say in which folder or tar the "
        "photos are."
    )
    assert not (tmp_path / "f").exists()


def test_features_made_otherwise_are_not_mixed(tmp_path: Path, shades: Backbone) -> None:
    data = dataset(Album(album(2)))
    extract(data, tmp_path, shades, quiet=True)
    how = replace(preprocessing_for(shades), resize="crop")
    with pytest.raises(RunError, match=r"made otherwise .*resize: 'squash' .*'crop'"):
        extract(data, tmp_path, shades, quiet=True, preprocessing=how)


def test_cropped_photos_have_boxes_of_their_own(tmp_path: Path, shades: Backbone) -> None:
    how = preprocessing_for(shades, resize="crop")
    photos = Album({"wide": photo(1, (80, 40)), "tall": photo(2, (40, 160))})
    store = extract(dataset(photos), tmp_path, shades, quiet=True, preprocessing=how)
    assert store.boxes("wide")[0, 0] == 0.25 and store.boxes("wide")[0, 1] == 0
    assert store.boxes("tall")[0, 0] == 0 and store.boxes("tall")[0, 1] == 0.375


def test_photos_come_in_order_and_not_all_at_once(shades: Backbone) -> None:
    photos = Album(album(90))
    endless = ((f"{i:03}.png", partial(photos.read, f"{i % 90:03}.png")) for i in count())
    stream = prepared(endless, Grid(shades), workers=3)
    found = [next(stream).id for _ in range(10)]
    assert found == list(photos.files)[:10]
    assert len(photos.reads) <= 10 + 35  # what waits is bounded
    stream.close()
    rest = list(prepared(photos.files.items(), Grid(shades)))
    assert [ready.id for ready in rest] == list(photos.files)
    assert {ready.size for ready in rest} == {(60, 40)}


KILLED = """
import sys
from pathlib import Path
from miacap.data import Dataset, Entry
from miacap.data.photos import FolderPhotos
from miacap.visual import extract
folder, store = map(Path, sys.argv[1:])
ids = sorted(p.name for p in folder.iterdir())
data = Dataset("d", tuple(Entry(i, (), "none") for i in ids), FolderPhotos(folder))
extract(data, store, "efficientnet-lite0", batch_size=4, quiet=True, shard_size=4)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_process_loses_no_finished_shard(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(60):
        (folder / f"{i:03}.png").write_bytes(photo(i))
    command = [sys.executable, "-c", KILLED, str(folder)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    store, kills = tmp_path / "parts", 0
    for goal in (1, 4, 8):
        process = subprocess.Popen([*command, str(store)])
        while process.poll() is None and len(list(store.glob("shard-*.json"))) < goal:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    # A shard is finished when its index is there.
    finished = [p.with_suffix(".safetensors") for p in store.glob("shard-*.json")]
    before = {p.name: p.stat().st_mtime_ns for p in finished}
    subprocess.run([*command, str(store)], check=True)
    after = {p.name: p.stat().st_mtime_ns for p in store.glob("shard-*.safetensors")}
    assert 7 <= len(before) < 15 == len(after) and before.items() <= after.items()
    assert contents(store) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_real_photos_in_tars(tmp_path: Path, shared: Path) -> None:
    from miacap.data import read

    whole = read(shared / "flickr8k")
    few = replace(whole, pictures=whole.pictures[:40])
    store = extract(few, tmp_path, quiet=True)
    assert len(store) == 40 and not store.set_aside
    rows = torch.stack([store.rows(name).float() for name in store.names])
    assert rows.shape == (40, 49, 1280)
    # Photos differ more from one another than from themselves in a second run.
    net = load()
    again = Grid(net).rows([decode(whole.photos.read(name)) for name in store.names[:4]])
    torch.testing.assert_close(rows[:4], torch.stack([r for r, _ in again]), rtol=1e-3, atol=1e-3)
    assert float((rows[0] - rows[1]).abs().mean()) > 0.05


def test_what_an_earlier_sitting_set_aside_is_listed_again(
    tmp_path: Path, shades: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    data = dataset(Album(album(5, **{"100b.png": b"broken"})))
    for _ in range(2):
        extract(data, tmp_path / "f", shades)
        assert "1 photo is broken and set aside:\n  100b.png: " in capsys.readouterr().err


def test_names_of_another_unicode_form_are_not_extracted_again(
    tmp_path: Path, shades: Backbone
) -> None:
    """A store that was made from NFD names, as some file systems have them; readers give NFC."""
    older = {unicodedata.normalize("NFD", f"café{i}.png"): photo(i) for i in range(3)}
    extract(dataset(Album(older)), tmp_path, shades, quiet=True)
    before = contents(tmp_path)
    photos = Album({unicodedata.normalize("NFC", name): data for name, data in older.items()})
    store = extract(dataset(photos), tmp_path, shades, quiet=True)
    assert photos.reads == [] and contents(tmp_path) == before
    assert torch.equal(store.rows("café1.png"), store.rows(list(older)[1]))
