"""The paper's tables: every row with its published scores and the recipe that stands for it.

    Table 1      captioners that read regions          [table:1]
    Table 2      captioners that read concepts         [table:2]
    Table 3      captioners that read both             [table:3]
    Table 4      Up-Down after CIDEr optimisation      [table:4]
    Table 5      who queries first                     [table:5]
    Table 6      SPICE by category                     [table:6]
    Section 3.5  self-attention in place of MIA        [section:3.5]
    Figure 5     N = 1 to 5                            [figure:5]   no printed numbers
    Table 7      captions of six photos: no scores, so it has no rows here   [table:7]

All of Liu et al. 2019, on COCO's Karpathy test split, x 100. Figure 5's rows have recipes, and
empty published cells. Nothing here was measured by us; a score of one's own is compared with
such a cell only on the same pictures and with the same features (models differ, too: the
recipes say in what).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from miacap.errors import UnknownName

__all__ = ["PLACES", "Row", "place", "recipes", "rows", "rows_of"]

CAPTION_SCORES = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "SPICE")
"""Columns of Tables 1 to 5. The paper's CIDEr is the evaluation server's CIDEr-D."""

SPICE_SCORES = (
    "SPICE",
    "SPICE Object",
    "SPICE Attribute",
    "SPICE Relation",
    "SPICE Color",
    "SPICE Cardinality",
    "SPICE Size",
)
"""Columns of Table 6, by the official program's names; the paper prints Count for Cardinality."""

FIGURE_SCORES = ("CIDEr-D", "ROUGE-L", "METEOR", "BLEU-4")
"""Panels of Figure 5."""


@dataclass(frozen=True)
class Row:
    """One row of a table, one number of section 3.5, or one abscissa of Figure 5."""

    place: str
    """Where it stands: one of PLACES."""
    model: str
    """As printed, e.g. "Up-Down-RCNN"."""
    label: str
    """As printed, e.g. "w/ I*"."""
    recipe: str
    """Name of the recipe."""
    published: Mapping[str, float | None] = field(default_factory=dict)
    """Score by metric, x 100; None where nothing is printed."""
    reimplemented: tuple[str, ...] = ()
    """Cells of a daggered row that its authors had to fill by their own runs: the original
    papers do not have them, so they and the row's other cells are not one training."""

    @property
    def daggered(self) -> bool:
        """Whether the paper marks the row as (partly) re-implemented."""
        return bool(self.reimplemented)

    def __str__(self) -> str:
        return f"{self.place}, {self.model}, {self.label}"


_LABELS = {
    "plain": "Baseline",
    "regions": "w/ I*",
    "concepts": "w/ T*",
    "combined": "w/ MIA",
    "regions-first": "I* -> T*",
    "concepts-first": "T* -> I*",
}

_MODELS = {
    "nic": "NIC",
    "spatial-attention": "Spatial-Attention",
    "up-down-resnet": "Up-Down-ResNet",
    "up-down-rcnn": "Up-Down-RCNN",
    "att-cnn-lstm": "Att-CNN+LSTM",
    "att-fcn": "ATT-FCN",
    "lstm-a3": "LSTM-A3",
    "lstm-a4": "LSTM-A4",
    "lstm-a5": "LSTM-A5",
}

# Dagger: which cells the original papers lack, as far as we know (Vinyals et al. report BLEU-4,
# METEOR and CIDEr alone; Lu et al. and Wu et al. neither ROUGE-L nor SPICE; You et al. no CIDEr
# either).
_DAGGERS = {
    "nic": ("BLEU-1", "ROUGE-L", "SPICE"),
    "spatial-attention": ("ROUGE-L", "SPICE"),
    "att-cnn-lstm": ("ROUGE-L", "SPICE"),
    "att-fcn": ("ROUGE-L", "CIDEr-D", "SPICE"),
}

