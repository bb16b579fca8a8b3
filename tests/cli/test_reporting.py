"""What several verbs print: what was set aside, by reason; lists and tables in 80 columns."""

import pytest

from miacap.cli.reporting import filled, report_set_aside, table
from miacap.data.dataset import SetAside


def test_lost_photos_are_not_hidden_behind_blank_captions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    blank = [SetAside(f"{n}.jpg", f"c.csv, line {n}", "blank caption") for n in range(10)]
    lost = [SetAside(f"x{n}.jpg", "c.csv, line 50", "no such photo") for n in range(2)]
    lost.append(SetAside("y.jpg", "c.csv, line 60", "no such photo (but 'Y.jpg' is there)"))
    report_set_aside([*blank, *lost])
    assert capsys.readouterr().err.splitlines() == [
        "set aside: 13",
        "  no such photo: 3",
        "    c.csv, line 50: 'x0.jpg'",
        "    c.csv, line 50: 'x1.jpg'",
        "    and 1 more",
        "  blank caption: 10",
        "    c.csv, line 0: '0.jpg'",
        "    c.csv, line 1: '1.jpg'",
        "    and 8 more",
    ]


def test_many_reasons_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    report_set_aside([SetAside("", f"line {n}", f"fault {n}") for n in range(12)])
    assert capsys.readouterr().err.splitlines()[-1] == "  and 2 other reasons"


def test_a_list_is_set_in_lines_and_no_item_is_broken() -> None:
    numbers = [f"score {n} 0.1234" for n in range(6)]
    assert filled("runs/a: best on dev", numbers) == (
        "runs/a: best on dev: score 0 0.1234, score 1 0.1234, score 2 0.1234,\n"
        "    score 3 0.1234, score 4 0.1234, score 5 0.1234"
    )
    assert filled("x", ["a\x1b", "b"]) == "x: a\\x1b, b"
    assert filled("x", []) == "x: -"
    whole = f"h: {'a' * 70}, bbb"
    assert len(whole) == 78 and filled("h", ["a" * 70, "bbb"]) == whole
    for more in range(6):  # never wider than 80, with the comma at the end of a line
        lines = filled("h", ["a" * (66 + more), "bbb", "c"]).splitlines()
        assert max(map(len, lines)) <= 80, lines
    long = "/a/path" * 20
    assert filled(long, ["a", "b"]) == f"{long}: a,\n    b"


def test_a_table_that_is_too_wide_has_its_long_first_cells_on_lines_of_their_own() -> None:
    rows = [{"run": "runs/" + "r" * 40, "state": "finished" + "-" * 30, "CIDEr-D": "0.5"},
            {"run": "runs/a", "state": "laid", "CIDEr-D": "-"}]  # fmt: skip
    assert table(rows).splitlines() == [
        f"run     {'state':>38}  CIDEr-D",
        f"runs/{'r' * 40}",
        f"        {'finished' + '-' * 30}      0.5",
        f"runs/a  {'laid':>38}        -",
    ]
    narrow = [{**row, "state": "laid"} for row in rows]
    assert table(narrow).splitlines() == [
        f"run{'':42}  state  CIDEr-D",
        f"runs/{'r' * 40}   laid      0.5",
        f"runs/a{'':39}   laid        -",
    ]
    # Where others than the first cells are what is long, nothing is gained.
    hot = [{"word": "dog", "heat map": "heat/" + "h" * 90}]
    assert len(table(hot).splitlines()) == 2
