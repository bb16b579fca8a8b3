"""Every form of caption file, and every mistake in one, with its words."""

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.data import NoPhotos, read
from miacap.errors import DataError
from miacap.metrics.files import FromFile, read_candidates, read_references, read_rows

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
    with pytest.raises(DataError, match=r"1 id has more than one candidate: 1\. A picture"):
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
    with pytest.raises(DataError, match=r"nothing\.json: there is no such file\.$"):
        read_references(tmp_path / "nothing.json")


@pytest.mark.parametrize(("there", "typed"), [("a.json.gz", "a.json"), ("a.json", "a.json.gz")])
def test_no_file_but_a_packed_or_unpacked_one(there: str, typed: str, tmp_path: Path) -> None:
    (tmp_path / there).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read_references(tmp_path / typed)
    said = f"{tmp_path / typed}: there is no such file. There is {tmp_path / there}: name that one."
    assert str(caught.value) == said
    with pytest.raises(DataError, match=r"no such file or folder\. There is .*: name that one"):
        read(tmp_path / typed)


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


# ---- files as people have them ----


def references_of(tmp_path: Path, text: str) -> FromFile[list[str]]:
    return read_references(write(tmp_path, text))


FIVE = ["a dog runs", "it's a dog", "the dog, running", 'a "big" dog', "dogs run"]


@pytest.mark.parametrize(
    "cell",
    [json.dumps(FIVE), str(FIVE), "[" + " ".join(map(repr, FIVE)) + "]", "['a dog runs'\n 'b c']"],
)
def test_a_list_inside_a_cell_is_its_captions(cell: str, tmp_path: Path) -> None:
    expected = FIVE if "b c" not in cell else ["a dog runs", "b c"]
    quoted = '"' + cell.replace('"', '""') + '"'
    text = f'raw,sentids,split,filename,img_id\n{quoted},"[1, 2]",train,a.jpg,0\n'
    assert references_of(tmp_path, text) == {"a.jpg": expected}
    path = write(tmp_path, text)
    assert read(path, photos=NoPhotos()).captions == {"a.jpg": tuple(expected)}
    assert references_of(tmp_path, json.dumps({"a.jpg": cell})) == {"a.jpg": expected}


@pytest.mark.parametrize("cell", ["[a dog]", "[CLS] a dog", "['a dog'", "[1, 2]", "['a']b"])
def test_brackets_that_are_no_list_stay(cell: str, tmp_path: Path) -> None:
    text = json.dumps({"id": "a.jpg", "caption": cell})
    assert references_of(tmp_path, text) == {"a.jpg": [cell]}


@pytest.mark.parametrize(
    "value",
    [["a", "man"], [["a", "man"], ["man"]], [["man"]], {"tokens": ["a", "man"]}, "['a', 'man']",
     [{"tokens": ["a"]}], ["a", "man", "."]],
)  # fmt: skip
def test_captions_cut_into_words_are_refused_by_name(value: object, tmp_path: Path) -> None:
    words = "a caption cut into words; join them with blanks"
    texts = [
        json.dumps([{"image_id": 1, "caption": value}]),
        json.dumps({"1": value}),
        json.dumps({"id": 1, "caption": value}) + "\n" + json.dumps({"id": 2, "caption": "a b"}),
    ]
    for text in texts:
        for reader in (read_references, read_candidates):
            with pytest.raises(DataError, match=words):
                reader(write(tmp_path, text))
    rows = [{"file_name": "1", "caption": value}, {"file_name": "2", "caption": "a dog"}]
    data = read(write(tmp_path, json.dumps(rows)), photos=NoPhotos())
    assert data.captions == {"2": ("a dog",)} and data.set_aside[0].reason.startswith(words)


@pytest.mark.parametrize(
    "value",
    [["One.", "Two."], ["Skiing", "Snow"], ["skiing.", "Snow"], ["一只狗", "两只猫"], ["dog"]],
)
def test_captions_of_one_word_are_captions(value: list[str], tmp_path: Path) -> None:
    assert references_of(tmp_path, json.dumps({"1": value})) == {"1": value}


def test_empty_cells_of_pandas_are_empty_captions(tmp_path: Path) -> None:
    for text in (
        "id,caption\n1,nan\n2,a dog\n",
        '[{"id": 1, "caption": NaN}, {"id": 2, "caption": "a dog"}]',
    ):
        found = read_candidates(write(tmp_path, text))
        assert found == {"1": "", "2": "a dog"}
        assert '1 caption says "nan"' in found.notes[0]
    data = read(write(tmp_path, "file,caption\n1,nan\n1,a dog\n"), photos=NoPhotos())
    assert data.captions == {"1": ("a dog",)} and data.set_aside[0].reason == "blank caption"