# place | baseline | arm | scores; a baseline's name holds for the lines that follow it.
_PRINTED = """
Table 1 | nic               | plain     | 70.7 27.7 23.7 51.7  85.5 17.0
        |                   | regions   | 70.7 30.1 24.8 52.4  93.8 17.8
        |                   | combined  | 70.8 30.2 25.4 52.9  96.1 18.2
        | spatial-attention | plain     | 73.4 30.4 25.7 54.9 102.9 18.7
        |                   | regions   | 74.1 33.2 26.5 55.2 105.9 19.4
        |                   | combined  | 75.0 33.8 26.6 55.4 106.2 19.5
        | up-down-resnet    | plain     | 74.5 33.4 26.1 54.4 105.4 19.2
        |                   | regions   | 74.5 33.9 27.3 55.9 110.7 20.0
        |                   | combined  | 75.3 35.0 27.8 56.4 111.8 20.9
        | up-down-rcnn      | plain     | 77.2 36.2 27.0 56.4 113.5 20.3
        |                   | regions   | 76.0 36.3 28.0 56.8 115.0 21.1
        |                   | combined  | 76.0 36.2 28.2 57.1 115.7 21.2
Table 2 | att-cnn-lstm      | plain     | 74.0 31.0 26.0 53.0  94.0 17.8
        |                   | concepts  | 71.3 30.5 25.6 52.7  94.9 17.8
        |                   | combined  | 71.1 30.8 26.1 53.2  97.8 18.5
        | att-fcn           | plain     | 70.9 30.4 24.3 53.3  95.6 18.6
        |                   | concepts  | 72.5 31.7 25.8 53.9  99.9 19.0
        |                   | combined  | 73.1 32.7 26.2 54.4 103.1 19.5
Table 3 | lstm-a3           | plain     | 73.5 32.4 25.5 53.9  99.8 18.5
        |                   | concepts  | 72.1 32.2 25.8 53.8 100.5 18.8
        |                   | regions   | 72.9 32.7 26.0 54.2 101.7 18.6
        |                   | combined  | 72.9 32.8 26.3 54.3 102.3 18.9
        | lstm-a4           | plain     | 72.1 31.4 24.9 53.2  95.7 17.8
        |                   | concepts  | 72.9 32.4 25.4 54.5 102.7 19.6
        |                   | regions   | 72.7 31.9 26.0 54.6  98.3 18.5
        |                   | combined  | 73.3 33.1 26.5 54.8 104.8 19.4
        | lstm-a5           | plain     | 73.4 32.6 25.4 54.0 100.2 18.6
        |                   | concepts  | 73.5 32.4 25.1 54.2 102.7 19.0
        |                   | regions   | 74.0 33.5 26.2 54.6 103.9 19.2
        |                   | combined  | 73.5 33.4 26.6 54.8 105.2 19.6
Table 4 | up-down-resnet    | plain     | 76.6 34.0 26.5 54.9 111.1 20.2
        |                   | regions   | 76.8 34.7 27.6 56.2 113.9 20.6
        |                   | combined  | 77.1 35.3 28.0 56.6 114.4 21.1
        | up-down-rcnn      | plain     | 79.8 36.3 27.7 56.9 120.1 21.4
        |                   | regions   | 78.1 36.6 28.1 57.2 121.1 21.4
        |                   | combined  | 79.3 37.0 28.2 57.4 122.2 21.7
Table 5 | spatial-attention | plain          | 73.4 30.4 25.7 54.9 102.9 18.7
        |                   | regions-first  | 74.5 31.2 26.1 55.1 103.1 19.0
        |                   | concepts-first | 75.0 33.8 26.6 55.4 106.2 19.5
        | att-fcn           | plain          | 70.9 30.4 24.3 53.3  95.6 18.6
        |                   | regions-first  | 71.8 31.9 26.0 54.1 100.9 18.9
        |                   | concepts-first | 73.1 32.7 26.2 54.4 103.1 19.5
        | lstm-a5           | plain          | 73.4 32.6 25.4 54.0 100.2 18.6
        |                   | regions-first  | 72.9 33.2 26.4 54.7 105.7 19.2
        |                   | concepts-first | 73.5 33.4 26.6 54.8 105.2 19.6
Table 6 | spatial-attention | plain     | 18.7 34.4  8.6 5.2 10.4 4.1 4.0
        |                   | regions   | 19.4 35.4  9.6 5.5 11.9 7.4 4.2
        |                   | combined  | 19.5 35.3 10.2 5.1 11.5 6.4 4.5
        | att-fcn           | plain     | 18.6 34.8  7.8 5.2  5.7 6.4 3.7
        |                   | concepts  | 19.0 35.5  8.0 6.1  6.5 8.5 3.1
        |                   | combined  | 19.5 35.8  8.6 5.3 10.1 8.1 4.9
        | lstm-a5           | plain     | 18.6 33.8  9.1 5.5 11.5 5.9 4.8
        |                   | concepts  | 19.0 35.2  9.4 5.6 11.7 6.7 4.3
        |                   | regions   | 19.2 35.0 10.1 5.9 12.3 6.9 4.9
        |                   | combined  | 19.6 35.4 11.5 6.2 13.2 8.9 5.2
"""

