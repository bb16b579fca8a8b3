"""Every form of caption file, and every mistake in one, with its words."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.errors import DataError
from miacap.metrics.files import read_candidates, read_references, read_rows

EXPECTED = {"1": ["A dog.", "The dog, running"], "2": ["A cat"]}
ROWS = [("1", "A dog."), ("1", "The dog, running"), ("2", "A cat")]

FORMS = {
    "coco": json.dumps(
        {
            "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}],
            "annotations": [
                {"id": 10 + n, "image_id": int(key), "caption": c}
                for n, (key, c) in enumerate(ROWS)
            ],
        }
    ),
    "results": json.dumps([{"image_id": int(key), "caption": c} for key, c in ROWS]),
    "karpathy": json.dumps(
        {
            "images": [
                {
                    "cocoid": int(k),
                    "filename": "x",
                    "sentences": [{"raw": c, "tokens": []} for c in v],
                }
                for k, v in EXPECTED.items()
            ]
        }
    ),
    "dictionary": json.dumps(EXPECTED),
    "annotation dictionary": json.dumps(
        {k: [{"caption": c} for c in v] for k, v in EXPECTED.items()}
    ),
    "lines": "\n".join(json.dumps({"id": k, "caption": c}) for k, c in ROWS) + "\n",
    "lines of lists": "\n".join(
        json.dumps({"file_name": k, "captions": v}) for k, v in EXPECTED.items()
    ),
    "csv": 'image_id,caption\r\n1,A dog.\r\n1,"The dog, running"\r\n2,A cat\r\n',
    "csv columns": 'id,caption_1,caption_2\n1,A dog.,"The dog, running"\n2,A cat,\n',
    "semicolons": "Photo;Caption\n1;A dog.\n1;The dog, running\n2;A cat\n",
    "flickr30k": "image_name| comment_number| comment\n"
    "1| 0| A dog.\n1| 1| The dog, running\n2| 0| A cat\n",
    "tsv": "id\tcaption\n1\tA dog.\n1\tThe dog, running\n2\tA cat\n",
    "flickr": "1#0\tA dog.\n1#1\tThe dog, running\n2#0\tA cat\n",
}


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "captions"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_references_of_every_form(form: str, packed: bool, tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + FORMS[form].encode()
    path = write(tmp_path, gzip.compress(data) if packed else data)
    assert read_references(path) == EXPECTED


@pytest.mark.parametrize("form", FORMS)
def test_two_captions_for_a_picture_are_no_candidate(form: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 ids have more than one candidate: 1\. A picture"):
        read_candidates(write(tmp_path, FORMS[form]))


def test_candidates(tmp_path: Path) -> None:
    lines = [
        '{"id": "a.jpg", "caption": "x", "log_probability": -3.2}',
        "",
        '{"id": 7, "caption": ""}',
    ]
    assert read_candidates(write(tmp_path, "\n".join(lines))) == {"a.jpg": "x", "7": ""}
    assert read_candidates(write(tmp_path, '{"id": "a.jpg", "caption": "x"}')) == {"a.jpg": "x"}
    assert read_candidates(write(tmp_path, '{"a": "x", "b": ["y"]}')) == {"a": "x", "b": "y"}


def test_a_row_with_an_error_gives_no_candidate(tmp_path: Path) -> None:
    text = '{"id": "a.jpg", "error": "broken"}\n{"id": "b.jpg", "caption": "x"}\n'
    assert read_candidates(write(tmp_path, text)) == {"b.jpg": "x"}


def test_captions_keep_their_characters(tmp_path: Path) -> None:
    lines = [
        r'{"id": "a", "caption": "one\nline\u2028\ud800\u0000 \t"}',
        '{"id": "b", "caption": "é"}',
    ]
    found = read_candidates(write(tmp_path, "\n".join(lines)))
    assert found == {"a": "one\nline\u2028\ud800\x00 \t", "b": "é"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("[1,", "line 1, column 4: not JSON"),
        ('{\n"a": "x",\n"a": "y"}', "the key 'a' occurs twice in one object"),
        ('{"id": 1, "caption": "x"}\n{"id": 2, "caption"\n', "line 2, column 20: not JSON"),
        ('{"id": 1, "caption": "x"}\n{"id": 2, "id": 3, "caption": "x"}\n', "line 2: the key 'id'"),
        ('[{"caption": "x"}]', r"entry 1: no id; name it one of image_id, cocoid, id"),
        (
            '[{"image_id": 1}]',
            r"entry 1: no caption; name it one of references, reference, captions",
        ),
        ('[{"image_id": 1.5, "caption": "x"}]', "entry 1: an id is a non-empty text or a whole"),
        ('[{"image_id": true, "caption": "x"}]', "a whole number, not True"),
        ('[{"image_id": 1, "caption": null}]', "entry 1: a caption is text or a list of texts"),
        ('["x"]', "entry 1: expected an object with an id and a caption, got 'x'"),
        ('{"images": [{"id": 1}]}', "COCO images without annotations"),
        ("img,desc\n1,dog\n", "line 1: no column names the picture; call it image_id"),
        ("image,captoin\n1,dog\n", "no column names the caption.*Did you mean 'caption'"),
        ("caption\na dog\n", "line 1: no column names the picture"),
        ("a man\thttp://x.y/z.jpg\n", "line 1: no column names the picture"),
        ('id,caption\n1,"x\n', "line 2: not CSV"),
        (b'{"a": "\xff"}', r"line 1: byte 8 of the line \(0xff\) is not UTF-8"),
        (b"\x1f\x8bnonsense", "damaged gzip file"),
        ("[" * 100_000, "cannot be read .nested more than 100 levels deep"),
        (
            f'[{{"image_id": {"9" * 5000}, "caption": "x"}}]',
            "cannot be read .a number of 5,000 digits; at most 300",
        ),
        (f'{{"id": 1, "caption": "x"}}\n{{"id": {"9" * 5000}}}\n', "cannot be read|line 2: not"),
    ],
)
def test_wrong_files_say_what_is_wrong(text: str | bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_references(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; name a file"):
        read_references(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_references(tmp_path / "nothing.json")


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), data)
        try:
            for row in read_rows(path):
                assert row.id
        except DataError as error:
            assert str(path) in str(error)
