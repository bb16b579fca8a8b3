"""Parquet tables: captions with the photos' bytes inside, or with the names of their files."""

import inspect
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.data import NoPhotos, parquet_files, read
from miacap.data.photos import sha256_of, size_of
from miacap.data.readers import parquet as parquet_reader
from miacap.errors import DataError, MiacapError, MissingExtra


def table(path: Path, rows: list[dict[str, Any]], group: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=group)
    return path


def photo(number: int) -> bytes:
    return b"\xff\xd8\xff" + bytes([number % 251]) * (number % 60 + 1)


def row(number: int, **cells: Any) -> dict[str, Any]:
    image = {"bytes": photo(number), "path": f"{number}.jpg"}
    return {"image": image, "caption": [f"a dog {number}", "a cat"], "sentids": [1, 2], **cells}


def test_shards_of_a_hugging_face_folder(tmp_path: Path) -> None:
    names = ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test-0")
    for part, name in enumerate(names):
        table(tmp_path / "data" / f"{name}.parquet", [row(25 * part + i) for i in range(25)])
    (tmp_path / "dataset_infos.json").write_text("{}")
    data = read(tmp_path)
    assert data.splits == {"train": 50, "dev": 25, "test": 25} and not data.set_aside
    assert data.captions["30.jpg"] == ("a dog 30", "a cat")
    assert next(entry.split for entry in data if entry.id == "60.jpg") == "dev"
    assert {id: data.photos.read(id) for id in data.ids} == {
        f"{number}.jpg": photo(number) for number in range(100)
    }
    assert len(list(tmp_path.rglob("*"))) == 6  # nothing was unpacked
    assert len({source.sha256 for source in data.sources}) == 4


def test_photos_in_any_order_and_from_many_threads(tmp_path: Path) -> None:
    table(tmp_path / "a.parquet", [row(number) for number in range(90)], group=33)
    photos = read(tmp_path).photos
    order = [f"{number * 37 % 90}.jpg" for number in range(90)] * 3
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(photos.read, order)) == [photo(int(id[:-4])) for id in order]
    again = pickle.loads(pickle.dumps(photos))  # noqa: S301  (our own, for another process)
    assert again.read("89.jpg") == photo(89) and "90.jpg" not in again
    mean = sum(len(photo(number)) for number in range(33)) / 33
    assert mean < size_of(photos, "3.jpg") < mean + 20 and size_of(photos, "90.jpg") == 0
    assert len(sha256_of(photos, "3.jpg")) == 64
    with pytest.raises(DataError, match=r"90\.jpg: no such photo in a\.parquet"):
        photos.read("90.jpg")


@pytest.mark.parametrize(
    ("cells", "captions"),
    [
        ({"caption": "A dog."}, ("A dog.",)),
        ({"text": ["A dog.", "A cat."]}, ("A dog.", "A cat.")),
        ({"caption_0": "A dog.", "caption_1": "A cat."}, ("A dog.", "A cat.")),
        ({"sentences": {"raw": ["A dog."], "tokens": [["a", "dog"]]}}, ("A dog.",)),
        ({"sentences": {"raw": "A dog.", "tokens": ["a", "dog"]}}, ("A dog.",)),
        ({"sentences": [{"raw": "A dog."}, {"raw": "A cat."}]}, ("A dog.", "A cat.")),
        ({"Caption": "A dog.", "caption_id": 7}, ("A dog.",)),
        ({"sentids": [3], "captions": ["A dog."], "raw": "x"}, ("A dog.",)),
    ],
)
def test_forms_of_captions(
    cells: dict[str, Any], captions: tuple[str, ...], tmp_path: Path
) -> None:
    table(tmp_path / "a.parquet", [{"image": {"bytes": b"P", "path": "p.jpg"}, **cells}])
    assert read(tmp_path).captions == {"p.jpg": captions}


def test_bytes_alone_rows_of_one_name_and_a_split_column(tmp_path: Path) -> None:
    rows = [
        {"jpg": b"A", "filename": "a.jpg", "cocoid": 5, "text": "a dog", "split": "restval"},
        {"jpg": b"A", "filename": "a.jpg", "cocoid": 5, "text": "a cat", "split": "restval"},
        {"jpg": b"B", "filename": "b.jpg", "cocoid": 6, "text": None, "split": "val"},
    ]
    data = read(table(tmp_path / "karpathy.parquet", rows))
    assert {entry.id: (entry.captions, entry.split) for entry in data} == {
        "a.jpg": (("a dog", "a cat"), "train"), "b.jpg": ((), "dev"),
    }  # fmt: skip
    assert data.photos.read("b.jpg") == b"B"


