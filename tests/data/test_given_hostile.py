"""Features of strangers: whatever the bytes, a sentence that names file and line or member."""

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miacap.data import convert
from miacap.data.given.forms import FORMS
from miacap.errors import DataError, MiacapError

from .hostile_features import DATA, GOOD, read, said
from .written_features import WRITERS, bottom_up_row, pictures


def npy(header: str | bytes, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode() if isinstance(header, str) else header
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def shaped(shape: object, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


ARRAYS = {
    "pickled": (npy(shaped("(2,)", "'|O'"), b"\x80\4."), "is pickled: reading it could run code"),
    "huge": (npy(shaped("(10000000, 100000000)")), "an array of shape (10000000, 100000000), 4,0"),
    "more than is there": (npy(shaped("(2, 6)"), bytes(40)), "cut short after 40 bytes of 48"),
    "ends in the header": (npy(shaped("(2, 6)"))[:30], "cut short after"),
    "long header": (npy(b" " * 60_000, version=2), "an array with a header of 60000 bytes"),
    "no header": (npy("import os"), "an array whose header cannot be read"),
    "deep header": (npy("(" * 5000), "an array whose header cannot be read"),
    "negative": (npy(shaped("(-1, 6)")), "an array of shape (-1, 6)"),
    "no shape": (npy(shaped("'x'")), "an array of shape x"),
    "many axes": (npy(shaped("(1,) * 99")), "an array whose header cannot be read"),
    "structured": (npy(shaped("(2,)", "[('a', '<f4')]")), "an array of [('a', '<f4')], not of num"),
    "text": (npy(shaped("(2, 3)", "'<U4'"), bytes(96)), "features are numbers, not <U4"),
    "no type": (npy(shaped("(2, 6)", "'<f1'"), bytes(12)), "an array of <f1, not of numbers"),
    "no letters": (npy(shaped("(2, 6)", "'|S0'")), "an array of |S0, not of numbers"),
    "no numbers": (npy(shaped("(0, 2305843009213693952)")), "an array of shape (0, 230584300921"),
    "empty": (npy(shaped("(0, 6)")), "features of shape (0, 6), not rows of numbers"),
    "a pickle": (b"\x80\4K\1.", "is pickled: reading it could run code"),
    "no bytes": (b"", "neither NPZ nor NPY"),
    "cut magic": (b"\x93NUM", "neither NPZ nor NPY"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_that_cannot_be(kind: str, tmp_path: Path) -> None:
    data, reason = ARRAYS[kind]
    folder = tmp_path / "npy"
    folder.mkdir()
    for p in GOOD:
        np.save(folder / f"{p.id}.npy", p.features)
    (folder / "3.npy").write_bytes(data)
    text = said(folder)
    assert reason in text and "3.npy" in text, text


def test_fortran_order_is_read_as_it_is_meant(tmp_path: Path) -> None:
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "1.npy", np.asfortranarray(GOOD[0].features))
    rows = read(tmp_path / "npy").store.rows("1").numpy()
    assert np.array_equal(rows, GOOD[0].features.astype(np.float16))


def archived(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def lies_about_its_size() -> bytes:
    """A stored member whose directory says that it has four gigabytes."""
    data = bytearray(archived(feat=npy(shaped("(100000, 100)"), bytes(1000))))
    place = data.index(b"PK\1\2")
    data[place + 24 : place + 28] = struct.pack("<I", 2**32 - 2)
    return bytes(data)


ARCHIVES = {
    "bomb": (archived(feat=npy(shaped("(5000, 2048)"), bytes(40_960_000))), "more than 200 times"),
    "lie": (lies_about_its_size(), "more than 200 times"),
    "short": (archived(feat=npy(shaped("(100000, 100)"), bytes(900))), "cut short after 900 bytes"),
    "damaged": (archived(feat=npy(shaped("(2, 6)"), bytes(48)))[:90], "damaged"),
    "other names": (archived(a=b"", b=b""), "no member is called feat, features, x (found a, b)"),
    "many": (archived(**{f"m{n}": b"" for n in range(1001)}), "1,001 members for one picture"),
    "pickled features": (
        archived(feat=npy(shaped("()", "'|O'"), b"\x80\4N.")), ", feat: is pickled",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_cannot_be(kind: str, tmp_path: Path) -> None:
    data, reason = ARCHIVES[kind]
    folder = tmp_path / "npz"
    folder.mkdir()
    for p in GOOD:
        np.savez(folder / f"{p.id}.npz", feat=p.features)
    (folder / "3.npz").write_bytes(data)
    text = said(folder)
    assert reason in text and "3.npz" in text, text


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "npy"
    folder.mkdir()
    np.save(folder / "1.npy", GOOD[0].features)
    path = folder / "3.npy"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    done = read(folder)
    assert (
        done.missing == ("2", "3")
        if kind == "folder"
        else f"a {kind}" in done.bad["3"].replace("named ", "")
    )
    os.mkfifo(tmp_path / "pipe.tsv")
    with pytest.raises(DataError, match=r"pipe\.tsv: is no file that can be read twice"):
        read(tmp_path / "pipe.tsv", form="bottom-up")


def test_one_big_array(tmp_path: Path) -> None:
    path, ids = tmp_path / "all.npy", tmp_path / "ids"
    np.save(path, np.ones((3, 2, 6), np.float32))
    for text, reason in (
        ("1\n2\n", "2 ids for 3 rows of"),
        ("[1, 2, null]", r"ids, entry 3: an id is a non-empty text or a whole number, not None"),
        ("[1, 2", "not JSON"),
    ):
        ids.write_text(text)
        with pytest.raises(DataError, match=reason):
            read(path, ids=ids)
    np.save(tmp_path / "ids.npy", np.array(["1", {}], dtype=object))
    with pytest.raises(DataError, match=r"ids\.npy: is pickled: .* refused"):
        read(path, ids=tmp_path / "ids.npy")
    with pytest.raises(DataError, match=r"name the file with their ids.*--ids FILE"):
        read(path)
    for listed in (np.array([1, 2, 3]), np.array(["1", "2", "3"]), np.array([b"1", b"2", b"3"])):
        np.save(tmp_path / "ids.npy", listed)
        assert len(read(path, ids=tmp_path / "ids.npy").store) == 3
    ids.write_text("1\n2\n3")
    for data, reason in (
        (npy(shaped("(3, 2, 6)"), bytes(100)), "takes .* bytes, the file has .*; it was cut short"),
        (npy(shaped("(3, 99999, 99999)")), "it was cut short"),
        (npy(shaped("(3,)"), bytes(12)), r"an array of shape \(3,\) and type float32; N x k x V"),
        (npy(shaped("(3, 2, 6)").replace("False", "True"), bytes(144)), "in Fortran order; N x k"),
        (npy(shaped("(3,)", "'|O'")), "is pickled"),
        (npy(shaped("(3, 2, 6)", "'<f1'"), bytes(36)), "all.npy: an array of <f1, not of numbers"),
        (npy(shaped("(3, 0, 2305843009213693952)")), "row 0: an array of shape .0, 23058430092136"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=reason):
            read(path, ids=ids)
    np.save(path, np.ones((3, 2, 6), np.float32))
    for data, reason in (
        (npy(shaped("(3,)", "'|S0'")), r"ids\.npy: an array of \|S0, not of numbers"),
        (npy(shaped("(3,)", "'<f1'"), bytes(3)), r"ids\.npy: an array of <f1, not of numbers"),
        (npy(shaped("(3,)", "'<U1'"), b"\xff" * 12), r"ids\.npy: ids that are no text"),
        (npy(shaped("(0, 2305843009213693952)")), r"ids\.npy: an array of shape \(0, 2305"),
    ):
        (tmp_path / "ids.npy").write_bytes(data)
        with pytest.raises(DataError, match=reason):
            read(path, ids=tmp_path / "ids.npy")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0\n99999999\n", r"line 2: byte 99999999 of a file of"),
        ("0\n5\n", "line 2: no row begins at byte 5"),
        ("{1}\n0\n", "line 2: 0 comes after"),
        ("0\n0\n", "line 2: 0 comes after 0"),
        ("0\n-7\n", "line 2: b'-7' is no byte offset"),
        ("0\n" + "9" * 5000, "line 2: .* is no byte offset"),
        ("0\nx\n", "line 2: b'x' is no byte offset"),
    ],
)
def test_a_line_index_that_cannot_be_right(text: str, reason: str, tmp_path: Path) -> None:
    file = WRITERS["vinvl"](tmp_path, GOOD).files[0]
    offsets = (tmp_path / "feature.lineidx").read_text().split()
    (tmp_path / "feature.lineidx").write_text(text.replace("{1}", offsets[1]))
    with pytest.raises(DataError, match=rf"feature\.lineidx, {reason}.*Move it away to read"):
        read(file)
    (tmp_path / "feature.lineidx").unlink()
    assert len(read(file).store) == 2


def test_a_line_index_of_a_sparse_file_is_not_read_at_once(tmp_path: Path) -> None:
    file = WRITERS["vinvl"](tmp_path, GOOD).files[0]
    with open(file, "ab") as opened:
        opened.truncate(2**40)
    with pytest.raises(
        DataError, match=r"feature\.lineidx, line 2: a row of 1,099,\d+,\d+,?\d* by"
    ):
        read(file)


VINVL = {
    "no JSON": "{", "[1]": "[1]", "deep": "[" * 5000, "twice": '{"features": "", "features": ""}',
    "no features": '{"num_boxes": 1}', "number": '{"num_boxes": 1, "features": 3}',
    "box": '{"objects": [{"rect": [0, 0, 1], "feature": "AAAAAA=="}]}', "none": '{"objects": []}',
    "no base64": '{"num_boxes": 1, "features": "\\u00e9"}',
    "several": '{"objects": [{"rect": [0,0,1,1], "feature": "AAAAAA=="}, '
    '{"rect": [0,0,1,1], "feature": "AAAAAAAAAAA="}]}',
}  # fmt: skip


@pytest.mark.parametrize("kind", VINVL)
def test_rows_of_vinvl_that_cannot_be(kind: str, tmp_path: Path) -> None:
    file = WRITERS["vinvl"](tmp_path, GOOD).files[0]
    (tmp_path / "feature.lineidx").unlink()
    with open(file, "a") as opened:
        opened.write(f"3\t{VINVL[kind]}\n")
    text = said(file)
    assert "feature.tsv, line 3" in text


def test_what_unpacks_without_end(tmp_path: Path) -> None:
    rows = "".join(bottom_up_row(p) + "\n" for p in GOOD).encode()
    long = rows + (b"9\t1\t1\t1\tAAAA\t" + b"A" * 2**21 + b"\n") * 24  # 48 MiB, a thousand-fold
    (tmp_path / "x.gz").write_bytes(gzip.compress(long))
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.tsv", long)
    for name in ("x.gz", "x.zip"):
        with pytest.raises(DataError, match=r"unpacks to more than 200 times its size"):
            read(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("photo.jpg", b"x")
    with pytest.raises(DataError, match=r"y\.zip: no \.tsv in this zip archive"):
        read(tmp_path / "y.zip")


def test_a_row_without_end(tmp_path: Path) -> None:
    with open(tmp_path / "x.tsv", "wb") as file:
        file.write(bottom_up_row(GOOD[0]).encode() + b"\n")
        file.truncate(2**27)
    with pytest.raises(DataError, match=r"x\.tsv, line 2: a row of more than 67,108,864 bytes"):
        read(tmp_path / "x.tsv")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.pth", b"PK\3\4" + bytes(60), "x.pth: is pickled: reading it could run code"),
        ("x.pkl", b"\x80\4K\1.", "x.pkl: is pickled"),
        ("data.mdb", bytes(16) + b"\xde\xc0\xef\xbe" + bytes(90), "an LMDB database, which is not"),
        ("x.tsv", b"a\tb\n", "x.tsv: no known form of features .hdf5, npy, folder, vinvl, bot"),
        ("x.tsv", b"", "x.tsv: no known form"),
    ],
)
def test_what_is_not_read_is_refused_in_words(
    name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=reason):
        read(tmp_path / name)
    if name == "data.mdb":
        with pytest.raises(DataError, match=reason):
            convert([tmp_path], tmp_path / "s", DATA)


DAMAGED = (
    "bottom_up", "lxmert", "cocobu", "milvlg", "vinvl", "three_cells", "predictions", "big_npy",
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes_give_features_or_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("x")
    name = data.draw(st.sampled_from(DAMAGED))
    written = WRITERS[name](folder, pictures((1, 2, 3)))
    file = written.files[0]
    file = sorted(file.iterdir())[0] if file.is_dir() else file
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(content), len(content) // 2, len(content) - 3]))
    file.write_bytes(content[:end])
    try:
        done = convert(written.files, folder / "f", DATA, quiet=True, **written.beside)  # type: ignore[arg-type]
    except MiacapError as error:
        assert str(error) and len(str(error)) < 2000
    else:
        assert len(done.store) + len(done.bad) + len(done.missing) == 3


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300), form=st.sampled_from(sorted(FORMS)))
def test_any_bytes_under_any_form_end_in_a_sentence(
    content: bytes, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("x")
    (folder / "x.npy").write_bytes(content)
    with pytest.raises(MiacapError):
        convert([folder / "x.npy"], folder / "f", DATA, form=form, ids=None, quiet=True)
