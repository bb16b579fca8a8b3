"""A line for each word of a caption: its probability, where it attended, what hiding cost it."""

import math
from collections.abc import Sequence

from miacap.explain.record import END, EVEN, Record, evenness

__all__ = ["labels", "rows", "spoken", "trust"]


def labels(looks: Sequence[Record]) -> list[str]:
    """Name looks that stand side by side by their runs; those named alike are numbered too."""
    names = ["+".join(look.runs) for look in looks]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def spoken(text: str) -> str:
    """Write a word as people read it."""
    return "(end)" if text == END else text


def trust(look: Record) -> str:
    """Say in a sentence how far the caption may be trusted; nothing of a run not calibrated."""
    return "" if look.confidence is None else look.confidence.sentence


def rows(look: Record) -> list[dict[str, str]]:
    """Give a row for each word, its cells by their column's name.

    Where a run attends, columns say where most (after the last iteration) and how even the shares
    of its rows are; where regions can be hidden, which one costs the word most.
    """
    return [_row(look, place) for place in range(len(look.words))]


def _row(look: Record, place: int) -> dict[str, str]:
    word = look.words[place]
    row = {
        "word": spoken(word.text),
        "probability": f"{100 * math.exp(word.log_probability):.1f} %",
        "log-probability": f"{word.log_probability:.4f}",
    }
    if look.attended:
        where, share = _most(look, place)
        even = float(evenness(look.attended[0].weights[place]))
        row |= {
            "attended most": where,
            "share": share,
            "evenness": f"{even:.3f}{' (nearly even)' if even > EVEN else ''}",
        }
    if look.hidden is not None:
        changes = look.hidden.changes[:, place]
        worst = int(changes.argmin())
        row |= {"hiding costs most": _short(look, worst), "change": f"{changes[worst]:+.3f}"}
    return row


def _most(look: Record, place: int) -> tuple[str, str]:
    """Name the region or else the concept that a word attended to most, and its share."""
    first = look.attended[0]
    for views, of_regions in ((first.on_regions, True), (first.on_concepts, False)):
        view = views[-1] if views else None
        if view is not None:
            best = int(view[place].argmax())
            name = _short(look, best) if of_regions else look.concepts[best].word
            return name, f"{100 * view[place][best]:.1f} %"
    return "-", "-"


def _short(look: Record, region: int) -> str:
    """Name a region as briefly as a table wants it: "box 3" without where it lies."""
    return look.region_name(region).partition(":")[0]
