"""A person's own captions: CSV, JSON Lines, metadata.jsonl, and what people do to them."""

import csv
import io
import json
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.data import NoPhotos, read
from miacap.data.splits import draw_split
from miacap.errors import DataError, UnknownName


def write(folder: Path, name: str, text: str | bytes, photos: Sequence[str] = ()) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for photo in photos:
        (folder / photo).parent.mkdir(parents=True, exist_ok=True)
        (folder / photo).write_bytes(b"photo")
    return path


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_metadata_jsonl(tmp_path: Path) -> None:
    rows = lines(
        {"file_name": "a.png", "captions": ["One.", "Two."], "split": "train"},
        {"file_name": "sub/b.png", "text": "Three.", "split": "validation", "objects": [1]},
        {"file_name": "c.png", "split": "test"},
        {"file_name": "a.png", "caption": "Four."},
    )
    write(tmp_path, "metadata.jsonl", rows, ["a.png", "sub/b.png", "c.png"])
    data = read(tmp_path)
    assert [(e.id, e.captions, e.split) for e in data] == [
        ("a.png", ("One.", "Two.", "Four."), "train"),
        ("sub/b.png", ("Three.",), "dev"),
        ("c.png", (), "test"),
    ]
    assert data.photos.read("sub/b.png") == b"photo"


@pytest.mark.parametrize(
    "text",
    [
        'file_name,caption\na.jpg,"A dog, and ""Rex""."\n',
        '\ufefffile_name,caption\r\na.jpg,"A dog, and ""Rex""."\r\n',
        'image;caption\na.jpg;"A dog, and ""Rex""."\n',
        'filename\tcaption\na.jpg\t"A dog, and ""Rex""."\n',
        'caption,File_Name,other\n"A dog, and ""Rex"".",a.jpg,7\n',
        'image_name| comment_number| comment\na.jpg| 0| A dog, and "Rex".\n',
        '\n\nimage,caption\n\na.jpg,"A dog, and ""Rex""."\n\n',
    ],
)  # fmt: skip
def test_dialects_of_csv(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "mine.csv", text, ["a.jpg"])
    assert read(tmp_path).captions == read(path).captions == {"a.jpg": ('A dog, and "Rex".',)}


def test_several_columns_and_lists_of_captions(tmp_path: Path) -> None:
    rows = "file_name,caption_1,caption_2,split\na.jpg,One.,Two.,val\nb.jpg,Three.,,train\n"
    data = read(write(tmp_path, "x.csv", rows, ["a.jpg", "b.jpg"]))
    assert data.captions == {"a.jpg": ("One.", "Two."), "b.jpg": ("Three.",)}
    assert data.splits == {"dev": 1, "train": 1} and not data.set_aside
    rows = 'raw,filename\n"[""One."", ""Two.""]",a.jpg\n"[not a list]",b.jpg\n'
    data = read(write(tmp_path, "x.csv", rows))
    assert data.captions == {"a.jpg": ("One.", "Two."), "b.jpg": ("[not a list]",)}


def test_unquoted_commas_and_rows_of_another_width(tmp_path: Path) -> None:
    text = "image,caption\na.jpg,A dog, running.\nb.jpg\n"
    data = read(write(tmp_path, "x.csv", text, ["a.jpg"]))
    assert data.captions == {"a.jpg": ("A dog, running.",)}
    assert [(s.id, s.where, s.reason) for s in data.set_aside] == [
        ("b.jpg", "x.csv, line 3", "1 cell for 2 columns; quote captions")
    ]
    text = "caption,image\nA dog, running.,a.jpg\nFine.,a.jpg\n"
    data = read(write(tmp_path, "x.csv", text))
    assert data.captions == {"a.jpg": ("Fine.",)} and len(data.set_aside) == 1