def test_img2dataset_in_parquet_form(tmp_path: Path) -> None:
    lost = {"status": "failed_to_download", "error_message": "HTTP Error 404", "jpg": None}
    fine = {"status": "success", "error_message": None, "jpg": b"P"}
    rows = [{"key": f"{n:09d}", "caption": f"dog {n}", **(lost if n == 1 else fine)}
            for n in range(3)]  # fmt: skip
    data = read(table(tmp_path / "00000.parquet", rows))
    assert data.captions == {"000000000": ("dog 0",), "000000002": ("dog 2",)}
    assert [(one.id, one.where, one.reason) for one in data.set_aside] == [
        ("000000001", "00000.parquet, row 2", "img2dataset did not fetch it: HTTP Error 404")
    ]


def test_names_that_do_not_tell_photos_apart(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": photo(n), "path": "image.jpg"}, "text": f"dog {n}"} for n in (1, 2)]
    table(tmp_path / "train.parquet", rows)
    table(tmp_path / "val.parquet", rows[:1])
    data = read(tmp_path)
    assert data.ids == ("train/0", "train/1", "val/0")
    assert [data.photos.read(id) for id in data.ids] == [photo(1), photo(2), photo(1)]
    named = [{"image": b"A", "file_name": "1.jpg", "text": "a dog"}]
    table(tmp_path / "b" / "train-0.parquet", named)
    table(tmp_path / "b" / "test-0.parquet", [{**named[0], "image": b"B"}])
    data = read(tmp_path / "b")
    assert {id: data.photos.read(id) for id in data.ids} == {
        "test/1.jpg": b"B",
        "train/1.jpg": b"A",
    }


def test_tables_of_one_name_in_the_folders_of_their_splits(tmp_path: Path) -> None:
    """As docs/data.md promises: train/0000.parquet, validation/0000.parquet, test/0000.parquet."""
    for number, folder in enumerate(("train", "validation", "test", "")):
        rows = [{"image": {"bytes": photo(9 * number + n)}, "text": f"dog {n}"} for n in (0, 1)]
        table(tmp_path / folder / "0000.parquet", rows)
        if folder == "":  # two of one name that no split tells apart
            table(tmp_path / "data" / "0000.parquet", [{**rows[0], "text": "a cat"}])
    data = read(tmp_path)
    assert {id: data.photos.read(id) for id in data.ids} == {
        "0000/0": photo(27), "0000/1": photo(28), "data/0000/0": photo(27),
        "test/0000/0": photo(18), "test/0000/1": photo(19),
        "train/0000/0": photo(0), "train/0000/1": photo(1),
        "validation/0000/0": photo(9), "validation/0000/1": photo(10),
    }  # fmt: skip
    assert data.captions["data/0000/0"] == ("a cat",)
    splits = {entry.id: entry.split for entry in data}
    assert [splits[f"{name}/0000/1"] for name in ("train", "validation", "test")] == [
        "train", "dev", "test",
    ]  # fmt: skip


def test_names_of_files_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").write_bytes(b"A")
    table(tmp_path / "train/metadata.parquet", [{"file_name": "a.jpg", "text": "a dog"}])
    data = read(tmp_path)
    assert data.ids == ("train/a.jpg",) and data.photos.read("train/a.jpg") == b"A"
    before = data.sources[0].sha256
    # Hugging Face keeps the path alone where the bytes lie beside the table.
    image = {"bytes": None, "path": "a.jpg"}
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    value = pyarrow.table({"image": pyarrow.array([image], kind), "text": ["a dog"]})
    pyarrow.parquet.write_table(value, tmp_path / "train" / "x.parquet")
    data = read(tmp_path / "train" / "x.parquet")
    assert data.photos.read("a.jpg") == b"A" and data.sources[0].sha256 != before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"image": {"bytes": b"P", "path": "p"}, "label": 3}],
            "no column names the caption; call",
        ),
        ([{"caption": "a dog", "label": 3}], "no column holds the photos or names their files"),
        ([{"file_name": "../a.jpg", "caption": "a dog"}], "row 1: '../a.jpg' leads out of the"),
        ([{"url": "http://x/../a.jpg", "caption": "a"}], "these are addresses, and nothing is"),
    ],
)
def test_what_is_no_table_of_captions(
    rows: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read(table(tmp_path / "a.parquet", rows))


def test_a_cell_without_a_photo_is_named_when_it_is_read(tmp_path: Path) -> None:
    rows = [row(1), row(2) | {"image": {"bytes": None, "path": "2.jpg"}}]
    photos = read(table(tmp_path / "a.parquet", rows)).photos
    with pytest.raises(DataError, match=r"2\.jpg: a\.parquet has no photo in its row"):
        photos.read("2.jpg")


def test_a_table_that_changed_is_said(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", [row(number) for number in range(30)])
    photos = read(path).photos
    table(path, [row(number) for number in range(3)])
    with pytest.raises(DataError, match=r"a\.parquet: has fewer rows than it had"):
        photos.read("29.jpg")


def grown(path: Path, **columns: Any) -> Path:
    """A table whose columns pyarrow packs to a thousandth."""
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="zstd")
    return path


def alike(value: bytes | str, count: int) -> Any:
    """So many equal values, without a list of them."""
    kind = pyarrow.string() if isinstance(value, str) else pyarrow.binary()
    return pyarrow.repeat(pyarrow.scalar(value, kind), count)


def test_tables_that_unpack_without_end_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    million = {"file_name": alike("a", 2_000_000), "caption": alike("a dog", 2_000_000)}
    rows = grown(tmp_path / "rows.parquet", **million)
    long = grown(tmp_path / "long.parquet", file_name=["a"], caption=["a" * 2**25])
    one = pyarrow.ListArray.from_arrays([0, 500_000], alike("a dog", 500_000))
    many = grown(tmp_path / "many.parquet", file_name=["a"], caption=one)
    image = grown(tmp_path / "image.parquet", image=[bytes(2**25)], caption=["a"], id=["a"])
    assert max(p.stat().st_size for p in (rows, long, many, image)) < 50_000
    photos = read(image).photos
    assert size_of(photos, "a") == 0
    # What is read is remembered: nothing may be.
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", None)
    with pytest.raises(DataError, match=r"rows\.parquet: says that it has 2,000,000 rows in \d+,"):
        read(rows)
    for path in (long, image):
        with pytest.raises(DataError, match=r"unpacks to 33,554,4\d\d bytes, more than 200 times"):
            read(path) if path is long else photos.read("a")
    with pytest.raises(DataError, match=r"says that it has 500,000 values of caption in"):
        read(many)


def test_a_text_that_every_row_has_is_read_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 rows with one text of 200 kB would be 20 MB at once; the limit is made 4 MB here."""
    monkeypatch.setattr("miacap.data.parquet_files.LARGEST", 4_000_000)
    names = [f"{number}.jpg" for number in range(100)]
    path = grown(tmp_path / "a.parquet", file_name=names, caption=alike("a dog " * 33_000, 100))
    sizes = []
    batches = pyarrow.parquet.ParquetFile.iter_batches

    def counted(*arguments: Any, **more: Any) -> Any:
        for batch in batches(*arguments, **more):
            sizes.append(batch.nbytes)
            yield batch

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", counted)
    with pytest.raises(DataError, match="a table whose texts take more than 4,000,000 bytes; spl"):
        read(path, photos=NoPhotos())
    assert max(sizes) < 4_000_000
    # The limit is that of the table, not of each of its row groups.
    monkeypatch.setattr("miacap.data.parquet_files.LARGEST", 25_000)
    rows = [{"file_name": f"{n}.jpg", "caption": f"{n:1000}"} for n in range(30)]
    with pytest.raises(DataError, match="a table whose texts take more than 25,000 bytes; split"):
        read(table(tmp_path / "b.parquet", rows), photos=NoPhotos())


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "a.parquet", [row(1)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"Reading Parquet files needs the extra \[parquet\]"):
        read(path)


@pytest.mark.parametrize("count", [1, 8, 9, 300])
@pytest.mark.parametrize("inside", [True, False])
def test_photos_inside_are_told_from_photos_beside(
    tmp_path: Path, count: int, inside: bool
) -> None:
    photo = b"x" * 4
    rows = [
        {
            "image": {"bytes": photo if inside else None, "path": f"{n}.jpg"},
            "caption": f"a dog number {n}",
        }
        for n in range(count)
    ]
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    kinds = pyarrow.schema([("image", image), ("caption", pyarrow.string())])
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=kinds), path)
    (tmp_path / "0.jpg").write_bytes(b"beside")
    assert read(path).photos.read("0.jpg") == (photo if inside else b"beside")


def test_statistics_that_would_end_the_process_are_never_read(tmp_path: Path) -> None:
    source = inspect.getsource(parquet_reader) + inspect.getsource(parquet_files)
    assert ".statistics" not in source


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_tables_end_in_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(table(folder / "a.parquet", [row(n) for n in range(5)]).read_bytes())
    index = data.draw(st.integers(0, len(content) - 1))
    content[index] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    (folder / "a.parquet").write_bytes(bytes(content[:cut]))
    try:
        dataset = read(folder / "a.parquet")
        for id in dataset.ids:
            dataset.photos.read(id)
    except MiacapError as error:
        assert str(error)


@pytest.mark.slow
def test_real_lists_of_addresses(shared: Path) -> None:
    folder = shared / "formats" / "img2dataset"
    data = read(folder / "test_1000.parquet", photos=NoPhotos())
    assert len(data) == 1000 and data.pictures[1].captions == ("Tavern Brawl by velinov",)
    with pytest.raises(DataError, match="none of the 1000 photos is in"):
        read(folder / "test_1000.parquet")
    data = read(folder / "sample_image.parquet", photos=NoPhotos())
    assert [len(entry.captions) for entry in data] == [2]
