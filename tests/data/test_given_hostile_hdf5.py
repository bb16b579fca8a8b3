"""Features of strangers: HDF5, whatever is in it, ends in a sentence that names file and member."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from miacap.errors import DataError

from .hostile_features import GOOD, read, said
from .written_features import WRITERS, pictures


def hdf5(path: Path, add: Callable[[Any], object]) -> Path:
    with h5py.File(path, "w") as file:
        for p in GOOD:
            file[f"{p.id}_features"] = p.features
        add(file)
    return path


def outside(folder: Path) -> Path:
    with h5py.File(folder / "outside.h5", "w") as file:
        file["secret"] = GOOD[0].features
    (folder / "raw").write_bytes(bytes(1000))
    return folder / "outside.h5"


def virtual(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((2, 6), "f4")
    layout[...] = h5py.VirtualSource(str(other), "secret", shape=(2, 6))
    file.create_virtual_dataset("3_features", layout)


def group(file: Any, **more: object) -> None:
    """A picture as VL-T5 keeps it, but for what is given."""
    for p in GOOD:
        file[f"{p.id}_boxes"] = p.relative
    made = file.create_group("3_features")
    plain = {"features": GOOD[0].features, "boxes": GOOD[0].boxes, "img_w": 640, "img_h": 480}
    for name, value in (plain | more).items():
        made[name] = value


HDF5: dict[str, tuple[Callable[[Any, Path], object], str]] = {
    "external link": (
        lambda f, o: f.__setitem__("3_features", h5py.ExternalLink(str(o), "secret")),
        "3_features is a link to elsewhere; nothing is followed",
    ),
    "soft link": (
        lambda f, o: f.__setitem__("3_features", h5py.SoftLink("/1_features")),
        "3_features is a link to elsewhere; nothing is followed",
    ),
    "external storage": (
        lambda f, o: f.create_dataset(
            "3_features", (2, 6), "f4", external=[(str(o.parent / "raw"), 0, 48)]
        ),
        "its numbers lie in another file; nothing is followed",
    ),
    "virtual": (virtual, "its numbers lie in another file; nothing is followed"),
    "nothing stored": (
        lambda f, o: f.create_dataset("3_features", (10**6, 10**6), "f4", chunks=(1, 1000)),
        "an array of shape (1000000, 1000000) of which 0 bytes are stored",
    ),
    "thousand-fold": (
        lambda f, o: f.create_dataset(
            "3_features", data=np.zeros((3000, 2048), "f4"), compression="gzip"
        ),
        "an array of shape (3000, 2048) of which",
    ),
    "large": (
        lambda f, o: f.create_dataset("3_features", data=np.zeros((9000, 2048), "f4")),
        "at most 67,108,864 bytes are read for a picture",
    ),
    "compound": (
        lambda f, o: f.create_dataset("3_features", data=np.zeros(2, [("a", "f4"), ("b", "f4")])),
        "is no kind of number",
    ),
    "text": (lambda f, o: f.__setitem__("3_features", ["a", "b"]), "features are numbers, not"),
    "a group": (lambda f, o: f.create_group("3_features"), "a group without features"),
    "a type": (lambda f, o: f.__setitem__("3_features", np.dtype("f4")), "no array"),
    "a side that is nan": (lambda f, o: group(f, img_w=np.nan), "a photo of nan x 480 pixels"),
    "a side without end": (lambda f, o: group(f, img_h=np.inf), "a photo of 640 x inf pixels"),
    "boxes that are nan": (
        lambda f, o: group(f, boxes=np.full((2, 4), np.nan)),
        "boxes hold numbers that are not fin",
    ),
    "boxes beyond single precision": (
        lambda f, o: group(f, boxes=np.full((2, 4), 1e300)),
        "boxes hold numbers that are not fin",
    ),
    "sides that are no numbers": (lambda f, o: group(f, img_w="wide"), "cannot be read"),
    "boxes elsewhere": (
        lambda f, o: (
            f.__setitem__("3_features", GOOD[0].features),
            f.__setitem__("3_boxes", h5py.ExternalLink(str(o), "secret")),
        ),
        "3_boxes is a link to elsewhere; nothing is followed",
    ),
}


@pytest.mark.parametrize("kind", HDF5)
def test_hdf5_that_cannot_be(kind: str, tmp_path: Path) -> None:
    add, reason = HDF5[kind]
    other = outside(tmp_path)
    text = said(hdf5(tmp_path / "x.h5", lambda file: add(file, other)))
    assert reason in text and "x.h5, 3_features" in text, text


def test_hdf5_in_pieces_that_are_too_large(tmp_path: Path) -> None:
    def add(file: Any) -> None:
        chunks = (2, 2**26)
        file.create_dataset("3_features", (2, 2**26), "f4", chunks=chunks, compression="gzip")
        piece = gzip.zlib.compress(np.zeros(chunks, "u1").tobytes()[: 2**20])  # type: ignore[attr-defined]
        file["3_features"].id.write_direct_chunk((0, 0), piece * 2**12)

    text = said(hdf5(tmp_path / "x.h5", add))
    assert "is stored in pieces of 536,870,912 bytes" in text


def test_a_table_of_hdf5_that_contradicts_itself(tmp_path: Path) -> None:
    def table(**columns: Any) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values
        return path

    features = np.ones((3, 2, 6), np.float32)
    for path, reason in (
        (table(features=features), "a table without its pictures' ids; name a file"),
        (table(features=features, image_id=[1, 2]), "2 ids for 3 rows; each row needs one"),
        (table(features=features, image_id=[1, 2, 3], num_boxes=[2]), "num_boxes has not 3 rows"),
        (table(features=features, image_id=h5py.SoftLink("/features")), "image_id is a link"),
        (table(features=np.float32(1), image_id=[1]), "cannot be read"),
    ):
        with pytest.raises(DataError, match=reason):
            read(path)
    flat = np.ones((3, 12), np.float32)
    path = table(features=flat, image_id=[1, 2, 3], num_boxes=[2, 2, 7])
    assert "12 numbers for 7 boxes" in said(path)


@pytest.mark.parametrize("size", [4, 100, 600])
def test_hdf5_that_was_cut_short(size: int, tmp_path: Path) -> None:
    path = hdf5(tmp_path / "x.h5", lambda file: None)
    path.write_bytes(path.read_bytes()[: size + 8])
    with pytest.raises(DataError, match=r"x\.h5: damaged HDF5 \(.*fetch it again"):
        read(path, form="hdf5")


DAMAGE = """
import random, sys
from pathlib import Path
from miacap.data import Dataset, Entry, NoPhotos, convert
from miacap.errors import MiacapError

data = Dataset("mine", tuple(Entry(id, ("a",), "train") for id in "123"), NoPhotos())
file, count = Path(sys.argv[1]), int(sys.argv[2])
whole, ends = file.read_bytes(), {"features": 0, "a sentence": 0}
for seed in range(count):
    chance = random.Random(seed)
    content = bytearray(whole)
    for _ in range(chance.randint(1, 6)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    file.write_bytes(content[: chance.choice((len(content), len(content), len(content) // 2))])
    try:
        convert([file], file.parent / f"f{seed}", data, form="hdf5", quiet=True)
        ends["features"] += 1
    except MiacapError as error:
        ends["a sentence"] += 1
print(*ends.values())
"""


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["meshed_memory", "vl_t5", "updown", "grit"])
def test_damaged_hdf5_gives_features_or_a_sentence(writer: str, tmp_path: Path) -> None:
    """In a process of its own, for its library is C; the damage is the same each time."""
    file = WRITERS[writer](tmp_path, pictures((1, 2, 3))).files[0]
    command = [sys.executable, "-c", DAMAGE, str(file), "150"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    features, sentences = map(int, done.stdout.split())
    assert features + sentences == 150 and min(features, sentences) > 10
