"""Every published number, held against the paper's own text."""

import re
from pathlib import Path

import pytest

from miacap.errors import UnknownName
from miacap.experiments import paper

COLUMNS = {
    "B@1": "BLEU-1", "B@4": "BLEU-4", "M": "METEOR", "R": "ROUGE-L", "C": "CIDEr-D", "S": "SPICE",
    "All": "SPICE", "Objects": "SPICE Object", "Attributes": "SPICE Attribute",
    "Relations": "SPICE Relation", "Color": "SPICE Color", "Count": "SPICE Cardinality",
    "Size": "SPICE Size",
}  # fmt: skip


def clean(cell: str) -> str:
    return re.sub(r"</?(b|i|sup)>|†", "", cell).strip()


def printed(text: str) -> dict[str, list[tuple[str, str, dict[str, float], bool]]]:
    """Read the tables out of the paper: place -> (model, label, scores, daggered)."""
    found: dict[str, list[tuple[str, str, dict[str, float], bool]]] = {}
    rows: list[tuple[str, str, dict[str, float], bool]] = []
    columns: list[str] = []
    model = ""
    for line in text.splitlines():
        cells = line.split("\t")
        names = [clean(cell) for cell in cells]
        if len(cells) > 5 and names[1] in ("B@1", "All"):
            columns, rows = [COLUMNS[name] for name in names[1:]], []
        elif names[0] == "All" and len(cells) > 5:
            columns, rows = [COLUMNS[name] for name in names], []
        elif line.startswith("<i>") and len(cells) > 5 and not any(names[1:]):
            model = re.sub(r" \(.*\)$", "", names[0])
        elif columns and len(cells) == len(columns) + 1:
            scores = dict(zip(columns, map(float, names[1:]), strict=True))
            rows.append((model, names[0], scores, "†" in line))
        elif match := re.match(r"(Table \d): ", line):
            if columns:
                found[match[1]] = rows
            columns = []
    return found


@pytest.fixture(scope="module")
def text(shared: Path) -> str:
    return (shared / "paper" / "paper.txt").read_text(encoding="utf-8")


def test_no_number_of_a_table_drifts(text: str) -> None:
    tables = printed(text)
    assert list(tables) == [f"Table {number}" for number in range(1, 7)]
    assert [len(rows) for rows in tables.values()] == [12, 6, 12, 6, 9, 10]
    for place, rows in tables.items():
        ours = paper.place(place)
        assert [(row.model, row.label, dict(row.published), row.daggered) for row in ours] == rows


def test_self_attention_has_the_numbers_of_the_text(text: str) -> None:
    match = re.search(
        r"scoring ([\d.]+), ([\d.]+) and ([\d.]+) for (.*?), (.*?) and (.*?), resp", text
    )
    assert match is not None
    rows = paper.place("Section 3.5")
    assert [row.published["CIDEr-D"] for row in rows] == [float(match[n]) for n in (1, 2, 3)]
    assert [row.model for row in rows] == [match[n] for n in (4, 5, 6)]
    assert all(row.label == "self-attention" and list(row.published) == ["CIDEr-D"] for row in rows)


def test_figure_five_has_recipes_and_no_numbers(text: str) -> None:
    rows = paper.place("Figure 5")
    caption = text[text.index("Figure 5: Variation") :].split("\n")[0]
    assert all(name in caption for name in ("CIDEr", "ROUGE-L", "METEOR", "BLEU-4"))
    assert len(rows) == 3 * 5
    assert {value for row in rows for value in row.published.values()} == {None}
    assert {tuple(row.published) for row in rows} == {("CIDEr-D", "ROUGE-L", "METEOR", "BLEU-4")}
    assert [row.label for row in rows[:5]] == [f"N = {n}" for n in (1, 2, 3, 4, 5)]


def test_daggers_mark_cells_that_the_original_papers_lack() -> None:
    marked = {row.model: row.reimplemented for row in paper.rows() if row.daggered}
    assert set(marked) == {"NIC", "Spatial-Attention", "Att-CNN+LSTM", "ATT-FCN"}
    assert all("SPICE" in cells and "ROUGE-L" in cells for cells in marked.values())
    assert "CIDEr-D" in marked["ATT-FCN"] and "CIDEr-D" not in marked["NIC"]


def test_rows_and_recipes_find_each_other() -> None:
    assert [str(row) for row in paper.rows_of("att-fcn-combined")] == [
        "Table 2, ATT-FCN, w/ MIA",
        "Table 5, ATT-FCN, T* -> I*",
        "Table 6, ATT-FCN, w/ MIA",
        "Figure 5, ATT-FCN, N = 2",
    ]
    assert paper.rows_of("att-fcn-normed") == ()
    for recipe in paper.recipes():
        assert paper.rows_of(recipe)
    with pytest.raises(UnknownName, match="Table 1"):
        paper.place("Tabel 1")
