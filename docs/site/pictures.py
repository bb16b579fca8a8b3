"""Make the pictures of the docs, docs/pictures, and the lines about them.

    python docs/site/pictures.py                      # of examples/photos/skiers.jpg
    python docs/site/pictures.py --photo bananas.jpg  # of another photo of that folder
    python docs/site/pictures.py --demo demo          # of the first drawn scene, after `make demo`

Without --demo it is the page of `miacap explain` that README shows, of the installed captioner.
The page is written as `miacap explain PHOTO -o page.html` writes it and opened in a headless
Chromium; of the words that a picture can show ("a" and "of" are none) the one whose attention is
least even is chosen. Needs the extras [explain] and [dev], and a Chromium on PATH.

With --demo they are the pictures of a scene: the scene, the heat maps of two of its concepts as
`miacap concepts show` saves them (README), and Figure 4 as `miacap figure alignment` draws it
(docs/explaining.md), of the demo's combined captioner.
"""

import argparse
import csv
import io
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "examples" / "photos"
README = ROOT / "README.md"
FOLDER = ROOT / "docs" / "pictures"
PICTURE = FOLDER / "explain.webp"
COMMAND = "python docs/site/pictures.py"
SCENE = "scene-000001.png"
CONCEPTS = ("girl", "birds")
"""Those whose heat maps are shown; the first one's pair is followed through the refiner."""
DEMO = ("scene.png", *(f"{word}.png" for word in CONCEPTS), "alignment.png")
EXPLAINING = ROOT / "docs" / "explaining.md"
DEMO_COMMAND = f"{COMMAND} --demo demo"
SIZE = 1200, 806
"""What the browser shows, in pixels: the photo, the caption and the first numbers."""
MOST = 300_000
"""Bytes of the picture, at most."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def credit_of(photo: str) -> dict[str, str]:
    """Give the row of CREDITS.csv of a photo: author, page, licence, ..."""
    with (PHOTOS / "CREDITS.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    if photo not in rows:
        sys.exit(f"{photo} is none of examples/photos: {', '.join(sorted(rows))}.")
    return rows[photo]


def clearest(look: Any) -> int:
    """Give the place of the word whose attention is least even; of none like "a" or the end."""
    from miacap.concepts.stopwords import STOP_WORDS
    from miacap.explain.record import evenness

    (attended, *_) = look.attended or sys.exit("The captioner attends to nothing.")
    words = [
        place
        for place, word in enumerate(look.words)
        if word.text.isalpha() and word.text not in STOP_WORDS
    ]
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


def aligned_block(row: int, percents: Sequence[int]) -> str:
    """Give the lines of docs/explaining.md about Figure 4.

    Args:
        row: of the refiner that is followed, counted from 1.
        percents: what the row keeps of its own concept after each iteration.
    """
    told = " and ".join(map(str, percents))
    numbers = " and ".join(str(n) for n in range(1, len(percents) + 1))
    lines = (
        f"![A drawn scene in grey, once for each iteration: before the first one a cell is "
        f"outlined, then it is coloured and others, paler, join it; below, the concept "
        f"{CONCEPTS[0]}, with {told} % after iterations {numbers}](pictures/alignment.png)",
        f"One pair of the demo's combined captioner (six epochs on drawn scenes), as `miacap "
        f"figure alignment demo/scenes/{SCENE} --run demo/runs/combined --rows {row} "
        f"-o alignment.png` draws it.",
    )
    return "\n\n".join(_wrapped(line) for line in lines) + "\n"


def fill(page: Path, command: str, said: str) -> None:
    """Put lines into the block of a page that names the command."""
    from miacap.files import atomic

    head = f"<!-- picture: {command} -->\n"
    block = re.compile(f"({re.escape(head)})(.*?)(<!-- end -->)", re.S)
    text, changed = block.subn(lambda m: m[1] + said + m[3], page.read_text(encoding="utf-8"))
    if not changed:
        sys.exit(f"{page}: has no block {head.strip()!r} to fill.")
    with atomic(page, "w") as file:
        file.write(text)


def of_demo(demo: Path) -> None:
    """Make the pictures of the demo's first scene, and the lines about Figure 4."""
    from miacap import runs
    from miacap.explain import Looker, figures, show
    from miacap.visual import decode

    scene, run = demo / "scenes" / SCENE, demo / "runs" / "combined"
    if not scene.is_file():
        sys.exit(f"{scene}: is not there; make a demo first: make demo")
    shutil.copyfile(scene, FOLDER / "scene.png")
    with tempfile.TemporaryDirectory() as folder:
        image = decode(scene.read_bytes(), SCENE)
        found = {one.word: one for one in show(runs.load(run), image, folder=folder, device="cpu")}
        for word in CONCEPTS:
            if word not in found:
                sys.exit(f"{run}: does not find {word!r} in {scene}; choose other CONCEPTS.")
            shutil.copyfile(found[word].heat_map, FOLDER / f"{word}.png")
    look = Looker(run, device="cpu").look(scene, hide=False)
    row = [concept.word for concept in look.concepts].index(CONCEPTS[0])
    figures.save(figures.alignment(look, [row]), FOLDER / "alignment.png")
    shares = [float(matrix[row, row]) for matrix in look.refinement.concepts[1:]]
    fill(EXPLAINING, DEMO_COMMAND, aligned_block(row + 1, [round(100 * one) for one in shares]))
    print(f"{', '.join(DEMO)}: {look.caption}")


def of_page(photo: str) -> None:
    """Take the picture of the page of `miacap explain`, and write the lines about it."""
    from PIL import Image

    from miacap.explain import Looker
    from miacap.files import atomic
    from miacap.runs import chosen

    one = credit_of(photo)
    look = Looker(chosen(), device="cpu").look(PHOTOS / photo)
    place = clearest(look)
    html = look.page(credit=f"{one['author']}, {one['licence']}")
    with Image.open(io.BytesIO(pictured(html, place))) as shown, atomic(PICTURE, "wb") as file:
        shown.convert("RGB").save(file, "WEBP", quality=85, method=6)
    if PICTURE.stat().st_size > MOST:
        sys.exit(f"{PICTURE}: {PICTURE.stat().st_size} bytes; at most {MOST} are meant.")
    fill(README, COMMAND, block(photo, look.words[place].text))
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size} bytes, {look.caption}")


def main() -> None:
    """Make the pictures that are asked for, and the lines about them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--photo", default="skiers.jpg", help="a photo of examples/photos")
    which.add_argument("--demo", type=Path, help="folder of `make demo`, for the pictures of it")
    given = parser.parse_args()
    if given.demo is not None:
        of_demo(given.demo)
    else:
        of_page(given.photo)


if __name__ == "__main__":
    main()
