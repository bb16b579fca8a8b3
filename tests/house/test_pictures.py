"""The picture of `miacap explain` in README: of a credited photo, small, and not fallen behind."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from miacap.data.scenes import draw
from miacap.experiments.demonstration import Demo
from miacap.runs import installed

ROOT = Path(__file__).resolve().parents[2]
MADE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "site" / "pictures.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block_of(page: str, command: str) -> str:
    """What a page says of the picture that a command makes."""
    (block,) = re.findall(f"<!-- picture: {re.escape(command)} -->\n(.*?)<!-- end -->", page, re.S)
    assert isinstance(block, str)
    return block


def shown() -> tuple[str, str]:
    """The photo and the word that README says its picture is of."""
    block = block_of(README, MADE["COMMAND"])
    photo = re.search(r"examples/photos/(\S+) -o", block)
    word = re.search(r"at\s+the\s+word\s+\*(\w+)\*", block)
    assert photo is not None and word is not None
    return photo[1], word[1]


def test_readme_says_whose_photo_it_is_and_under_which_licence() -> None:
    block = MADE["block"](*shown())
    assert f"{MADE['COMMAND']} -->\n{block}<!-- end -->" in README, f"run: {MADE['COMMAND']}"
    one = MADE["credit_of"](shown()[0])
    for told in ("author", "page", "licence", "licence_page", "changes"):
        assert one[told] in block.replace("\n", " "), told


def test_the_picture_is_small_and_as_large_as_the_browser_shows_it() -> None:
    with Image.open(MADE["PICTURE"]) as picture:
        assert (picture.format, picture.size) == ("WEBP", MADE["SIZE"])
    assert MADE["PICTURE"].stat().st_size < MADE["MOST"] == 300_000


def test_every_picture_of_the_docs_has_what_makes_it() -> None:
    there = {path.name for path in MADE["FOLDER"].iterdir()}
    assert there == {MADE["PICTURE"].name, *MADE["DEMO"]}


def test_the_drawn_scene_is_the_demos(tmp_path: Path) -> None:
    draw(tmp_path, int(MADE["SCENE"][6:12]) + 1, seed=Demo().seed)
    with (
        Image.open(tmp_path / MADE["SCENE"]) as drawn,
        Image.open(MADE["FOLDER"] / "scene.png") as it,
    ):
        assert drawn.size == it.size and drawn.tobytes() == it.convert(drawn.mode).tobytes()


def test_the_docs_say_of_figure_4_what_its_script_found() -> None:
    page = MADE["EXPLAINING"].read_text(encoding="utf-8")
    block = block_of(page, MADE["DEMO_COMMAND"])
    row = re.search(r"--rows\s+(\d+)", block)
    shares = re.search(r"with\s+(\d+)\s+and\s+(\d+)\s+%", block)
    assert row is not None and shares is not None, f"run: {MADE['DEMO_COMMAND']}"
    assert block == MADE["aligned_block"](int(row[1]), list(map(int, shares.groups())))


def test_a_photo_without_credit_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"mine.jpg is none of examples/photos: .*skiers.jpg"):
        MADE["credit_of"]("mine.jpg")


@pytest.mark.slow
def test_the_installed_captioner_says_and_sees_what_readme_shows() -> None:
    if not installed():
        pytest.skip("no captioner is installed (make install does it)")
    from miacap.explain import Looker
    from miacap.runs import chosen

    photo, word = shown()
    look = Looker(chosen(), device="cpu").look(ROOT / "examples" / "photos" / photo, hide=False)
    assert look.words[MADE["clearest"](look)].text == word, f"run: {MADE['COMMAND']}"
    assert f"miacap caption examples/photos/{photo}  # {look.caption}\n" in README
