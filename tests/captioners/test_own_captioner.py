"""The captioner of examples/: short, registered from outside, and held to every promise."""

import runpy
from pathlib import Path

import pytest

from miacap import captioners
from miacap.captioners import conformance, registry
from miacap.errors import SettingsError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_captioner.py"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered for one test alone: other tests list the names that there are."""
    monkeypatch.setattr(registry, "_registered", {})
    captioners.register("glance", runpy.run_path(str(EXAMPLE))["Glance"])


def test_it_comes_from_outside() -> None:
    assert "glance" in captioners.names()
    assert not type(captioners.build("glance", "plain", words=9)).__module__.startswith("miacap")
    with pytest.raises(SettingsError, match="'glance' cannot be fed 'concepts'"):
        captioners.build("glance", "concepts", words=9)


@pytest.mark.parametrize("source", ["plain", "regions", "combined", "normed"])
def test_it_conforms(source: str) -> None:
    ran = 0
    for check in conformance.checks("glance", width=8, heads=2, inner=12):
        if check.source == source:
            print(check)  # shown where it fails
            check()
            ran += 1
    assert ran > 10
