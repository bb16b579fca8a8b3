"""The table of rooms in docs/architecture.md: each room once, in order, with what it imports."""

import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from drawing import GROUND, imports  # beside this file; tests are no package

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "miacap"


def rows() -> list[tuple[list[str], str]]:
    """The rooms that each row names, and what stands in its column of imports."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("| room | what lives there | imports | torch |\n")[2].partition("\n\n")[
        0
    ]
    lines = [line.strip("|").split("|") for line in table.splitlines()[1:]]
    return [(re.findall(r"`(\w+)`", cells[0]), cells[2].strip()) for cells in lines]


def test_each_room_and_each_file_of_the_ground_floor_is_named_once() -> None:
    there = [
        path.stem
        for path in SOURCES.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    ]
    named = [name for names, _ in rows() for name in names]
    assert sorted(named) == sorted(set(there) - {"__init__", "__main__"})
    assert set(rows()[0][0]) == set(GROUND)


def test_rows_stand_in_the_order_of_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [
        one["layers"] for one in contracts["contracts"] if one.get("containers") == ["miacap"]
    ]
    height = {name: -index for index, layer in enumerate(layers) for name in layer.split(" | ")}
    rooms = [names for names, _ in rows()[1:]]
    lowest = [min(height[name] for name in names) for names in rooms]
    assert lowest == sorted(lowest)
    assert max(height[name] for name in GROUND) < lowest[0]


def test_a_row_names_the_rooms_that_are_imported() -> None:
    found, compared = imports(), 0
    for names, said in rows()[1:]:
        if said.startswith("all"):
            continue
        written = re.sub(r"\(.*?\)", "", said).replace("nothing at all", "-").strip(" -")
        wanted = {name.strip() for name in written.split(",")} - {""}
        assert [found[name] for name in names] == [wanted] * len(names), names
        compared += 1
    assert compared > 10
