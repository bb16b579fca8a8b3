"""The page of measurements: made from its numbers alone, and every row says how it was made."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import extraction  # noqa: E402
import page  # noqa: E402  # beside the benchmarks; they are no package
from pairs import Row, Times, command, in_turns, save  # noqa: E402

NUMBERS = json.loads(page.NUMBERS.read_text(encoding="utf-8"))
PROGRAMS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem not in ("pairs", "page")
)


def test_the_page_is_made_from_its_numbers() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert page.page(text, NUMBERS) == text, "run: python benchmarks/page.py"


def test_every_benchmark_has_its_rows_on_the_page() -> None:
    assert sorted(NUMBERS) == PROGRAMS
    for name, measured in NUMBERS.items():
        assert measured["command"].startswith(f"python benchmarks/{name}.py")
        assert measured["rows"] or measured["curves"]
        assert measured["machine"]["processor"] and measured["machine"]["load"] is not None


def test_every_benchmark_explains_itself() -> None:
    for name in PROGRAMS:
        text = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert re.search(rf"python benchmarks/{name}\.py", text)
        assert "--json" in text and "save(" in text


def test_a_command_is_told_as_it_was_typed() -> None:
    typed = ["/somewhere/benchmarks/spice.py", "--json", "x.json", "--rounds", "1"]
    assert command(typed) == "python benchmarks/spice.py --rounds 1"


@pytest.mark.parametrize(
    ("kept", "told"), [(True, "freed memory kept"), (False, "memory as it comes")]
)
def test_rows_say_in_which_way_memory_was_had(
    monkeypatch: pytest.MonkeyPatch, kept: bool, told: str
) -> None:
    """Not in the way that was asked for, where the C library or the user decides otherwise."""
    written: list[Row] = []
    monkeypatch.setattr(sys, "argv", ["extraction.py"])
    monkeypatch.setattr(extraction, "keep_freed", lambda: kept)
    monkeypatch.setattr(extraction.torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(extraction, "Album", lambda *_: SimpleNamespace(files={"1.jpg": b"1"}))
    monkeypatch.setattr(extraction, "_parts", lambda album: {})
    times = {"network": (1.0, 2.0), "all": (3.0, 4.0)}
    monkeypatch.setattr(extraction, "_taken", lambda sides, rounds: times)
    monkeypatch.setattr(
        extraction, "_elsewhere",
        lambda way, options: extraction._by_size(way, 8, 1) if way == "sizes" else None,
    )  # fmt: skip
    monkeypatch.setattr(extraction, "save", lambda path, rows, **more: written.extend(rows))
    extraction.main()
    assert [row.note for row in written] == [told, told]


def test_photos_of_each_size_have_a_row() -> None:
    parts = ("network", "decoding", "scaling", "checksums", "writing", "all")
    times = {name: [0.002 * (at + 1), 9.0] for at, name in enumerate(parts)}
    numbers = {"rows": [], "command": "", "machine": NUMBERS["extraction"]["machine"]}
    sizes = {"1 x 2": {"photos": 2, "kilobytes": 8.6, "times": times}}
    told = page.table({"extraction": {**numbers, "photos": sizes}})
    row = "| 1 x 2 | 9 | 1.00 | 2.00 | 3.00 | 4.00 | 5.00 | 6.00 | 166.7 | 17 % of 1000.0 |"
    assert row in told.splitlines()
    assert "by the size" not in page.table({"extraction": numbers})


def test_ratios_follow_from_the_times() -> None:
    for measured in NUMBERS.values():
        for row in measured["rows"]:
            ours, theirs = row["ours"]["least"], row["theirs"]["least"]
            expected = ours / theirs if row["is_limit"] else theirs / ours
            assert row["ratio"] == pytest.approx(expected)


def test_a_row_tells_speed_beside_a_peer_and_cost_beside_a_limit() -> None:
    ours, other = Times(2.0, 3.0), Times(8.0, 9.0)
    assert "4.00 times as fast" in Row("work", "peer", ours, other).text()
    assert "4.00 times the limit" in Row("work", "limit", other, ours, is_limit=True).text()


def test_sides_take_turns_and_the_first_turn_does_not_count() -> None:
    calls: list[str] = []
    ticks = iter(range(100))
    sides = {"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}

    def clock(work: object) -> float:
        work()  # type: ignore[operator]
        return float(next(ticks))

    times = in_turns(sides, 3, clock)
    assert calls == ["one", "two", "one", "two", "two", "one", "one", "two"]
    assert times == {"one": Times(0.0, 3.0), "two": Times(1.0, 2.0)}


def test_make_bench_runs_them_all() -> None:
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "bench"], cwd=ROOT, capture_output=True, text=True
    )
    for name in PROGRAMS:
        assert f"benchmarks/{name}.py" in done.stdout
    assert "benchmarks/pairs.py" not in done.stdout


def test_a_benchmark_makes_the_folder_of_its_numbers(tmp_path: Path) -> None:
    row = Row("work", "peer", Times(2.0, 3.0), Times(8.0, 9.0))
    save(tmp_path / "bench" / "some.json", [row], more=3)
    written = json.loads((tmp_path / "bench" / "some.json").read_text(encoding="utf-8"))
    assert written["rows"][0]["ratio"] == 4.0 and written["more"] == 3