@pytest.mark.parametrize(
    ("text", "expected", "aside"),
    [
        ("id,caption\n1,a dog, running\n2,a cat\n", {"1": ["a dog, running"], "2": ["a cat"]}, 0),
        ("id,caption,x\n1,a dog\n2,a cat,y\n", {"2": ["a cat"]}, 1),
        ("a.jpg\ta dog\nb.jpg\ta cat\n", {"a.jpg": ["a dog"], "b.jpg": ["a cat"]}, 0),
        ("a.jpg,a dog, too\nb.jpg,a cat\n", {"a.jpg": ["a dog, too"], "b.jpg": ["a cat"]}, 0),
        ("17\ta dog\n18\ta cat\n", {"17": ["a dog"], "18": ["a cat"]}, 0),
        ('id\tcaption\n1\t"a dog\n2\ta cat"\n', {"1": ['"a dog'], "2": ['a cat"']}, 0),
        ('id|caption\n1|"a dog\n2|a 3" cat\n', {"1": ['"a dog'], "2": ['a 3" cat']}, 0),
        ('id\tcaption\n1\t"a" or "b"\n', {"1": ['"a" or "b"']}, 0),
        ('id\tcaption\n1\t"a ""big"" dog"\n', {"1": ['a "big" dog']}, 0),
        ("a.jpg#0\tx y\nb.jpg z\nc.jpg#0\tw\n", {"a.jpg": ["x y"], "c.jpg": ["w"]}, 1),
        ("a.jpg#0 x y\na.jpg#0\tagain\n", {"a.jpg": ["x y"]}, 1),
        ("a dog runs\n\na cat, too\n", {"1": ["a dog runs"], "2": [""], "3": ["a cat, too"]}, 0),
        ("a dog runs\n", {"1": ["a dog runs"]}, 0),
    ],
)  # fmt: skip
def test_tables_as_data_reads_them(
    text: str, expected: dict[str, list[str]], aside: int, tmp_path: Path
) -> None:
    found = references_of(tmp_path, text)
    assert found == expected
    assert ("set aside" in " ".join(found.notes)) == bool(aside)
    if "a dog runs" not in text and not text.startswith(("id", "17")):
        data = read(write(tmp_path, text), photos=NoPhotos())
        assert {id: list(some) for id, some in data.captions.items()} == expected
        assert len(data.set_aside) == aside


def test_lines_say_that_they_have_no_ids(tmp_path: Path) -> None:
    (note,) = references_of(tmp_path, "a dog runs\na cat\n").notes
    assert note.endswith("captions has no ids; its lines were numbered 1, 2, ...")


def test_results_under_a_key_and_vizwiz(tmp_path: Path) -> None:
    rows = [{"image_id": 1, "caption": "a dog"}]
    for key in ("results", "predictions", "data", "captions"):
        assert read_candidates(write(tmp_path, json.dumps({key: rows}))) == {"1": "a dog"}
    marks = [{}, {"is_rejected": True}, {"is_precanned": True}, {"is_precanned": False}]
    annotations = [
        {"image_id": 0, "caption": f"caption {n}", **mark} for n, mark in enumerate(marks)
    ]
    viz = {"images": [{"id": 0, "file_name": "a.jpg"}], "annotations": annotations}
    found = references_of(tmp_path, json.dumps(viz))
    assert found == {"0": ["caption 0", "caption 3"]}
    assert [note.split(": ", 1)[1] for note in found.notes] == [
        "1 caption left out: rejected by VizWiz' annotators (is_rejected).",
        "1 caption left out: VizWiz' sentence for photos too poor to describe (is_precanned).",
    ]
    data = read(write(tmp_path, json.dumps(viz)), photos=NoPhotos())
    assert data.captions == {"0": ("caption 0", "caption 3")} and len(data.set_aside) == 2


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"annotations": []}', "id,caption\n", "id,caption\r\n\n"]
)
def test_files_without_captions_say_so(text: str, tmp_path: Path) -> None:
    for reader in (read_references, read_candidates):
        with pytest.raises(DataError, match="captions: no captions in this file"):
            reader(write(tmp_path, text))


def test_swapped_files_are_called_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="If this is the file of references, name it first"):
        read_candidates(write(tmp_path, FORMS["coco"]))


def test_each_side_takes_its_own_column(tmp_path: Path) -> None:
    path = write(tmp_path, "id,caption,reference\n1,said,true\n")
    assert read_references(path) == {"1": ["true"]} and read_candidates(path) == {"1": "said"}


def test_names_in_two_unicode_forms_are_one_picture(tmp_path: Path) -> None:
    composed, apart = "café.jpg", "cafe\u0301.jpg"
    assert composed != apart
    found = references_of(
        tmp_path, json.dumps([{"id": n, "caption": n} for n in (apart, composed)])
    )
    assert found == {apart: [apart, composed]}


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FORMS["csv"].encode("utf-16"))))
    assert read_references("-") == EXPECTED
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[1")))
    with pytest.raises(DataError, match=r"^standard input, line 1, column 3: not JSON"):
        read_candidates("-")


def test_the_name_of_a_file_does_not_decide_its_form(tmp_path: Path) -> None:
    text = '{"id": "a", "id": "b", "caption": "x"}\n{"id": "b", "caption": "A dog."}\n'
    for name in ("rows.jsonl", "not JSON.jsonl"):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(DataError) as e:
            list(read_rows(path))
        assert str(e.value) == f"{path}, line 1: the key 'id' occurs twice in one object."
