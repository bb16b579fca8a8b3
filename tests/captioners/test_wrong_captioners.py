"""The conformance suite fails on captioners that are wrong in a way that it claims to catch."""

import ast
import functools
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from miacap.captioners import conformance, registry

from .wrong_captioners import WRONG, Wrong, gated

SUITE = Path(conformance.__file__).parent
SMALL: dict[str, Any] = {"width": 8, "heads": 2, "inner": 12}


def run(factory: Any, what: str, source: str = "plain", rows: str = "match") -> None:
    """Run one check over a captioner that is registered for the time of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {"wrong": factory})
        for check in conformance.checks("wrong", **SMALL, rows=rows):
            if (check.what, check.source) == (what, source):
                check()
                return
    raise LookupError(what)


@functools.cache
def caught(wrong: Wrong) -> tuple[str, frozenset[tuple[str, int]]]:
    """What the suite says, and the lines of it that were being run."""
    try:
        run(wrong.factory, wrong.check, wrong.source, wrong.rows)
    except AssertionError as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [(Path(f.filename).name, f.lineno or 0) for f in frames if SUITE.name in f.filename]
        return str(error), frozenset(lines)
    return "nothing", frozenset()


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_captioner_is_caught(wrong: Wrong) -> None:
    said, _ = caught(wrong)
    assert re.search(wrong.says, said), said


def test_every_assertion_of_the_suite_can_fail() -> None:
    raised = {line for wrong in WRONG for line in caught(wrong)[1]}
    idle = []
    for path in sorted(SUITE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            calls = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "close"
            if calls or isinstance(node, ast.Assert):
                lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                if not any((path.name, line) in raised for line in lines):
                    idle.append(f"{path.name}:{node.lineno}")
    assert idle == []


def test_a_gate_that_begins_at_exactly_0_reads_what_it_lets_in() -> None:
    """An untrained pass gives the same logits with and without; it is read all the same."""
    run(gated(0.0), "reads")
