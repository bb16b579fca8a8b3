"""Photos of any size take a bounded amount of memory, however many are read at once."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from miacap.errors import PictureError
from miacap.visual import Backbone, Grid, decode, memory, prepared
from miacap.visual.memory import Share, needed
from miacap.visual.reading import Reader


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_what_is_held_never_exceeds_the_share() -> None:
    share, held, most = Share(100), [0], [0]
    lock = threading.Lock()

    def work(amount: int) -> None:
        for _ in range(20):
            with share.hold(amount):
                with lock:
                    held[0] += min(amount, 100)
                    most[0] = max(most[0], held[0])
                time.sleep(0.0005)
                with lock:
                    held[0] -= min(amount, 100)

    threads = [threading.Thread(target=work, args=(n,)) for n in (10, 30, 60, 100, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] == 100 and held[0] == 0


def test_all_who_fit_are_woken_at_once() -> None:
    share, both = Share(10), threading.Barrier(2)

    def work() -> None:
        with share.hold(5):
            both.wait(10)  # both are inside, or this breaks

    threads = [threading.Thread(target=work) for _ in range(2)]
    with share.hold(10):
        for thread in threads:
            thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(20)
    assert not both.broken


def test_a_share_comes_back_after_an_error() -> None:
    share = Share(10)
    for _ in range(3):
        with pytest.raises(ValueError), share.hold(10):
            raise ValueError
    with share.hold(10):
        pass


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photo_of_the_largest_size_is_taken_or_refused_by_name(kind: str) -> None:
    image = Image.new("RGB", (9459, 9459))
    image.format = kind
    assert (needed(image) <= memory.DECODED) == (kind != "WEBP")


STRIP = 32 * (1 << 18)  # what is converted at once


@pytest.mark.parametrize(
    ("mode", "kind", "size", "beside"),
    [
        ("RGB", "JPEG", (1000, 1000), 4_000_000),
        ("L", "PNG", (1000, 1000), 1_000_000),
        ("I;16", "PNG", (1000, 1000), 2_000_000),
        ("P", "PNG", (1000, 1000), 1_000_000),
        ("P", "GIF", (1000, 1000), 4_000_000),  # its decoder may change the mode
        ("RGB", "WEBP", (1000, 1000), 17_000_000),
        ("RGB", "TIFF", (1000, 1000), 8_000_000),  # the image and one strip, all of it
    ],
)
def test_what_a_photo_needs(mode: str, kind: str, size: tuple[int, int], beside: int) -> None:
    image = Image.new(mode, size)
    image.format = kind
    assert needed(image) == beside + 1_000_000 + 224 * 1000 + STRIP
    assert needed(image, coefficients=7) == needed(image) + 7
    # Of a small photo less is converted; of a long one more lies between the two passes.
    small = Image.new("RGB", (100, 50))
    assert needed(small) == 4 * 5000 + max(4 * 22_400, 5000 + 22_400 + 32 * 5000)
    assert needed(Image.new("L", (1, 60_000))) == 60_000 + 4 * 224 * 60_000


def test_what_takes_too_much_memory_says_so() -> None:
    data = saved(Image.new("RGB", (6000, 6000)), "WEBP", method=0, lossless=True, quality=0)
    with pytest.raises(PictureError) as e:
        decode(data, "big.webp")
    assert str(e.value).startswith("big.webp: 6000 x 6000 pixels as WEBP take up to 6")
    assert str(e.value).endswith("Make it smaller, or save it as PNG or baseline JPEG.")


def test_a_very_long_photo_is_refused() -> None:
    with pytest.raises(PictureError, match=r"s\.png: the image is 1 x 70000 pixels; a side has at"):
        decode(saved(Image.new("1", (1, 70_000))), "s.png")


def test_a_file_that_is_too_large_is_not_read(shades: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "big.tif"
    with open(path, "wb") as file:
        file.truncate(memory.LARGEST + 1)

    def read() -> bytes:
        raise AssertionError("read all the same")

    items = [("a", path), ("b", Reader(read, memory.LARGEST + 1))]
    for ready in prepared(items, Grid(shades)):
        assert ready.broken
        assert ready.reason.startswith(f"{ready.id}: the file has 520 MB; at most 520 are read.")


def test_fewer_wait_where_they_are_large(shades: Backbone) -> None:
    from miacap.visual import preprocessing_for

    read: list[int] = []

    def reader(number: int) -> bytes:
        read.append(number)
        return saved(Image.new("RGB", (8, 8)))

    def ahead(size: int) -> int:
        read.clear()
        grid = Grid(shades, preprocessing_for(shades, size=size))
        items = ((str(i), Reader(lambda i=i: reader(i))) for i in range(60))
        stream = prepared(items, grid, workers=2)
        next(stream)
        stream.close()
        return len(read)

    assert ahead(1024) <= 2 + 5 + 1 and ahead(2048) <= 2 + 2 + 1


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(kind: str, shades: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    (ready,) = prepared([("a", path)], Grid(shades))
    assert not ready.broken and f"a {kind}" in ready.reason.replace("named ", "")


PEAK = """
import sys, tempfile
from pathlib import Path
from miacap.data import Dataset, Entry
from miacap.data.photos import FolderPhotos
from miacap.memory import keep_freed
from miacap.visual import extract
keep_freed()  # as `miacap features` does
root = Path(sys.argv[1])
ids = sorted(p.name for p in root.iterdir())
data = Dataset("d", tuple(Entry(i, (), "none") for i in ids), FolderPhotos(root))
store = extract(data, tempfile.mkdtemp(), quiet=True, device="cpu")
# Of this program alone: ru_maxrss begins with the peak of the process that started it.
line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s[:6] == "VmHWM:")
print(len(store), int(line.split()[1]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
def test_seventeen_of_the_largest_photos_fit_into_a_gigabyte(tmp_path: Path) -> None:
    side = 9459
    deep = Image.new("I;16", (side, side), 30000)
    kinds = [
        saved(deep, compress_level=1),
        saved(Image.new("RGBA", (side, side), (1, 2, 3, 128)), compress_level=1),
        saved(Image.new("P", (side, side), 7), compress_level=1),
        saved(Image.new("CMYK", (side, side)), "JPEG"),
        saved(Image.new("F", (side, side), 0.5), "TIFF", compression="tiff_deflate"),
    ]
    notes = Image.Exif()
    notes[0x0112] = 6
    kinds.append(saved(Image.new("RGB", (side, side), (9, 9, 9)), "JPEG", exif=notes))
    camera = Image.new("RGB", (7072, 7072), (9, 9, 9))  # 50 megapixels, read at half the size
    kinds.append(saved(camera, "JPEG", progressive=True, subsampling=0))
    for number in range(17):
        (tmp_path / f"{number:02}").write_bytes(kinds[number % len(kinds)])
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, peak = map(int, done.stdout.split())
    assert count >= 14 and peak < 1e9


def sparse_bitmap(path: Path, width: int, height: int) -> Path:
    """Write a black BMP of 24 bits a pixel whose pixels take no room on the disk."""
    row = (3 * width + 3) // 4 * 4
    header = struct.pack("<2sIHHI", b"BM", 54 + row * height, 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, row * height, 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(54 + row * height)
    return path


# A thread that waits for ever holds up the end of the process as well, so it is ended from outside.
@pytest.mark.timeout(60, method="thread")
def test_a_large_file_never_waits_for_what_it_holds_itself(
    shades: Backbone, tmp_path: Path
) -> None:
    from miacap.visual import preprocessing_for

    grid = Grid(shades, preprocessing_for(shades, size=480))
    # What fits at the default side of 224 and not at 480.
    long = sparse_bitmap(tmp_path / "long.bmp", 60_000, 1_000)
    large = sparse_bitmap(tmp_path / "large.bmp", 5_000, 3_000)
    assert large.stat().st_size > memory.FILES
    items = [(name, path) for name in "ab" for path in (long, large)]
    found = list(prepared(items, grid, workers=4))
    for ready in found[::2]:
        assert ready.broken and "60000 x 1000 pixels as BMP take up to" in ready.reason
    for ready in found[1::2]:
        assert ready.reason == "" and ready.size == (5_000, 3_000)
