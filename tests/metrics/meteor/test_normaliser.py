"""METEOR's own normaliser, step by step and against the official one."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.metrics.meteor.normaliser import normalise

pytestmark = pytest.mark.usefixtures("tables")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("A  man\ton a 2nd\nwave", "a man on a 2nd wave"),
        ("50% off", "50 % off"),  # 1: symbols
        ("wait...what", "wait ... what"),  # 2: runs of periods
        ("1,000 dogs,cats 3,a", "1,000 dogs , cats 3 , a"),  # 3: commas
        ("`a' \u201cb\u201d ''c", '\' a \' " b " " c'),  # 4: quotes
        ("old-fashioned a-b-c", "old fashioned a b-c"),  # 5: one pass, so the last stays
        ("dog's husky 's 1980's o'clock", "dog 's husky ' s 1980 's o 'clock"),  # 6: apostrophes
        ("the u.s. at 5 p.m. vs. end. Dr. No. 5", "the us at 5 pm vs. end . dr. no. 5"),  # 7
        ("stop. go. Now", "stop. go . now"),  # 7: a small letter follows
        ("a\u00a0b\u2003c", "a b c"),  # 8: blanks
        ("", ""),
        (" \n ", ""),
    ],
)
def test_steps(line: str, words: str) -> None:
    assert normalise(line) == words.split()


@given(st.text(alphabet="ab1.,-'`\u2019\u2013\" %\u00e9\u4e2d\ud800\x00\n\t", max_size=30))
def test_any_line_gives_small_words_without_blanks(line: str) -> None:
    for word in normalise(line):
        assert word
        assert word == word.lower()
        assert not set(word) & set(" \t\n\r")


@given(st.text(alphabet="abz019 ", max_size=40))
def test_plain_lines_only_lose_blanks(line: str) -> None:
    """The short way for plain lines gives what the steps give (a symbol forces the steps)."""
    assert normalise(line) == line.split()
    assert normalise(line + " %") == [*line.split(), "%"]


def _golden(shared: Path) -> dict[str, list[list[str]]]:
    with gzip.open(shared / "metrics" / "meteor_normalizer.json.gz", "rt") as file:
        content: dict[str, list[list[str]]] = json.load(file)
    return content


def test_adversarial_lines(shared: Path) -> None:
    rows = _golden(shared)["adversarial"]
    assert len(rows) > 3000
    assert [before for before, after in rows if " ".join(normalise(before)) != after] == []


def test_coco_lines(shared: Path) -> None:
    """All 202,654 lines of COCO's validation captions: 4,495 change, the others must not."""
    changed = {number: after for number, _, after in _golden(shared)["coco"]}
    path = shared / "metrics" / "tokens_nopunct.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")[:-1]
    wrong = [
        line
        for number, line in enumerate(lines)
        if " ".join(normalise(line)) != changed.get(number, line)
    ]
    assert len(lines) == 202_654
    assert wrong == []
