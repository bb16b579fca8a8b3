"""What several verbs print: what was set aside, by reason."""

import pytest

from miacap.cli.reporting import report_set_aside
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
