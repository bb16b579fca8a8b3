"""Tiny run folders and a browser, for whoever asks."""

import shutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import miacap.captioning.pipeline
import miacap.explain.looking

from . import tiny as module

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What lays tiny run folders, `tiny.py`; photos are seen as its made-up regions."""
    for seeing in (miacap.explain.looking, miacap.captioning.pipeline):
        monkeypatch.setattr(seeing, "regions_for", module.MadeUp)
    return module


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()
