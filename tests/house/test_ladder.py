"""The ladder's table is made from its numbers, and the numbers from the captions that are kept."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "results"))
import ladder  # noqa: E402  # a program, no package

ROWS = json.loads(ladder.NUMBERS.read_text(encoding="utf-8"))


def test_the_tables_are_made_from_the_numbers() -> None:
    for file, made in (
        (ladder.PAGE, ladder.table(ROWS)),
        (ladder.README, ladder.beside_published(ROWS)),
    ):
        text = file.read_text(encoding="utf-8")
        assert f"<!-- ladder -->\n{made}<!-- end -->" in text, "run: python results/ladder.py"
    assert [row["name"] for row in ROWS] == [rung["name"] for rung in ladder.RUNGS]


def test_every_rung_kept_a_caption_for_each_test_photo() -> None:
    for rung in ladder.RUNGS:
        lines = (ladder.HOME / "test" / f"{rung['name']}.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in lines.splitlines()]
        assert len({row["id"] for row in rows}) == 1000
        assert all(row["caption"] for row in rows)


def test_each_rung_is_beside_one_before_it() -> None:
    seen: set[str | None] = {None}
    for rung in ladder.RUNGS:
        assert rung["over"] in seen
        seen.add(rung["name"])


@pytest.mark.slow
def test_the_numbers_are_those_of_the_captions(shared: Path) -> None:
    assert ladder.scored(str(shared / "flickr8k")) == ROWS
