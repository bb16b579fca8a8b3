"""A page that shows what a captioner did with a photo: one HTML file that asks for nothing.

Drawn from records alone. Jinja2 escapes whatever came from outside; numbers travel
in a block of JSON; a policy in the page forbids every script and style but the page's own.
Colours are fixed: a share of a row out of R has full colour from `SCALE` / R on, a change of a
log-probability at `CHANGE`.
"""

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np

from miacap.errors import MissingExtra, SettingsError
from miacap.explain.record import END, EVEN, Array, Attended, Record
from miacap.explain.summary import labels, rows, spoken, trust
from miacap.version import __version__
from miacap.wording import counted

__all__ = ["CHANGE", "LARGEST", "SCALE", "page", "rendered"]

SCALE = 8
"""A share of so many times an even one has full colour."""
CHANGE = 1.0
"""A change of a log-probability of this size has full colour."""
LARGEST = 2_000_000
"""Bytes of a page."""

_SCRIPTS = ("numbers.js", "page.js", "telling.js", "tour.js")
_SHARES = 65_535


def page(looks: Sequence[Record], *, title: str = "", credit: str = "") -> str:
    """Give the page of one look, or of two at the same photo side by side.

    Args:
        looks: one or two.
        title: of the page.
        credit: who made the photo, and under which licence.

    Raises:
        SettingsError: no look, more than two, or looks at different photos.
        MissingExtra: Jinja2 is not installed.
    """
    if not 1 <= len(looks) <= 2:
        raise SettingsError(f"A page shows one look or two, not {len(looks)}.")
    if len({look.photo.jpeg for look in looks}) > 1:
        raise SettingsError("Looks that stand side by side are at the same photo.")
    text = _written(looks, title, credit)
    if len(text.encode()) > LARGEST:
        text = _written([_smaller(look) for look in looks], title, credit)
    if len(text.encode()) > LARGEST:
        raise SettingsError(
            f"The page would have {len(text.encode()) / 1e6:.1f} MB, and at most "
            f"{LARGEST / 1e6:.0f} are written: too many regions, words or iterations. "
            "Write the numbers alone (--json)."
        )
    return text


def _written(looks: Sequence[Record], title: str, credit: str) -> str:
    environment, markup = _environment()
    style = _part("page.css")
    script = "\n".join(map(_part, _SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    first = looks[0]
    named = labels(looks)
    shown = {"width": first.photo.width, "height": first.photo.height}
    result: str = environment.get_template("page.html").render(
        title=title or f"What {' and '.join(named)} saw in a photo",
        policy=policy,
        version=__version__,
        style=markup(style),
        script=markup(script),
        photo={**shown, "name": first.photo.name.replace("\\", "/").rpartition("/")[2]},
        jpeg=base64.b64encode(first.photo.jpeg).decode("ascii"),
        credit=credit,
        names=", ".join(named),
        scale=SCALE,
        even=EVEN,
        looks=[_told(look, label) for look, label in zip(looks, named, strict=True)],
        data={
            "photo": shown,
            "scale": SCALE, "change": CHANGE, "even": EVEN, "end": spoken(END),
            "looks": [_data(look) for look in looks],
        },
    )  # fmt: skip
    return result


def rendered(name: str, **values: Any) -> str:
    """Fill a template that has no script. Raises MissingExtra where Jinja2 is not installed."""
    environment, markup = _environment()
    style = _part("page.css")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; base-uri 'none'; "
        "form-action 'none'"
    )
    result: str = environment.get_template(name).render(
        policy=policy, style=markup(style), version=__version__, **values
    )
    return result


@functools.cache
def _environment() -> tuple[Any, Any]:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("explain", "A page") from None
    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment, Markup


def _part(name: str) -> str:
    return (files("miacap.explain") / "page_parts" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Name an inline script or style in a policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _told(look: Record, label: str) -> dict[str, Any]:
    """Give what stands in the page itself, for those who read no script too."""
    return {
        "label": label,
        "captioner": look.captioner,
        "source": look.source,
        "caption": look.caption,
        "trust": trust(look),
        "words": [{"text": spoken(word.text)} for word in look.words],
        "concepts": [
            {"word": concept.word, "percent": f"{100 * concept.probability:.0f} %"}
            for concept in look.concepts
        ],
        "attentions": [attended.name for attended in look.attended],
        "iterations": look.iterations,
        "boxes": [] if look.columns else _names(look),
        "notes": look.notes,
        "rows": rows(look),
    }


def _data(look: Record) -> dict[str, Any]:
    """Give the numbers of a look as the page's script reads them."""
    beliefs = [concept.belief for concept in look.concepts if concept.belief is not None]
    refined = look.refinement
    return {
        "boxes": np.round(look.boxes, 5).tolist(),
        "columns": look.columns,
        "names": _names(look),
        "words": [
            {
                "text": spoken(word.text),
                "log": word.log_probability,
                "alternatives": [[spoken(text), log] for text, log in word.alternatives],
            }
            for word in look.words
        ],
        "conceptWords": [concept.word for concept in look.concepts],
        "conceptProbabilities": [concept.probability for concept in look.concepts],
        "concepts": len(look.concepts),
        "belief": _shares(np.stack(beliefs)) if beliefs else None,
        "attended": [_attended(attended) for attended in look.attended],
        "gates": {name: np.round(gate, 5).tolist() for name, gate in look.gates.items()},
        "iterations": look.iterations,
        "refinement": None
        if refined is None
        else {
            "regions": [_shares(matrix) for matrix in refined.regions],
            "concepts": [_shares(matrix) for matrix in refined.concepts],
        },
        "changes": None if look.hidden is None else _numbers(look.hidden.changes),
        "hiddenWith": "" if look.hidden is None else look.hidden.with_it,
    }


def _names(look: Record) -> list[str]:
    return [look.region_name(index) for index in range(len(look.boxes))]


def _attended(attended: Attended) -> dict[str, Any]:
    return {
        "name": attended.name,
        "weights": _shares(attended.weights),
        "regions": [_shares(view) for view in attended.on_regions],
        "concepts": [_shares(view) for view in attended.on_concepts],
    }


def _shares(matrix: Array | None) -> dict[str, Any] | None:
    """Write shares from 0 to 1 in 16 bits each."""
    if matrix is None:
        return None
    whole = np.round(matrix.clip(0, 1) * _SHARES).astype("<u2")
    return _packed("shares", whole)


def _numbers(matrix: Array) -> dict[str, Any]:
    return _packed("numbers", matrix.astype("<f4"))


def _packed(kind: str, matrix: Any) -> dict[str, Any]:
    text = base64.b64encode(matrix.tobytes()).decode("ascii")
    return {"kind": kind, "shape": list(matrix.shape), "numbers": text}


def _smaller(look: Record) -> Record:
    """Leave out all attentions but the first, the mean of many, and say so."""
    left_out = len(look.attended) - 1
    if left_out < 1:
        return look
    note = (
        f"{counted(left_out, 'attention')} more would make this page too large; all are in the "
        "numbers (--json)."
    )
    return replace(look, attended=look.attended[:1], notes=(*look.notes, note))
