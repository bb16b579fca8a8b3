"""What the demo begins with: the installed captioner on photos that people took.

Photos are those of `examples/photos` in the repository, whose authors are named in CREDITS.csv
beside them; a wheel carries them along. Each one is captioned, and the attention at the words of
its caption is laid over it, in one picture a photo.
"""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from miacap.concepts.stopwords import STOP_WORDS
from miacap.devices import Device
from miacap.errors import RunError
from miacap.explain import Look, Looker, heat_map
from miacap.files import atomic, read_json, subfolder, write_json
from miacap.runs import Installed

__all__ = ["FILE", "FOLDER", "PHOTOS", "Seen", "look_at_photos", "photos", "seen"]

FOLDER, FILE = "photos", "captions.json"
PHOTOS = 6
_CREDITS = "CREDITS.csv"
_WORDS = 4
_CONCEPTS = 5
_HEIGHT, _GAP, _LETTERS = 200, 8, 16


@dataclass(frozen=True)
class Seen:
    """What the captioner saw in a photo.

    Attributes:
        file: name of the photo.
        caption: what it says.
        concepts: words that it found first, most probable first; empty where it reads none.
        picture: name of the picture with the attention at some words.
        words: those words.
        credit: title, author and licence of the photo, in a sentence.
        page: where the author shows it.
        licence_page: what the licence says; empty in what an older version wrote.
    """

    file: str
    caption: str
    concepts: tuple[str, ...]
    picture: str
    words: tuple[str, ...]
    credit: str
    page: str
    licence_page: str = ""


def photos() -> tuple[Path, list[Mapping[str, str]]]:
    """Give the folder of photos, and a row of CREDITS.csv for each.

    Raises:
        RunError: this copy of miacap lacks them.
    """
    here = Path(__file__).resolve()
    # In a wheel beside this file; in a checkout where people look for them.
    for folder in (here.parent / FOLDER, here.parents[3] / "examples" / FOLDER):
        if (folder / _CREDITS).is_file():
            with open(folder / _CREDITS, newline="", encoding="utf-8") as file:
                return folder, list(csv.DictReader(file))
    raise RunError("The photos of the demo are not here; install miacap again.")


def look_at_photos(
    captioner: Installed, output: str | os.PathLike[str], device: Device = "auto"
) -> Iterator[Seen]:
    """Caption the photos one after another, and save where it looked.

    Args:
        captioner: that is installed.
        output: folder of the demo; pictures and captions.json go into its folder `photos`.
        device: where the networks run.

    Raises:
        RunError: the captioner is not whole, or the photos are not here.
    """
    source, credits = photos()
    target = subfolder(output, FOLDER)
    write_json(target / FILE, [])  # first: what the folder is known by
    looker = Looker(captioner.folder, device=device)
    found = []
    for row in credits[:PHOTOS]:
        look = looker.look(source / row["file"], hide=False)
        words, picture = attention(look)
        name = f"{Path(row['file']).stem}.png"
        with atomic(target / name) as file:
            picture.save(file, "PNG", optimize=True)
        concepts = tuple(concept.word for concept in look.concepts[:_CONCEPTS])
        one = Seen(
            row["file"], look.caption, concepts, name, words, credit(row, bool(words)), row["page"],
            row["licence_page"],
        )  # fmt: skip
        found.append(one)
        yield one
    write_json(target / FILE, [asdict(one) for one in found])


def seen(output: str | os.PathLike[str]) -> list[Seen]:
    """Read what `look_at_photos` left in a demo's folder; nothing where it left nothing."""
    file = Path(output) / FOLDER / FILE
    rows = read_json(file) if file.is_file() else []
    return [Seen(**{**row, **{n: tuple(row[n]) for n in ("concepts", "words")}}) for row in rows]


def credit(row: Mapping[str, str], attended: bool = False) -> str:
    """Say whose photo it is and what was changed, as its licence asks.

    Args:
        row: of CREDITS.csv.
        attended: whether it is shown with where the captioner looked.
    """
    changes = f"{row['changes']}, attention laid over it" if attended else row["changes"]
    title = f'"{row["title"]}"' if row["title"] else "Photo"
    return f"{title} by {row['author']}, {row['licence']}, {changes}"


def attention(look: Look) -> tuple[tuple[str, ...], Image.Image]:
    """Give a picture of a photo beside where the captioner looked at some words of its caption.

    Words of meaning alone, the first few. A captioner without attention over regions has the photo
    alone.
    """
    photo = Image.open(io.BytesIO(look.photo.jpeg)).convert("RGB")
    maps = [found.on_regions[-1] for found in look.attended if found.on_regions]
    weights = next((one for one in maps if one is not None), None)
    panels = [("", photo)]
    boxes = torch.from_numpy(look.boxes)
    for index, word in enumerate(look.words):
        said = word.text
        if weights is None or not said.isalpha() or said in STOP_WORDS:
            continue
        if len(panels) <= _WORDS and said not in dict(panels):
            panels.append((said, heat_map(photo, torch.from_numpy(weights[index]), boxes)))
    return tuple(word for word, _ in panels[1:]), _beside(panels)


def _beside(panels: list[tuple[str, Image.Image]]) -> Image.Image:
    """Set pictures of one height beside each other, each with its word below."""
    font = ImageFont.load_default(_LETTERS)
    small = []
    for word, picture in panels:
        width = max(1, round(picture.width * _HEIGHT / picture.height))
        small.append((word, picture.resize((width, _HEIGHT), Image.Resampling.LANCZOS)))
    width = sum(picture.width + _GAP for _, picture in small) - _GAP
    whole = Image.new("RGB", (width, _HEIGHT + 2 * _GAP + _LETTERS), "white")
    draw, left = ImageDraw.Draw(whole), 0
    for word, picture in small:
        whole.paste(picture, (left, 0))
        middle = left + picture.width // 2
        draw.text((middle, _HEIGHT + _GAP // 2), word, fill="black", font=font, anchor="ma")
        left += picture.width + _GAP
    return whole
