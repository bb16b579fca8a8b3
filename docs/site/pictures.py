"""Make the picture of `miacap explain` that README shows, and the lines about it.

    python docs/site/pictures.py                      # of examples/photos/skiers.jpg
    python docs/site/pictures.py --photo bananas.jpg  # of another photo of that folder

The captioner is the installed one. The page is written as `miacap explain PHOTO -o page.html`
writes it and opened in a headless Chromium; the word whose attention is least even is chosen, as
in the page's guided tour. Needs the extras [explain] and [dev], and a Chromium on PATH.
"""

import argparse
import csv
import io
import re
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "examples" / "photos"
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "pictures" / "explain.webp"
COMMAND = "python docs/site/pictures.py"
SIZE = 1200, 806
"""What the browser shows, in pixels: the photo, the caption and the first numbers."""
MOST = 300_000
"""Bytes of the picture, at most."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BLOCK = re.compile(r"(<!-- picture: [^>]* -->\n)(.*?)(<!-- end -->)", re.S)


def credit_of(photo: str) -> dict[str, str]:
    """Give the row of CREDITS.csv of a photo: author, page, licence, ..."""
    with (PHOTOS / "CREDITS.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    if photo not in rows:
        sys.exit(f"{photo} is none of examples/photos: {', '.join(sorted(rows))}.")
    return rows[photo]


def clearest(look: Any) -> int:
    """Give the place of the word whose attention is least even; never that of the end."""
    from miacap.explain.record import evenness

    (attended, *_) = look.attended or sys.exit("The captioner attends to nothing.")
    words = [place for place, word in enumerate(look.words) if word.text.isalpha()]
    return min(words, key=lambda place: float(evenness(attended.on_regions[-1][place])))


def pictured(html: str, place: int) -> bytes:
    """Open a page, choose a word, and give what the browser shows as a PNG."""
    from playwright.sync_api import sync_playwright

    found = next((path for path in map(shutil.which, _BROWSERS) if path), None)
    if found is None:
        sys.exit(f"No browser on PATH: install one of {', '.join(_BROWSERS)}.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "page.html")
        file.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(file.as_uri())
        page.click(f".word >> nth={place}")
        page.mouse.move(2, 2)
        png: bytes = page.screenshot()
        browser.close()
    return png


def block(photo: str, word: str) -> str:
    """Give the lines of README about the picture: what it shows, and whose photo it is."""
    one = credit_of(photo)
    lines = (
        f'[![A page: the photo in grey, red where the captioner attended at the word "{word}"; '
        f"beside it the caption, its words as buttons, and exact numbers]"
        f"({PICTURE.relative_to(ROOT).as_posix()})](docs/explaining.md)",
        f"`miacap explain examples/photos/{photo} -o page.html` writes this page: here, where the "
        f"captioner in the box attended at the word *{word}*. Photo: [{one['author']}]"
        f"({one['page']}), [{one['licence']}]({one['licence_page']}), {one['changes']}, in grey, "
        f"with attention laid over it.",
    )
    return "\n\n".join(_wrapped(line) for line in lines) + "\n"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 116, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Look, take the picture, write both files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photo", default="skiers.jpg", help="a photo of examples/photos")
    photo = parser.parse_args().photo
    one = credit_of(photo)

    from PIL import Image

    from miacap.explain import Looker
    from miacap.files import atomic
    from miacap.runs import chosen

    look = Looker(chosen(), device="cpu").look(PHOTOS / photo)
    place = clearest(look)
    html = look.page(credit=f"{one['author']}, {one['licence']}")
    with Image.open(io.BytesIO(pictured(html, place))) as shown, atomic(PICTURE, "wb") as file:
        shown.convert("RGB").save(file, "WEBP", quality=85, method=6)
    if PICTURE.stat().st_size > MOST:
        sys.exit(f"{PICTURE}: {PICTURE.stat().st_size} bytes; at most {MOST} are meant.")
    said = block(photo, look.words[place].text)
    text, changed = _BLOCK.subn(lambda m: m[1] + said + m[3], README.read_text(encoding="utf-8"))
    if not changed:
        sys.exit(f"{README}: has no block '<!-- picture: {COMMAND} -->' to fill.")
    with atomic(README, "w") as file:
        file.write(text)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size} bytes, {look.caption}")


if __name__ == "__main__":
    main()
