import pytest

from miacap.progress import Progress


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("reading", total=3, unit="photos") as progress:
        progress.advance(2)
        progress.note("one was broken")
        progress.advance()
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert first == "one was broken"
    assert last.startswith("reading: 3 photos, ")


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("reading", quiet=True) as progress:
        progress.advance()
        progress.note("hidden")
    assert capsys.readouterr() == ("", "")