_SELF_ATTENTION = {"spatial-attention": 96.64, "att-fcn": 98.9, "lstm-a5": 103.9}
"""CIDEr in section 3.5."""

_ITERATIONS = (1, 2, 3, 4, 5)
"""N along Figure 5."""

PLACES = (*(f"Table {number}" for number in range(1, 7)), "Section 3.5", "Figure 5")


def rows() -> tuple[Row, ...]:
    """Give every row, in the paper's order."""
    return _ROWS


def place(name: str) -> tuple[Row, ...]:
    """Give the rows of one of PLACES, e.g. "Table 3"; raises UnknownName."""
    if name not in PLACES:
        raise UnknownName("table", name, PLACES)
    return tuple(row for row in _ROWS if row.place == name)


def rows_of(recipe: str) -> tuple[Row, ...]:
    """Give the rows that a recipe stands for; empty for a control of ours."""
    return tuple(row for row in _ROWS if row.recipe == recipe)


def recipes() -> tuple[str, ...]:
    """Give the recipes that stand for some row, each once, in the paper's order."""
    return tuple(dict.fromkeys(row.recipe for row in _ROWS))


def _tables() -> Iterator[Row]:
    where, baseline = "", ""
    for line in _PRINTED.strip().splitlines():
        one, two, arm, numbers = (cell.strip() for cell in line.split("|"))
        where, baseline = one or where, two or baseline
        metrics = SPICE_SCORES if where == "Table 6" else CAPTION_SCORES
        scores = zip(metrics, map(float, numbers.split()), strict=True)
        # The dagger stands in Tables 1 and 2; Table 5 repeats these rows without it.
        dagger = arm == "plain" and where in ("Table 1", "Table 2")
        yield Row(
            place=where,
            model=_MODELS[baseline],
            label=_LABELS[arm],
            recipe=_recipe(where, baseline, arm),
            published=MappingProxyType(dict(scores)),
            reimplemented=_DAGGERS.get(baseline, ()) if dagger else (),
        )


def _recipe(where: str, baseline: str, arm: str) -> str:
    if where == "Table 4":
        return f"{baseline}-{arm}-self-critical"
    # Table 5 calls the paper's own order "T* -> I*": the concepts ask first.
    return f"{baseline}-{'combined' if arm == 'concepts-first' else arm}"


def _rest() -> Iterator[Row]:
    for baseline, cider in _SELF_ATTENTION.items():
        yield Row(
            "Section 3.5",
            _MODELS[baseline],
            "self-attention",
            f"{baseline}-self-attention",
            MappingProxyType({"CIDEr-D": cider}),
        )
    for baseline in _SELF_ATTENTION:
        for number in _ITERATIONS:
            yield Row(
                "Figure 5",
                _MODELS[baseline],
                f"N = {number}",
                f"{baseline}-{'combined' if number == 2 else f'n{number}'}",
                MappingProxyType(dict.fromkeys(FIGURE_SCORES)),
            )


_ROWS = (*_tables(), *_rest())
