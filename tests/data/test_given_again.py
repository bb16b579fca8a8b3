"""Features that are read once more: the same command goes on, another one is refused."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from miacap.data import Conversion, Dataset, Entry, FeatureStore, NoPhotos, StoreWriter, convert
from miacap.data.sources import note_sources, read_sources, source_of
from miacap.errors import DataError, RunError

from .written_features import WRITERS, Made, bottom_up_row, pictures, sizes


def dataset(ids: Sequence[str]) -> Dataset:
    return Dataset("mine", tuple(Entry(id, ("a dog",), "train") for id in ids), NoPhotos())


def read(file: Path, made: Sequence[Made], **more: object) -> Conversion:
    data = dataset([f"{p.name}.jpg" for p in made])
    return convert([file], file.parent / "store", data, quiet=True, **more)  # type: ignore[arg-type]


def test_boxes_come_with_all_readings_of_a_store_or_with_none(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["meshed_memory"](tmp_path, made)
    file = written.files[0]
    done = read(file, made)  # sizes are not known
    assert not done.boxes and done.without_boxes
    with pytest.raises(RunError, match=r"store: holds features without boxes, .* comes with boxes"):
        read(file, made, **written.beside)
    assert not read(file, made).boxes and not read(file, made, without_boxes=True).boxes
    # The other way round, and a report that is the store's.
    (tmp_path / "store").rename(tmp_path / "without")
    assert read(file, made, **written.beside).boxes and read(file, made, **written.beside).boxes
    message = r"holds features with boxes, .* without boxes \(boxes are left out: .* --sizes FILE"
    with pytest.raises(RunError, match=message):
        read(file, made)
    with pytest.raises(RunError, match=r"with boxes, .* comes without boxes\. Give the options"):
        read(file, made, without_boxes=True)


def test_boxes_of_other_sizes_are_refused(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["cocobu"](tmp_path, made)
    wrong = [Made(p.id, 2 * p.width, p.height, p.features, p.boxes) for p in made]
    sizes(tmp_path, wrong)
    assert read(written.files[0], made, **written.beside).boxes
    sizes(tmp_path, made)
    with pytest.raises(
        RunError, match=r"holds other boxes of 'COCO.*300\.jpg' than 300\.npz with th"
    ):
        read(written.files[0], made, **written.beside)


def test_photos_whose_sizes_came_later_are_taken_in(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["cocobu"](tmp_path, made)
    sizes(tmp_path, [p for p in made if p.id != 7])
    assert len(read(written.files[0], made, **written.beside).bad) == 1
    sizes(tmp_path, made)
    done = read(written.files[0], made, **written.beside)
    assert done.boxes and len(done.store) == 4 and not done.bad


def test_two_whole_rows_of_a_picture_read_twice(tmp_path: Path) -> None:
    """The first whole row counts, however often it is read; a bad one before it does no harm."""
    made = pictures((1, 2, 3, 1))
    rows = [bottom_up_row(p) for p in made]
    assert not np.array_equal(made[0].features, made[3].features[:2])
    tall = Made(1, 640, 48, made[3].features, made[3].boxes)  # its boxes are no boxes
    (tmp_path / "t.tsv").write_text("\n".join([rows[3][:-9], bottom_up_row(tall), *rows]))
    for _ in range(2):
        done = read(tmp_path / "t.tsv", made[:3])
        rows_of_1 = done.store.rows(f"{made[0].name}.jpg").numpy()
        assert np.array_equal(rows_of_1, made[0].features.astype(np.float16))
        assert (len(done.store), done.repeated, done.bad) == (3, 1, {})


def test_a_picture_is_compared_after_its_shard_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was mended comes first, and finishes the shard that the others lie in."""
    made = pictures((1, 2, 3))
    rows = [bottom_up_row(p) for p in made]
    (tmp_path / "t.tsv").write_text("\n".join([rows[0][:-9], *rows[1:]]))
    add, left = StoreWriter.add, [0, 1]

    def stop(self: StoreWriter, *arguments: object, **more: object) -> None:
        if left and not left.pop():
            raise KeyboardInterrupt
        add(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreWriter, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path / "t.tsv", made)
    assert len(FeatureStore.open(tmp_path / "store")) == 1
    (tmp_path / "t.tsv").write_text("\n".join(rows))
    monkeypatch.setattr("miacap.data.conversion._SHARD_BYTES", 1)
    assert len(read(tmp_path / "t.tsv", made).store) == 3


def test_an_id_of_two_pictures_is_counted_by_itself(tmp_path: Path) -> None:
    made = pictures()
    file = WRITERS["one_dataset_each"](tmp_path, made).files[0]
    ids = ["a/42.jpg", "b/42.jpg", "7.jpg", "none.jpg"]
    done = convert([file], tmp_path / "f", dataset(ids), quiet=True)
    assert (done.unknown, done.ambiguous) == (2, 1)
    assert done.first_ambiguous == ("42", "a/42.jpg", "b/42.jpg")
    assert done.missing == ("a/42.jpg", "b/42.jpg", "none.jpg")
    with pytest.raises(DataError, match=r"no picture can be told; '42' may be 'a/42\.jpg' or 'b/"):
        convert([file], tmp_path / "g", dataset(ids[:2]), quiet=True)


def test_what_was_read_is_noted_and_a_change_is_told(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["cocobu"](tmp_path, made)
    file, store = written.files[0], tmp_path / "store"
    assert read(file, made, **written.beside).changed == ()
    noted = read_sources(store)
    listed = written.beside["sizes"]
    assert noted == (source_of(file), source_of(listed))
    assert noted[1].sha256 == hashlib.sha256(listed.read_bytes()).hexdigest()
    inside = sorted(file.iterdir())
    total = sum(path.stat().st_size for path in inside)
    names = b"".join(b"%s\0%d\0" % (p.name.encode(), p.stat().st_size) for p in inside)
    assert (noted[0].name, noted[0].bytes) == ("cocobu_att", total)
    assert noted[0].sha256 == hashlib.sha256(names).hexdigest()
    before = (store / "sources.json").read_bytes()
    assert read(file, made, **written.beside).changed == ()
    assert (store / "sources.json").read_bytes() == before
    np.savez(file / "43.npz", feat=made[0].features)
    assert read(file, made, **written.beside).changed == ("cocobu_att",)
    assert [one.name for one in read_sources(store)] == [noted[0].name, listed.name, noted[0].name]
    os.mkfifo(tmp_path / "pipe")
    assert note_sources(store, [tmp_path / "pipe"]) == () and len(read_sources(store)) == 3
    (store / "sources.json").write_bytes(before.replace(b"cocobu", b"COCOBU"))
    with pytest.raises(RunError, match=r"sources\.json: altered after it was written"):
        read(file, made, **written.beside)
