"""Tiny run folders, for whoever asks."""

from types import ModuleType

import pytest

import miacap.captioning.pipeline
import miacap.explain.looking

from . import tiny as module


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What lays tiny run folders, `tiny.py`; photos are seen as its made-up regions."""
    for seeing in (miacap.explain.looking, miacap.captioning.pipeline):
        monkeypatch.setattr(seeing, "regions_for", module.MadeUp)
    return module
