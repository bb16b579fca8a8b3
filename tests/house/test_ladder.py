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


def test_results_name_the_best_published_number_as_readme_and_its_source_have_it() -> None:
    best = max(
        json.loads(ladder.PUBLISHED.read_text(encoding="utf-8")),
        key=lambda one: one.get("CIDEr-D, beam 5", one["CIDEr-D"]),
    )
    three, five = (f"{best[name]:.3f}"[1:] for name in ("CIDEr-D", "CIDEr-D, beam 5"))
    row = (
        f"| best published small model: [{best['what']}]({best['from']}), beam 5 "
        f"({three} with beam 3, as in README's table) | - | {five} |"
    )
    assert row in ladder.PAGE.read_text(encoding="utf-8")
    assert f"| test | {best['BLEU-4']:.3f} | {best['ROUGE-L']:.3f} | 0{three} |" in (
        ladder.README.read_text(encoding="utf-8")
    )


@pytest.mark.slow
def test_the_numbers_are_those_of_the_captions(shared: Path) -> None:
    assert ladder.scored(str(shared / "flickr8k")) == ROWS
