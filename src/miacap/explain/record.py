"""What a captioner did with one photo, as plain arrays: measured once, drawn anywhere.

    S_n      rows after iteration n, as shares of the rows before refinement   [eq:rollout]
    a_t S_n  the attention at word t, followed back to what came out of the photo

Axis letters: T words (the end counts as one), R regions, M concepts, Q rows that a captioner
reads, N iterations of the refiner.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miacap.text.vocabulary import EOS, SPECIAL_NAMES

if TYPE_CHECKING:
    from miacap.captioning.candidates import Candidate
    from miacap.runs.confidence import Confidence

__all__ = [
    "END",
    "EVEN",
    "Attended",
    "Concept",
    "Hidden",
    "Photograph",
    "Record",
    "Refinement",
    "Word",
    "evenness",
]

END = SPECIAL_NAMES[EOS]
"""Stands in `Record.words` for the end of the caption."""

EVEN = 0.95
"""Attention whose `evenness` is above this is called nearly even."""

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Photograph:
    """The photo, small enough for a page."""

    name: str
    """Path, or what the caller named it."""
    width: int
    """Of the whole upright photo, in pixels."""
    height: int
    jpeg: bytes
    """The upright photo, scaled down, as a JPEG file without any metadata."""


@dataclass(frozen=True)
class Word:
    """A word of the caption, or its end."""

    text: str
    """As the captioner says it; `END` for the end."""
    log_probability: float
    """Natural logarithm, given the photo and the words before."""
    alternatives: tuple[tuple[str, float], ...]
    """The most probable words at this place, with their log-probabilities, best first."""


@dataclass(frozen=True)
class Concept:
    """A word that was found in the photo before captioning."""

    word: str
    probability: float
    """Of the whole photo."""
    belief: Array | None
    """R: its probability at each region; None where what found it has no such belief."""


@dataclass(frozen=True)
class Attended:
    """One attention of the captioner, at every word.

    `on_regions` and `on_concepts` have an entry for each iteration n = 0 .. N of the refiner (one
    where nothing is refined); an entry is None where the rows stand for nothing of the kind yet.
    They are empty where the attention runs over the other kind alone.
    """

    name: str
    over: str
    """What its rows stand for: "regions", "concepts", "pairs" or "both"."""
    weights: Array
    """T x Q: shares of the rows that the captioner reads; each word's sum to 1."""
    on_regions: tuple[Array | None, ...]
    """T x R each."""
    on_concepts: tuple[Array | None, ...]
    """T x M each."""


@dataclass(frozen=True)
class Refinement:
    """What the refiner mixed into each row, accumulated until each iteration ([eq:rollout])."""

    iterations: int
    """N."""
    residual: float
    """r: the share that a row keeps of itself where its own is added to what it attended to."""
    regions: tuple[Array | None, ...]
    """For n = 0 .. N: Q x R, row q as shares of the regions; they sum to 1. None: no such row."""
    concepts: tuple[Array | None, ...]
    """For n = 0 .. N: Q x M."""


@dataclass(frozen=True)
class Hidden:
    """What hiding a region does to the caption's words."""

    changes: Array
    """R x T: log p(word | photo without the region) - log p(word | photo)."""
    with_it: str
    """What leaves with a region, in words; empty where nothing does."""


@dataclass(frozen=True)
class Record:
    """What one run, or an ensemble, did with one photo; `looks.Look` can draw it too."""

    photo: Photograph
    runs: tuple[str, ...]
    """Names of the runs, told apart (`runs.names_of`); several form an ensemble."""
    captioner: str
    source: str
    """What it is fed: "plain", "combined", ..."""
    caption: str
    words: tuple[Word, ...]
    """Those of the caption and, where it ended by itself, its end."""
    boxes: Array
    """R x 4: x0 y0 x1 y1 of each region, relative to the photo."""
    columns: int
    """Columns of a grid of cells in raster order; 0 where regions are boxes that lie anywhere."""
    attended: tuple[Attended, ...]
    gates: dict[str, Array]
    """T each: shares from 0 to 1 beside the attentions, e.g. the sentinel."""
    concepts: tuple[Concept, ...]
    """Those that the captioner read, most probable first."""
    refinement: Refinement | None
    hidden: Hidden | None
    notes: tuple[str, ...]
    """What cannot be shown of this run, and why; a sentence each."""
    candidates: "tuple[Candidate, ...]" = ()
    """The caption and the best others, where they were asked for."""
    confidence: "Confidence | None" = None
    """How far the caption may be trusted; None where the run is not calibrated."""

    @property
    def log_probability(self) -> float:
        """Of the whole caption."""
        return sum(word.log_probability for word in self.words)

    @property
    def iterations(self) -> int:
        """N; 0 where nothing is refined."""
        return 0 if self.refinement is None else self.refinement.iterations

    def region_name(self, index: int) -> str:
        """Say in words where a region lies."""
        columns = self.columns
        if not columns:  # cells of a grid may come before a detector's boxes
            rows, columns = _leading_grid(self.boxes)
            columns = columns if index < rows * columns else 0
        if columns:
            row, column = divmod(index, columns)
            return f"row {row + 1}, column {column + 1}"
        if np.allclose(self.boxes[index], (0, 0, 1, 1)):
            return "the whole photo"
        left, top, right, bottom = (round(100 * float(side)) for side in self.boxes[index])
        return f"box {index + 1}: {left}-{right} % across, {top}-{bottom} % down"

    def to_json(self, digits: int = 9) -> dict[str, Any]:
        """Give all but the photo's bytes as JSON has it.

        Args:
            digits: significant digits of a number; 9 tell any two numbers apart.
        """
        value: dict[str, Any] = _plain(self, digits)
        value["regions"] = [self.region_name(index) for index in range(len(self.boxes))]
        return value


def evenness(weights: Array) -> Array:
    """Say how even shares are: their entropy by that of equal shares, from 0 to 1.

    Args:
        weights: ... x rows, each row's shares; they are scaled to sum to 1.

    Returns:
        H(w) / log R; 0 where there is one row, or no weight at all.
    """
    rows = weights.shape[-1]
    total = weights.sum(axis=-1, keepdims=True)
    shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: Array = -(shares * logs).sum(axis=-1)
    return entropy / math.log(rows) if rows > 1 else np.zeros_like(entropy)


def _leading_grid(boxes: Array) -> tuple[int, int]:
    """Give rows and columns of the cells that come first, in raster order; 0, 0 where none do.

    Cells of a column share their sides across, cells of a row those down, to the bit, which a
    detector's boxes do not.
    """
    count = len(boxes)
    columns = next((i for i in range(count) if boxes[i, 1] != boxes[0, 1]), count)
    rows = 0
    while (rows + 1) * columns <= count:
        row = boxes[rows * columns : (rows + 1) * columns]
        across = np.array_equal(row[:, ::2], boxes[:columns, ::2])
        if not across or (row[:, 1::2] != row[0, 1::2]).any():
            break
        rows += 1
    return (rows, columns) if rows > 1 and columns > 1 else (0, 0)


def _plain(value: Any, digits: int) -> Any:
    if is_dataclass(value):
        return {name: _plain(part, digits) for name, part in _parts(value)}
    if isinstance(value, dict):
        return {key: _plain(part, digits) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), digits)
    if isinstance(value, str | int) or value is None:
        return value
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    assert isinstance(value, Sequence)
    return [_plain(part, digits) for part in value]


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    return ((f.name, getattr(value, f.name)) for f in fields(value) if f.name != "jpeg")