def test_a_caption_over_two_lines_keeps_line_numbers_right(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"One\ntwo."\nb.jpg,\n'
    data = read(write(tmp_path, "x.csv", text, ["a.jpg", "b.jpg"]))
    assert data.captions == {"a.jpg": ("One\ntwo.",)}
    assert [(s.id, s.where, s.reason) for s in data.set_aside] == [
        ("b.jpg", "x.csv, line 4", "blank caption")
    ]
    assert data.ids == ("a.jpg", "b.jpg")


def test_missing_photos_are_set_aside(tmp_path: Path) -> None:
    text = "image,caption\na.jpg,One.\ngone.jpg,Two.\n"
    data = read(write(tmp_path, "x.csv", text, ["a.jpg"]))
    assert data.ids == ("a.jpg",)
    assert [(s.id, s.where, s.reason) for s in data.set_aside] == [
        ("gone.jpg", "x.csv, line 3", "no such photo")
    ]


def test_a_split_is_drawn_from_the_name(tmp_path: Path) -> None:
    names = [f"photo{n}.jpg" for n in range(400)]
    text = "image,caption\n" + "".join(f"{name},A thing.\n" for name in names)
    path = write(tmp_path, "x.csv", text)
    splits = {e.id: e.split for e in read(path, photos=NoPhotos())}
    # The same without its neighbours, and the same for ever.
    assert all(splits[name] == draw_split(name) for name in names)
    # First digits of their SHA-256: c3b9, e87a, e155, 9c2b; borders at .8 = cccc and .9 = e666.
    names = ["photo0.jpg", "photo5.jpg", "photo33.jpg", "ä.jpg"]
    assert [draw_split(name) for name in names] == ["train", "test", "dev", "train"]
    counts = {name: list(splits.values()).count(name) for name in ("train", "dev", "test")}
    assert 290 <= counts["train"] <= 350 and 20 <= counts["dev"] <= 65 and counts["test"] >= 20


def test_splits_given_by_the_caller(tmp_path: Path) -> None:
    text = "image,caption,split\na.jpg,One.,train\nb.jpg,Two.,train\nc.jpg,Three.,dev\n"
    path = write(tmp_path, "x.csv", text, ["a.jpg", "b.jpg", "c.jpg"])
    held = write(tmp_path, "held.txt", "b\n")
    data = read(path, splits={"train": ["a.jpg"], "val": held})
    assert {e.id: e.split for e in data} == {"a.jpg": "train", "b.jpg": "dev", "c.jpg": "none"}
    assert [s.name for s in data.sources] == ["x.csv", "held.txt"]
    (tmp_path / "lists").mkdir()
    with pytest.raises(DataError, match=r"lists: no split lists here"):
        read(path, splits=tmp_path / "lists")
    write(tmp_path, "lists/my_test.txt", "c.jpg\n")
    assert read(path, splits=tmp_path / "lists").split("test").ids == ("c.jpg",)


def test_unknown_splits_and_formats(tmp_path: Path) -> None:
    text = "image,caption,split\na.jpg,One.,train\n"
    path = write(tmp_path, "x.csv", text, ["a.jpg"])
    with pytest.raises(
        DataError, match=r"no picture is in the split 'trian'\. Did you mean 'train'"
    ):
        read(path).split("trian")
    with pytest.raises(
        DataError,
        match=r"Known: train \(1\)\. .* in the caption file's 'split'.*--splits draw.*add pictures",
    ):
        read(path).split("dev")
    with pytest.raises(UnknownName, match=r"No caption format named 'cvs'\. Did you mean 'csv'\?"):
        read(path, format="cvs")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", b"image,caption\na.jpg,caf\xe9\n",
         r"x\.csv, line 2: byte 10 of the line \(0xe9\)"),
        ("x.csv", "image,caption\n".encode("utf-16")[:-1],
         r"begins as UTF-16 text, but byte 29 is not; save the file as UTF-8"),
        ("x.csv", "", r"the file is empty"),
        ("x.csv", "image,captoin\na.jpg,x\n",
         r"no column names the caption.*Did you mean 'caption'"),
        ("x.csv", "a,caption\na.jpg,x\n",
         r"x\.csv, line 1: no column names the photo's file; call"),
        ("x.csv", 'image,caption\na.jpg,"open\nb.jpg,x\n', r"x\.csv, line 2: not CSV .*doubled"),
        ("x.csv", "image,caption\na.jpg,\n",
         r"no captions at all in x\.csv; 1 picture was.*blank cap"),
        ("x.csv", "image,caption,split\na.jpg,x,dev\na.jpg,y,train\n",
         r"line 3: a\.jpg is in the sp"),
        ("x.csv", "image,caption\n../a.jpg,x\n", r"line 2: '\.\./a\.jpg' leads out of the folder"),
        ("x.csv", "image,caption\n/etc/a.jpg,x\n", r"'/etc/a\.jpg' leads out of the folder"),
        ("x.csv", "image,caption\nC:\\a.jpg,x\n", r"leads out of the folder"),
        ("x.csv", "image,caption\n ,x\n", r"line 2: ' ' names no photo"),
        ("x.jsonl", '{"image": "a.jpg", "caption": "x"}\n{"image"\n',
         r"x\.jsonl, line 2, column 9: not J"),
        ("x.jsonl", '{"caption": "x"}\n',
         r"line 1: no file name; write \"file_name\" \(found 'caption'\)"),
        ("x.jsonl", '{"image": "a.jpg"}\n[1]\n', r"line 2: expected a JSON object, found list"),
        ("x.jsonl", '{"image": "a.jpg"}\n' + "[" * 99999,
         r"line 2: cannot be read .nested more than 100 levels deep"),
        ("x.jsonl", '{"image": "a.jpg"}\n{"a": ' + "9" * 9999 + "}",
         r"line 2: cannot be read .a number of 9,999 digits; at most 300"),
        ("x.jsonl", '{"image": "a\\u0000b"}\n{"image": "b.jpg"}', r"names no photo"),
        ("x.jsonl", '{"image": "\\ud800.jpg"}\n{"image": "b.jpg"}',
         r"not text that a file can be named"),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = write(tmp_path, name, text, ["a.jpg"])
    with pytest.raises(DataError, match=message):
        read(path)


