"""One self-contained page of an evaluated split: every photo with its caption, worst first.

`captioning.inspecting` measures, this draws. The page has no address in it and asks for nothing:
style, script and thumbnails are in the file, and its content security policy allows no other
script. Names and captions come from other people: the template escapes all of them.
"""

import base64
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from miacap import terminal
from miacap.captioning import blind
from miacap.captioning.inspecting import Inspected, Inspection
from miacap.data.photos import Photos
from miacap.errors import DataError, MissingExtra, PictureError
from miacap.files import output
from miacap.metrics.comparisons import Interval, paired_bootstrap
from miacap.version import __version__
from miacap.visual import decode
from miacap.wording import counted

__all__ = ["PHOTOS", "require", "write_report"]

PHOTOS = 1_000
"""Photos that a page shows, the worst captions' first: with more it would outgrow 20 MB."""

_SIDE = 192
_QUALITY = 70
_FIRST = ("CIDEr-D", "SPICE", "METEOR", "BLEU-4")
"""What pictures are ordered by, where it was scored."""


_LABELS = {
    "bad-ending": "bad ending",
    "repeats": "repeats",
    "empty": "empty caption",
    "rare-missed": "rare words missed",
    "unsure": "unsure",
    "out-of-depth": "out of depth",
    "error": "no caption",
    "differs": "another caption beside",
}


@dataclass(frozen=True)
class _Card:
    """One picture of the page."""

    ours: Inspected
    theirs: Inspected | None
    numbers: Mapping[str, float]
    flags: tuple[str, ...]
    photo: str | None
    reason: str | None


