"""Real rows of features that people have, and a file that is larger than what memory may take."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from miacap.data import Dataset, Entry, NoPhotos, convert

from .written_features import b64

pytestmark = pytest.mark.slow


def dataset(*ids: str) -> Dataset:
    return Dataset("coco", tuple(Entry(id, ("a",), "train") for id in ids), NoPhotos())


def test_real_rows_of_lxmert(shared: Path, tmp_path: Path) -> None:
    """Ten rows with CRLF, height before width, 36 boxes; values as they were published."""
    file = shared / "formats" / "lxmert_tsv" / "train2014_obj36.tsv"
    lines = file.read_bytes().split(b"\r\n")[:-1]
    assert len(lines) == 10
    ids = [line.split(b"\t")[0].decode() for line in lines]
    # As COCO's annotations call them: numbers.
    numbers = [str(int(id.rpartition("_")[2])) for id in ids]
    done = convert([file], tmp_path / "f", dataset(*numbers, "1"), quiet=True)
    assert done.store.names == tuple(numbers) and done.missing == ("1",) and done.boxes
    assert done.form == "bottom-up TSV" and done.bad == {} and done.store.manifest.width == 2048
    import base64

    for number, line in zip(numbers, lines, strict=True):
        cells = line.split(b"\t")
        height, width = float(cells[1]), float(cells[2])
        features = np.frombuffer(base64.b64decode(cells[9]), np.float32).reshape(36, 2048)
        boxes = np.frombuffer(base64.b64decode(cells[8]), np.float32).reshape(36, 4)
        assert np.array_equal(done.store.rows(number).numpy(), features.astype(np.float16))
        told = done.store.boxes(number)
        assert told is not None and float(told.min()) >= 0 and float(told.max()) <= 1
        pixels = told.numpy() * np.float32([width, height, width, height])
        assert np.abs(pixels - boxes).max() < 0.01
        photo = shared / "formats" / "lxmert_tsv" / "images" / f"{cells[0].decode()}.jpg"
        if photo.is_file():
            from PIL import Image

            with Image.open(photo) as image:
                assert image.size == (width, height)


def test_real_arrays_of_mmf(shared: Path, tmp_path: Path) -> None:
    """34 regions of a detector; beside it a pickled array, which is refused where it is wanted."""
    folder = shared / "formats" / "mmf"
    done = convert([folder], tmp_path / "f", dataset("COCO_test2015_000000000001.jpg"), quiet=True)
    assert len(done.store) == 1 and done.unknown == 1 and not done.boxes
    assert done.store.rows("COCO_test2015_000000000001.jpg").shape == (34, 2048)
    wanted = dataset("1", "imdb_demo")
    done = convert([folder], tmp_path / "g", wanted, quiet=True)
    assert done.store.names == ("1",)
    assert "imdb_demo.npy: is pickled: reading it could run code" in done.bad["imdb_demo"]


def test_real_photos_in_a_tsv_are_no_features(shared: Path, tmp_path: Path) -> None:
    from miacap.errors import DataError

    data = shared / "formats" / "mini_tsv" / "data"
    for name in ("train.tsv", "train.label.tsv", "train.hw.tsv"):
        with pytest.raises(DataError, match="no known form of features"):
            convert([data / name], tmp_path / "f", dataset("1"))


def test_sizes_of_real_rows(shared: Path) -> None:
    from miacap.data.given.boxes import read_sizes

    sizes = read_sizes(shared / "formats" / "mini_tsv" / "data" / "train.hw.tsv")
    assert sizes.get("COCO_val2014_000000391895.jpg") == (640, 360)
    assert sizes.get("184613") == (500, 336) and sizes.get("1") is None


PEAK = """
import sys
from pathlib import Path
from miacap.data import convert

def peak():
    # Of this program alone: ru_maxrss begins with the peak of the process that started it.
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s[:6] == "VmHWM:")
    return int(line.split()[1]) * 1024

small, large, folder = sys.argv[1:]
convert([small], folder + "-small", quiet=True)  # what is imported and made once
before = peak()
done = convert([large], folder, quiet=True)
print(len(done.store), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    features, boxes = b64(np.random.default_rng(0).random((36, 2048))), b64([[0, 0, 9, 9]] * 36)
    row = f"\t640\t480\t36\t{boxes}\t{features}\r\n"
    count = 400_000_000 // len(row) + 1
    with open(tmp_path / "large.tsv", "w", newline="") as file:
        for number in range(count):
            file.write(f"{number}{row}")
    (tmp_path / "small.tsv").write_text("0" + row)
    assert (tmp_path / "large.tsv").stat().st_size > 400_000_000
    command = [sys.executable, "-c", PEAK, *(str(tmp_path / n) for n in
                                            ("small.tsv", "large.tsv", "f"))]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pictures, growth = map(int, done.stdout.split())
    assert pictures == count and growth < 300e6
    print(f"{growth / 1e6:.0f} MB for {count} pictures")
