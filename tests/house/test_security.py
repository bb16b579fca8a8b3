"""docs/security.md promises what a test holds."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "promise |" not in line]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:60] for row in ROWS])
def test_a_promise_names_tests_that_exist(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert named, row
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_there_are_promises() -> None:
    assert len(ROWS) > 20


def test_nothing_is_unpickled() -> None:
    words = (
        r"(?:import|from) pickle|\bpickle\.\w|\.load_module|np\.load\(|allow_pickle"
        r"|(?<![.\w])eval\(|(?<![.\w])exec\(|(?<!safetensors\.)torch\.load\((?!.*weights_only=True)"
    )
    for file in (ROOT / "src" / "miacap").rglob("*.py"):
        code = re.sub(r'"""(?:.|\n)*?"""|#.*', "", file.read_text(encoding="utf-8"))
        assert not re.findall(words, code), file.name