def write_report(
    path: str | os.PathLike[str],
    inspection: Inspection,
    split: str,
    photos: Photos | None = None,
    beside: Inspection | None = None,
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        inspection: of the run's captions.
        split: its name, for the heading.
        photos: of the dataset; None leaves photos out.
        beside: of another run's captions of the same pictures, which are shown beside.

    Raises:
        MissingExtra: Jinja2 is not installed.
        DataError: the file cannot be written, or `beside` is of other pictures.
    """
    if beside is not None and _ids(beside) != _ids(inspection):
        raise DataError(f"{beside.name} has captions of other pictures than {inspection.name}.")
    template, files = _template(), {name: _text(f"report.{name}") for name in ("css", "js")}
    first = _first_key(inspection)
    theirs = [None] * len(inspection.pictures) if beside is None else list(beside.pictures)
    pairs = list(zip(inspection.pictures, theirs, strict=True))
    keys = [_keys(ours, other) for ours, other in pairs]
    order = sorted(range(len(pairs)), key=lambda index: keys[index].get(first, float("inf")))
    cards = []
    for place, index in enumerate(order):
        photo, reason = (None, None)
        if photos is not None and place < PHOTOS:
            photo, reason = _thumbnail(photos, pairs[index][0].row.id)
        cards.append(_Card(*pairs[index], keys[index], _flags(*pairs[index]), photo, reason))
    page = template.render(
        cards=cards,
        split=split,
        names=[inspection.name, *([] if beside is None else [beside.name])],
        table=_table(inspection, beside),
        orders=sorted({name for one in keys for name in one}, key=_order_of(first)),
        notes=_notes(inspection, photos is not None, cards),
        signature=getattr(inspection.evaluation.scores, "signature", None),
        controls=_controls(inspection),
        filters=_filters(cards),
        facts=any(card.ours.facts for card in cards),
        version=__version__,
        hashes={name: _hash(text) for name, text in files.items()},
        **files,
    )
    with output(path) as file:
        file.write(page.encode("utf-8", "replace").decode("utf-8"))


def require() -> None:
    """See that a page can be written at all. Raises MissingExtra without Jinja2."""
    _template()


def _ids(inspection: Inspection) -> list[str]:
    return [one.row.id for one in inspection.pictures]


@cache
def _template() -> Any:
    try:
        import jinja2
    except ModuleNotFoundError:
        raise MissingExtra("explain", "A report as a page (--html)") from None
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.from_string(_text("report.html"))


def _shown(value: Any) -> Any:
    """Show what turns the direction of a line, or is seen by nobody, as an escape."""
    return terminal.escape(value) if type(value) is str else value


def _text(name: str) -> str:
    return resources.files("miacap.explain").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Give what the content security policy knows a style or a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _first_key(inspection: Inspection) -> str:
    scored = inspection.evaluation.scores
    found = (name for name in _FIRST if scored is not None and name in scored)
    return next(found, "log-probability per word")


def _order_of(first: str) -> Any:
    return lambda name: (name != first, name.startswith("difference"), name)


def _keys(ours: Inspected, theirs: Inspected | None) -> dict[str, float]:
    """Give the numbers that pictures can be ordered by."""
    if ours.row.error is not None:
        return {}
    keys = dict(ours.scores)
    if ours.row.per_word is not None:
        keys["log-probability per word"] = ours.row.per_word
    keys["words"] = float(ours.words)
    rare = len(ours.rare_said) + len(ours.rare_missed)
    if rare:
        keys["rare words said"] = len(ours.rare_said) / rare
    if theirs is not None:
        for name in ours.scores.keys() & theirs.scores.keys():
            keys[f"difference in {name}"] = ours.scores[name] - theirs.scores[name]
    return {name: value for name, value in keys.items() if math.isfinite(value)}


def _flags(ours: Inspected, theirs: Inspected | None) -> tuple[str, ...]:
    """Name what the page can be filtered by."""
    sure = ours.row.confidence
    found = {
        "error": ours.row.error is not None,
        "bad-ending": ours.bad_ending,
        "repeats": ours.repeats,
        "empty": ours.row.caption == "",
        "rare-missed": bool(ours.rare_missed),
        "unsure": sure is not None and sure.unsure,
        "out-of-depth": sure is not None and sure.out_of_depth,
        "differs": theirs is not None and theirs.row.caption != ours.row.caption,
    }
    return tuple(name for name, holds in found.items() if holds)


def _filters(cards: list[_Card]) -> list[tuple[str, str, int]]:
    """Give each filter that some picture passes: its flag, its label, how many pass."""
    counts = Counter(flag for card in cards for flag in card.flags)
    return [(flag, label, counts[flag]) for flag, label in _LABELS.items() if counts[flag]]


def _thumbnail(photos: Photos, name: str) -> tuple[str | None, str | None]:
    """Give a photo as a small JPEG in base64, or why there is none."""
    try:
        image = decode(photos.read(name), name)
    except (DataError, PictureError) as error:
        return None, str(error).removeprefix(f"{name}: ")
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), None


def _table(ours: Inspection, theirs: Inspection | None) -> list[dict[str, Any]]:
    """Give a row for each score of the whole split: name, values, difference."""
    runs = [ours, *([] if theirs is None else [theirs])]
    rows = []
    scores = [one.evaluation.scores for one in runs]
    for name in scores[0] or ():
        between: Interval | None = None
        if len(scores) == 2 and scores[0] is not None and scores[1] is not None:
            between = paired_bootstrap(scores[0], scores[1], name)
        values = [None if some is None else float(some[name]) for some in scores]
        rows.append({"name": name, "values": values, "between": between, "digits": 4})
    for name in ours.numbers:
        values = [one.numbers.get(name) for one in runs]
        rows.append({"name": name, "values": values, "between": None, "digits": 3})
    for name in ("captioned", "distinct", "empty"):
        counts = [getattr(one.evaluation, name) for one in runs]
        rows.append({"name": name, "values": counts, "between": None, "digits": 0})
    return rows


def _controls(inspection: Inspection) -> list[str]:
    """Say how far the captions are above those of captioners that see nothing."""
    every = inspection.evaluation.controls
    said = [blind.above(name, i.difference, i.low, i.high) for name, i in every.items()]
    return [*filter(None, [*said, blind.verdict(i.low for i in every.values())])]


def _notes(inspection: Inspection, with_photos: bool, cards: list[_Card]) -> list[str]:
    """Say what a reader has to know about what the page lacks."""
    notes = [leak.told for leak in inspection.evaluation.leaks]
    if inspection.evaluation.scores is None:
        notes.append("The split has no captions, so that nothing is scored.")
    if not inspection.knows_rare:
        notes.append("There are no training captions to tell which words are rare.")
    if not with_photos:
        notes.append("Photos were left out.")
        return notes
    unread = [card for card in cards if card.reason is not None]
    if unread:
        notes.append(
            f"{counted(len(unread), 'photo')} could not be read, the first: "
            f"{unread[0].ours.row.id}: {unread[0].reason}"
        )
    if len(cards) > PHOTOS:
        notes.append(
            f"Only the first {PHOTOS:,} pictures have their photo, to keep the file small."
        )
    return notes
