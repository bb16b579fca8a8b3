"""Ids that do not fit, empty references, and what is said about both."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from miacap.cli import application
from miacap.errors import DataError, UnknownName
from miacap.metrics import score
from miacap.metrics.id_forms import in_form, offer
from miacap.metrics.matching import match

WORDS = ["BLEU-1", "ROUGE-L"]


def test_paths_are_read_and_what_they_say_is_a_warning(tmp_path: Path) -> None:
    known, given = tmp_path / "known.csv", tmp_path / "given.json"
    known.write_text("id,caption,x\n1,a dog,\n1,a cat\n2,a man,\n")
    given.write_text('{"1": "a dog", "2": NaN}')
    scores = score(known, str(given), WORDS)
    assert scores["ROUGE-L"] == 0.5
    said = " ".join(scores.warnings)
    assert "1 row was set aside; the first: " in said and "2 cells for 3 columns" in said
    assert 'given.json: 1 caption says "nan"' in said
    given.write_text('{"1": "a dog"}')
    with pytest.raises(DataError, match=r"1 picture without a candidate: 2\..* set aside"):
        score(known, given, WORDS)


def test_empty_references_are_left_out_with_a_count_or_counted() -> None:
    references = {"a": ["juice", "", " ", ""], "b": ["a dog"]}
    candidates = {"a": "juice", "b": "a dog"}
    pairs = match(references, candidates)
    assert pairs.references == (("juice",), ("a dog",))
    assert pairs.notes == (
        "left out: 3 empty references of 1 picture; the official evaluation counts them "
        "(--count-empty).",
    )
    kept = match(references, candidates, count_empty=True)
    assert kept.references[0] == ("juice", "", " ", "") and not kept.notes
    alone = score(references, candidates, ["CIDEr-D"])
    counted = score(references, candidates, ["CIDEr-D"], count_empty=True)
    assert alone.per_picture["CIDEr-D"][0] > 2 * counted.per_picture["CIDEr-D"][0] > 0
    assert "empty reference" in " ".join(alone.warnings)
    assert "empty reference" not in " ".join(counted.warnings)


def test_a_picture_with_nothing_but_empty_references_is_named() -> None:
    (note,) = match({"a": ["", ""], "b": ["x"]}, {"a": "", "b": "x"}).notes
    assert note.startswith("1 picture with nothing but empty references: a; no caption can score")


def test_numpy_integers_are_whole_numbers() -> None:
    references = {np.int64(7): ["a dog"], np.uint8(8): ["a cat"]}
    assert match(references, {"7": "a dog", 8: "a cat"}).ids == ("7", "8")
    for wrong in (np.float64(7), np.bool_(True), True, 7.0, None):
        with pytest.raises(DataError, match="a whole number, not"):
            match({wrong: ["x"]}, {"7": "x"})  # type: ignore[dict-item]


def test_ids_in_two_unicode_forms_meet_and_it_is_said() -> None:
    composed, apart = "café.jpg", "cafe\u0301.jpg"
    pairs = match({apart: ["x"], "a": ["y"]}, {composed: "x", "a": "y"})
    assert pairs.ids == (apart, "a")
    assert pairs.notes == ("1 id differs by Unicode form alone; read as equal.",)
    with pytest.raises(DataError, match=r"two ids are café\.jpg, in two Unicode forms; keep one"):
        match({apart: ["x"], composed: ["y"]}, {composed: "x"})


@pytest.mark.parametrize(
    ("known", "given", "form"),
    [
        (["42", "7"], ["000000000042", "000000000007"], "number"),
        (["391895", "42"], ["COCO_val2014_000000391895.jpg", "COCO_val2014_000000000042.jpg"],
         "number"),
        (["392434", "7"], ["392434.0", "7.0"], "number"),
        (["dog.jpg", "cat.jpg"], ["photos/dog.jpg", "photos/cat.jpg"], "name"),
        (["dog.jpg", "cat.jpg"], ["a\\dog.jpg", "b\\cat.jpg"], "name"),
        (["dog.jpg", "cat.jpg"], ["dog", "cat"], "stem"),
        (["dog.v2.jpg", "cat.PNG"], ["x/dog.v2.png", "cat"], "stem"),
    ],
)  # fmt: skip
def test_a_form_that_makes_all_ids_fit_is_offered_and_taken_when_asked(
    known: list[str], given: list[str], form: str
) -> None:
    references = {id: [f"a {id}"] for id in known}
    candidates = {id: f"a {other}" for id, other in zip(given, known, strict=True)}
    with pytest.raises(DataError, match=rf"With --ids {form} all of them fit: ") as caught:
        match(references, candidates)
    assert "No id is on both sides: references have " in str(caught.value)
    assert repr(known[0]) in str(caught.value) and repr(given[0]) in str(caught.value)
    pairs = match(references, candidates, ids=form)
    assert pairs.candidates == tuple(f"a {id}" for id in known)
    assert pairs.notes == (f"ids are compared by their {form}.",)
    assert score(references, candidates, WORDS, ids=form)["ROUGE-L"] == 1


def test_no_form_is_offered_where_ids_would_fall_together_or_still_not_fit() -> None:
    assert offer(["a/1.jpg", "b/1.jpg"], ["1", "2"]) == ""
    assert offer(["1", "2"], ["003", "004"]) == ""
    assert offer(["dog"], ["cat"]) == ""
    assert offer(["a/1.jpg", "a/2.jpg"], ["a/1.jpg"]) == ""
    assert offer(["a/1.jpg"], ["a/2.jpg", "a/1.jpg"]) == ""
    assert offer(["1", "2", "3"], ["01", "02"]).startswith(" With --ids number --allow-missing ")
    with pytest.raises(DataError, match=r"references: a/1\.jpg and b/1\.jpg would both be 1\.jpg"):
        in_form(["a/1.jpg", "b/1.jpg"], "name", "references")
    with pytest.raises(UnknownName, match=r"No form of ids named 'nunber'\. Did you mean 'number'"):
        match({"1": ["x"]}, {"01": "x"}, ids="nunber")


def test_missing_pictures_may_be_allowed_only_where_others_are_left() -> None:
    with pytest.raises(DataError, match=r"candidate: a/2\.jpg\. Allow missing .* the others\.$"):
        match({"a/1.jpg": ["x"], "a/2.jpg": ["x"]}, {"a/1.jpg": "x"})
    with pytest.raises(DataError, match="No id is on both sides") as caught:
        match({"dog": ["x"]}, {"cat": "x"})
    assert "llow" not in str(caught.value)


def test_long_ids_make_no_long_message() -> None:
    with pytest.raises(DataError) as caught:
        match({"a" * 10_000: ["x"]}, {"b" * 10_000: "x"})
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("caption", "warns"),
    [("一只狗在草地上跑步", True), ("一只 狗 在 草地 上 跑步", False), ("สุนัขวิ่งบนหญ้า", True),
     ("a dog 一只狗", False), ("собака бежит", False)],
)  # fmt: skip
def test_scripts_without_blanks_are_warned_of(caption: str, warns: bool) -> None:
    warnings = score({"a": [caption] * 5}, {"a": caption}, WORDS).warnings
    assert any("script without blanks between words" in text for text in warnings) == warns


@pytest.mark.parametrize(
    "token", ["startseq", "<start>", "<pad>", "<unk>", "</s>", "[SEP]", "<sos>"]
)
def test_special_tokens_are_warned_of(token: str) -> None:
    warnings = score({"a": ["a dog"] * 5}, {"a": f"{token} a dog"}, WORDS).warnings
    assert any("1 of 1 candidate holds special tokens" in text for text in warnings)
    plain = score({"a": ["a dog"] * 5}, {"a": "a startseqs dog, start"}, WORDS).warnings
    assert not any("special" in text for text in plain)


def test_the_command_takes_ids_and_empty_references(tmp_path: Path) -> None:
    known, given = tmp_path / "known.json", tmp_path / "given.json"
    known.write_text(json.dumps({"7": ["a dog", ""]}))
    given.write_text(json.dumps({"007": "a dog"}))
    command = ["score", str(known), str(given), "-m", "ROUGE-L", "--resamples", "0"]
    run = CliRunner().invoke(application.app, [*command, "--ids", "number", "--diversity"])
    assert run.exit_code == 0 and "1.0000" in run.output
    assert "left out: 1 empty reference of 1 picture" in run.stderr
    run = CliRunner().invoke(application.app, [*command, "--ids", "number", "--count-empty"])
    assert run.exit_code == 0 and "left out" not in run.stderr
