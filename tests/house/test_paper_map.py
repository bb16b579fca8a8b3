"""Each row of docs/paper-map.md points to code whose source carries the equation's label."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "paper-map.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| paper |")
]


def test_the_map_has_the_papers_equations() -> None:
    papers = " ".join(row[0] for row in ROWS)
    for number in range(1, 6):
        assert re.search(rf"\bEq\. {number}\b", papers), f"Eq. {number} is not in the map"


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_an_equation_lives_where_the_map_says(row: list[str]) -> None:
    assert len(row) == 5, row
    _, label, code, test, _ = row
    target = pkgutil.resolve_name(code.strip("`"))
    module = target if inspect.ismodule(target) else importlib.import_module(target.__module__)
    assert f"[{label.strip('`')}]" in inspect.getsource(module), f"{code} lacks [{label}]"
    file, _, function = test.strip("`").partition("::")
    source = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {function}(" in source, f"{file} has no test {function}"
