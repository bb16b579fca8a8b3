"""`miacap caption --scores`, `--best` and `--alt`: what each form shows, and what is refused."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from miacap import captioning
from miacap.captioning import Candidate, Row
from miacap.captioning.candidates import Word
from miacap.cli.application import _invoke
from miacap.runs import Confidence


def candidate(text: str, per_word: float) -> Candidate:
    return Candidate(text, 2 * per_word, per_word, (Word("dog", per_word), Word("", per_word)))


ROWS = (
    Row("a.jpg", "A dog.", -1.0, per_word=-0.5, confidence=Confidence(0.25, False, False),
        candidates=(candidate("A dog.", -0.5), candidate("A cat.", -0.625))),
    Row("b.jpg", error="b.jpg: there is no such photo."),
    Row("c.jpg", "A hat.", -3.0, per_word=-1.5, confidence=Confidence(None, True, True),
        candidates=(candidate("A hat.", -1.5),)),
    Row("d.jpg", "A tie.", -2.0, per_word=-1.0, candidates=(candidate("A tie.", -1.0),)),
)  # fmt: skip


class Fake:
    def rows(self, photos: object, sharing: object = None) -> Iterator[Row]:
        yield from ROWS

    def why_uncalibrated(self) -> str | None:
        return "r is not calibrated"


def run(*arguments: str) -> int:
    with mock.patch.object(captioning, "load", lambda *_, **__: Fake()):
        return _invoke(["caption", "a", "b", "--run", "r", *arguments])


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--scores") == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "a.jpg\tA dog.\t-0.500\t25% of such captions are wrong",
        "a.jpg\tA cat.\t-0.625",
        "c.jpg\tA hat.\t-1.500\tout of depth",
        "d.jpg\tA tie.\t-1.000\tnot calibrated",
    ]
    assert "note: r is not calibrated: nothing says which captions are probably wrong" in told.err
    assert (
        "warning: 1 of 3 photos is unlike those that the run was calibrated on: how far to trust "
        "its caption is not known (--scores tells which)."
    ) in told.err
    assert run("--best", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["a.jpg\tA dog.", "a.jpg\tA cat.", "c.jpg\tA hat.", "d.jpg\tA tie."]


def test_one_photo_alone_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch.object(Fake, "rows", lambda *_, **__: iter(ROWS[2:3])):
        assert run() == 0
    assert capsys.readouterr().err == (
        "warning: the photo is unlike those that the run was calibrated on: how far to trust the "
        "caption is not known.\n"
    )


def test_json_lines_hold_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--scores", "--format", "jsonl") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [row.record() for row in ROWS]
    assert rows[0]["confidence"] == {"wrong": 0.25, "unsure": False, "out_of_depth": False}
    assert rows[0]["candidates"][1]["words"] == [["dog", -0.625], ["", -0.625]]
    assert rows[1] == {"id": "b.jpg", "error": "there is no such photo."}
    assert rows[3]["confidence"] is None


def test_csv_has_four_more_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--scores", "--format", "csv") == 0
    head, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head[4:] == ["log_probability_per_word", "wrong", "unsure", "out_of_depth"]
    assert [row[4:] for row in rows] == [
        ["-0.5", "0.25", "False", "False"], ["", "", "", ""], ["-1.5", "", "True", "True"],
        ["-1.0", "", "", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--best", "2", "--format", "csv"], "csv has one caption a photo"),
        (["--best", "2", "--format", "coco"], "coco has one caption a photo"),
        (["--scores", "--format", "coco"], "coco has no place for them"),
        (["--limit", "80"], "add --alt"),
        (["--best", "0"], "Invalid value for '--best'"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_calibration_is_of_one_run_by_its_own_search(capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--with", "s"], ["--beam", "2"], ["--length-penalty", "1"], ["--df", "f"]):
        given: list[Any] = ["evaluate", "r", "d", "--features", "f", "--calibrate", *more]
        assert _invoke(given) == 2
        assert "learns of RUN alone" in " ".join(capsys.readouterr().err.split())