def test_captions_of_a_wrong_kind_are_set_aside(tmp_path: Path) -> None:
    rows = lines(
        {"image": "a.jpg", "captions": ["Fine.", 7, "", {"raw": "Nested."}, ["x"]]},
        {"image": "b.jpg", "captions": "\ud800"},
    )
    data = read(write(tmp_path, "x.jsonl", rows, ["a.jpg", "b.jpg"]))
    assert data.captions == {"a.jpg": ("Fine.", "Nested.")}
    assert [(s.id, s.reason) for s in data.set_aside] == [
        ("a.jpg", "a caption is text, not int"),
        ("a.jpg", "blank caption"),
        ("a.jpg", "a caption is text, not list"),
        ("b.jpg", "the caption holds half a character (a lone surrogate)"),
    ]


def test_a_json_list_and_one_json_line(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "caption": "One."}, {"image": "b.jpg", "caption": "Two."}]
    path = write(tmp_path, "x.json", json.dumps(rows, indent=1), ["a.jpg", "b.jpg"])
    assert len(read(path)) == 2
    assert read(write(tmp_path, "x.json", json.dumps(rows[0]))).ids == ("a.jpg",)


def test_windows_separators_mean_folders(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "image,caption\nsub\\a.jpg,One.\n", ["sub/a.jpg"])
    assert read(path).ids == ("sub/a.jpg",)


