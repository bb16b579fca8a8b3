"""`miacap caption` on photos whose names are not UTF-8."""

import contextlib
import io
import json
from pathlib import Path
from unittest import mock

import pytest

from miacap import captioning
from miacap.captioning import Row
from miacap.cli import main

NAME = "caf\udce9.jpg"  # how Python reads the Latin-1 bytes of a file name


class Fake:
    """A pipeline that says the same of every photo."""

    def rows(self, photos: list[str], sharing: object = None) -> list[Row]:
        return [Row(photo, "A dog runs.", -1.0) for photo in photos]


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_name_that_is_no_text_is_escaped(tmp_path: Path, form: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    arguments = ["miacap", "caption", NAME, "b.jpg", "--run", str(tmp_path), "--format", form]
    with (
        mock.patch("sys.argv", arguments),
        mock.patch.object(captioning, "load", lambda *_, **__: Fake()),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        main()
    out.flush()
    lines = out.buffer.getvalue().decode("utf-8").splitlines()  # type: ignore[attr-defined]
    if form == "jsonl":
        assert [json.loads(line)["id"] for line in lines] == [NAME, "b.jpg"]
    else:
        assert lines == ["caf\\udce9.jpg\tA dog runs.", "b.jpg\tA dog runs."]
