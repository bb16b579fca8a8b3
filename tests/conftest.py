"""What every test has at hand."""

import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from miacap.text import lexer
from miacap.text.rules import RULES

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
os.environ.setdefault("MIACAP_SPICE_CACHE", "0")  # tests parse, whatever a user's cache holds


@pytest.fixture(scope="session", autouse=True)
def compiled_rules() -> None:
    """Compile the tokenizer's rules first: hypothesis would time the first line that needs them."""
    for rule in RULES:
        lexer._compiled(rule.pattern)
        lexer._compiled(f"[{rule.starts}]")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos and golden results beside the checkout.

    Tests that need it are skipped, with a reason, where it is absent.
    """
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the checkout: real photos and golden results are absent")
    return SHARED


@pytest.fixture(scope="session")
def onnx_files() -> SimpleNamespace:
    """What writes small ONNX files: `onnx_files.py`."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("onnx_files.py"))))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Under CI a golden test that was skipped although ../shared is there is a failure."""
    outcome = yield
    report = outcome.get_result()
    wants = "shared" in getattr(item, "fixturenames", ())
    if report.skipped and wants and SHARED.is_dir() and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped although ../shared is present: {report.longrepr}"
        )