def test_several_files_and_none_told(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", "image,caption\na.jpg,One.\n", ["a.jpg"])
    write(tmp_path, "y.csv", "image,caption\na.jpg,One.\n")
    with pytest.raises(DataError, match=r"no caption file here.*It holds x\.csv, y\.csv: name one"):
        read(tmp_path)


def test_reading_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from miacap.data import read, draw; import miacap.data.scenes; "
        "assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


CAPTIONS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text.strip() not in ("", "nan", "NaN")
)
NAMES = st.text(string.ascii_letters + string.digits + "äß _-,\"';|", min_size=1).map(
    lambda name: f"p{name}.jpg"
)


@given(st.lists(st.tuples(NAMES, CAPTIONS), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    expected: dict[str, tuple[str, ...]] = {}
    for name, caption in rows:
        expected[name] = (*expected.get(name, ()), caption.strip())
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("file_name", "caption"), *rows])
    objects = lines(*({"file_name": name, "caption": caption} for name, caption in rows))
    with tempfile.TemporaryDirectory() as folder:
        for file, text in (("x.csv", table.getvalue()), ("x.jsonl", objects)):
            path = write(Path(folder), file, text)
            assert read(path, photos=NoPhotos()).captions == expected


PIECES = st.sampled_from(
    ["file_name", "caption", ",", "\t", "\n", "\r\n", '"', "a.jpg",
     "#0", "{", "}", "[", "]", ":", "|",
     "images", "annotations", "null", "1e999", "\ufeff", "\0", "..", "/", "x ", "sentences"]
)  # fmt: skip


@given(st.one_of(st.binary(), st.lists(PIECES, max_size=40).map(lambda p: "".join(p).encode())))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_dataset_or_a_data_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "x.txt", data)
        for format in (None, "csv", "jsonl", "flickr", "coco", "karpathy"):
            try:
                found = read(path, format=format, photos=NoPhotos())
            except DataError as error:
                assert str(error)
            else:
                assert found.captions


@pytest.mark.parametrize("more", ["", "\tdog,grass\t/m/01,/m/02\t0.9,0.8"])
def test_captions_first_as_in_conceptual_captions(more: str, tmp_path: Path) -> None:
    first, second = "http://x.org/a/../b c.jpg?w=1", "HTTPS://x.org/d"
    text = f'a dog runs\t{first}{more}\na "cat"\t{second}{more}\nbroken\n'
    path = write(tmp_path, "Train_GCC.tsv", text)
    data = read(path, photos=NoPhotos())
    assert data.captions == {first: ("a dog runs",), second: ('a "cat"',)}
    assert [one.where for one in data.set_aside] == ["Train_GCC.tsv, line 3"]
    with pytest.raises(DataError, match="these are addresses, and nothing is fetched here"):
        read(path)


def test_captions_first_with_photos_that_are_here(tmp_path: Path) -> None:
    write(tmp_path, "x.tsv", "a dog runs\tsub/a.jpg\na cat sleeps\tb.jpg\n", ["sub/a.jpg", "b.jpg"])
    assert read(tmp_path).captions == {"sub/a.jpg": ("a dog runs",), "b.jpg": ("a cat sleeps",)}


def test_names_of_columns_that_others_write(tmp_path: Path) -> None:
    write(tmp_path, "cc3m.csv", "filepath\ttitle\na.jpg\ta dog runs\n", ["a.jpg"])
    assert read(tmp_path).captions == {"a.jpg": ("a dog runs",)}
    rows = lines({"url": "http://x.org/a.jpg", "caption": "a dog"})
    assert read(write(tmp_path, "x.jsonl", rows), photos=NoPhotos()).ids == ("http://x.org/a.jpg",)


@pytest.mark.slow
def test_the_real_conceptual_captions(shared: Path) -> None:
    path = shared / "formats" / "cc3m" / "Validation_GCC-1.1.0-Validation.tsv"
    data = read(path, photos=NoPhotos())
    assert sum(len(entry.captions) for entry in data) == 15_833 and not data.set_aside
    assert data.pictures[1].captions == ("an angler fishes river on a snowy day .",)
