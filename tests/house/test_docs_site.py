"""The documentation as a site: every page is there, links are turned, the strict build passes."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hooks() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "site" / "hooks.py"))


@pytest.mark.parametrize(
    ("home", "text", "expected"),
    [
        ("README.md", "[a](docs/cli.md#train)", "[a](cli.md#train)"),
        ("README.md", "![a](docs/pictures/girl.png)", "![a](pictures/girl.png)"),
        ("README.md", "[a](CHANGELOG.md), [b](examples)", "[a](changes.md), [b](examples.md)"),
        ("docs/api.md", "[a](../examples/own_captioner.py)", "[a](examples.md)"),
        ("docs/api.md", "[a](data.md), [b](#names)", "[a](data.md), [b](#names)"),
        ("docs/api.md", "[a](https://x.org/README.md)", "[a](https://x.org/README.md)"),
        ("README.md", "![a](examples/photos/skiers.jpg)", "![a](pictures/photos/skiers.jpg)"),
        ("README.md", "[a](examples/photos/README.md)", "[a](photos.md)"),
        ("examples/photos/README.md", "![a](bananas.jpg)", "![a](pictures/photos/bananas.jpg)"),
        ("README.md", "[a](nowhere.md)", "[a](nowhere.md)"),  # the strict build fails
        ("README.md", "```\n[a](CHANGELOG.md)\n```", "```\n[a](CHANGELOG.md)\n```"),
    ],
)
def test_links_are_turned(hooks: dict[str, Any], home: str, text: str, expected: str) -> None:
    assert hooks["turned"](text, home) == expected


def test_every_room_has_a_page_of_its_public_names(hooks: dict[str, Any]) -> None:
    import miacap.runs
    import miacap.visual

    assert sorted(hooks["public"]("runs")) == sorted(miacap.runs.__all__)
    assert sorted(hooks["public"]("visual")) == sorted(miacap.visual.__all__)
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for room in hooks["ROOMS"]:
        assert f"reference/{room}.md" in nav, room
        assert list(hooks["public"](room)), room
    rooms = {path.parent.name for path in (ROOT / "src" / "miacap").glob("*/__init__.py")}
    assert rooms - {"cli"} <= set(hooks["ROOMS"])


def test_pages_that_the_navigation_does_not_name_get_a_section(hooks: dict[str, Any]) -> None:
    config = {"nav": [{"Start": "index.md"}, {"Pages": [{"Commands": "cli.md"}, "api.md"]}]}
    (more,) = hooks["on_config"](config)["nav"][2:]
    own = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(more["More"]) == own - {"cli.md", "api.md"}
    config["nav"] = [*more["More"], "cli.md", "api.md"]
    assert hooks["on_config"](config)["nav"] == [*more["More"], "cli.md", "api.md"]


@pytest.mark.slow
def test_the_strict_build_passes_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {path.name: path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "cli.html", "changes.html", "examples.html", "runs.html"} <= set(pages)
    for name, text in pages.items():
        asked = re.findall(
            r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:[^\" >]+)", text
        )
        assert not asked, f"{name} loads {asked[0]}"
    assert "Pack a trained run into another folder." in pages["runs.html"]  # of its docstring
    assert (tmp_path / "site" / "search" / "search_index.js").is_file()
