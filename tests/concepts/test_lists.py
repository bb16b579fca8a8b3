"""Files of word lists: every form, and what is wrong with some."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.concepts.lists import ListFile, read_lists
from miacap.errors import DataError

LISTS = {"a.jpg": ["dog", "grass", "ball"], "b.jpg": ["water"], "42": ["boy", "red"]}


def wrote(folder: Path, text: str) -> Path:
    path = folder / "lists.json"
    path.write_text(text, encoding="utf-8")
    return path


def plain(found: ListFile) -> dict[str, list[str]]:
    return {id: list(one.words) for id, one in found.pictures.items()}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(LISTS),
        json.dumps(LISTS, indent=1),
        "\n" + json.dumps(LISTS, indent=4).replace("\n", "\r\n"),
        json.dumps([{"image_id": id, "image_concepts": words} for id, words in LISTS.items()]),
        "\n".join(json.dumps({"id": id, "concepts": words}) for id, words in LISTS.items()),
        "\n\n".join(json.dumps({"concepts": w, "file_name": i}) for i, w in LISTS.items()) + "\n",
        json.dumps([{"image_id": 42 if id == "42" else id, "image_concepts": words}
                    for id, words in LISTS.items()], indent=2),
    ],
)  # fmt: skip
def test_every_form_says_the_same(tmp_path: Path, text: str) -> None:
    found = read_lists(wrote(tmp_path, text))
    assert plain(found) == LISTS
    assert not found.with_probabilities and not found.unread and not found.twice
    packed = tmp_path / "lists.json.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert plain(read_lists(packed)) == LISTS


def test_one_picture_is_a_file_too(tmp_path: Path) -> None:
    assert plain(read_lists(wrote(tmp_path, '{"a": ["dog"]}'))) == {"a": ["dog"]}
    assert plain(read_lists(wrote(tmp_path, '{"id": 7, "concepts": ["dog"]}'))) == {"7": ["dog"]}


@given(
    st.dictionaries(
        st.text(max_size=8), st.lists(st.text(max_size=6), min_size=1, max_size=4), min_size=1
    ),
    st.sampled_from([None, 0, 2]),
)
def test_whatever_json_can_hold_comes_back(
    tmp_path_factory: pytest.TempPathFactory, lists: dict[str, list[str]], indent: int | None
) -> None:
    """Ids and words with quotes, braces, line breaks and blanks: the cursor never loses its way."""
    path = wrote(tmp_path_factory.mktemp("any"), json.dumps(lists, indent=indent))
    if any(name in lists for name in ("concepts", "image_concepts")) and indent is None:
        return  # one line that looks like a row of JSON Lines is one
    expected = {
        id: list(dict.fromkeys(word.strip().lower() for word in words))
        for id, words in lists.items()
    }
    assert plain(read_lists(path)) == expected


def test_words_are_lowered_and_kept_once(tmp_path: Path) -> None:
    found = read_lists(wrote(tmp_path, '{"a": [" Dog", "ball", "dog", "BALL ", "hot dog"]}'))
    assert plain(found) == {"a": ["dog", "ball", "hot dog"]}
    assert found.repeated == 2


def test_probabilities_rank_and_ties_keep_the_order(tmp_path: Path) -> None:
    row = {"id": "a", "concepts": ["x", "y", "z", "y"], "probabilities": [0.5, 0.9, 0.5, 1]}
    found = read_lists(wrote(tmp_path, json.dumps(row)))
    assert found.with_probabilities
    assert found.pictures["a"].words == ("y", "x", "z")
    assert found.pictures["a"].probabilities == (1.0, 0.5, 0.5)


def test_places_are_file_and_line(tmp_path: Path) -> None:
    path = wrote(tmp_path, '{\n\n"a": ["dog"],\n "b": [\n"ball"]}\n')
    found = read_lists(path)
    assert [one.where for one in found.pictures.values()] == [f"{path}, line 3", f"{path}, line 4"]


def test_a_picture_listed_twice_keeps_its_first_list(tmp_path: Path) -> None:
    path = wrote(tmp_path, '{"a": ["dog"],\n"b": ["cat"],\n"a": ["ball"]}')
    found = read_lists(path)
    assert plain(found) == {"a": ["dog"], "b": ["cat"]}
    (twice,) = found.twice
    assert (twice.id, twice.where) == ("a", f"{path}, line 3")
    assert twice.reason == f"'a' was already listed at {path}, line 1"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "b"}, 'no "concepts"'),
        ({"id": "b", "concepts": "dog"}, "concepts are a list of words, not str"),
        ({"id": "b", "concepts": []}, "its list is empty"),
        ({"id": "b", "concepts": ["dog", 3]}, "concept 2 is 3, no word"),
        ({"id": "b", "concepts": [["dog", 0.5]]}, 'concept 1 is ["dog", 0.5], no word'),
        ({"id": "b", "concepts": ["dog"], "probabilities": []}, "1 word needs as many"),
        ({"id": "b", "concepts": ["dog"], "probabilities": [0]}, "probability 1 is 0, not above"),
        ({"id": "b", "concepts": ["dog"], "probabilities": [1.5]}, "probability 1 is 1.5"),
        ({"id": "b", "concepts": ["dog"], "probabilities": [True]}, "probability 1 is true"),
        ({"id": "b", "concepts": ["dog"], "probabilities": [float("nan")]}, "is NaN"),
        ({"id": "b", "concepts": ["dog"], "probabilities": ["1"]}, 'probability 1 is "1"'),
    ],
)
def test_a_list_that_makes_no_sense_is_set_aside(tmp_path: Path, row: object, reason: str) -> None:
    good = json.dumps({"id": "a", "concepts": ["dog"]})
    path = wrote(tmp_path, f"{good}\n{json.dumps(row)}\n")
    found = read_lists(path)
    assert plain(found) == {"a": ["dog"]}
    (aside,) = found.unread
    assert aside.where == f"{path}, line 2" and aside.reason.startswith("'b': ")
    assert reason in aside.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"lists\.json: no list of words in this file\.$"),
        ("{}", r"no list of words in this file\.$"),
        ('{"a": []}', r"no list .*; the first row, .*lists\.json, line 1: 'a': its list is empty"),
        ('{"a": ["dog"],\n"b": ["cat"', r"lists\.json, line 2, column 12: not JSON"),
        ('{"a": ["dog"]\n"b": ["cat"]}', r"line 2, column 1: not JSON \('}' is expected here\)"),
        ('{"a": ["dog"],\n}', r"line 2, column 1: not JSON"),
        ('{"a": ["dog"]} {"b": ["cat"]}', r"line 1, column 16: not JSON \(nothing may follow"),
        ('{"a" ["dog"]}', r"line 1, column 6: not JSON \(':' is expected here\)"),
        ('{\n 3: ["dog"]}', r"line 2, column 3: not JSON \(a picture's id in quotes"),
        ('{"id": "a", "concepts": ["dog"]}\n{"id": "b"', r"lists\.json, line 2, column 11"),
        ('[{"image_id": 1, "image_concepts": ["dog"]},\n7]', "line 2: expected a JSON object"),
        ('[{"image_concepts": ["dog"]}]', "line 1: no picture is named.*found 'image_concepts'"),
        ('{"concepts": ["dog"]}', 'line 1: no picture is named; write its "id" .found'),
        ('{"id": true, "concepts": ["dog"]}', "line 1: id is true, neither text nor a whole"),
        ('[{"image_id": 42.0, "concepts": ["dog"]}]', "line 1: image_id is 42.0, neither text"),
        ("dog", r"lists\.json, line 1, column 1: not JSON"),
        ('{"id": "a", "concepts": ["x"], "probabilities": [1]}\n{"id": "b", "concepts": ["x"]}',
         r"line 2: no probabilities, but .*line 1 has some; give them for every picture"),
        ('{"a": ' + "[" * 100_000, "line 1: cannot be read .nested more than 100 levels"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_lists_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_lists(wrote(tmp_path, text))


def test_no_file_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: there is no such file"):
        read_lists(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes('{"a": ["café"]}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.json, line 1: byte 12 .* is not UTF-8"):
        read_lists(tmp_path / "latin.json")
