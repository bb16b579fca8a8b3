"""The picture of `miacap explain` in README: of a credited photo, small, and not fallen behind."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from miacap.runs import installed

ROOT = Path(__file__).resolve().parents[2]
MADE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "site" / "pictures.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown() -> tuple[str, str]:
    """The photo and the word that README says its picture is of."""
    (block,) = re.findall(r"<!-- picture: .*? -->\n(.*?)<!-- end -->", README, re.S)
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
