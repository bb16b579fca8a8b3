"""Join what the benchmarks wrote into one page: docs/performance.md, and docs/performance.json.

    python benchmarks/page.py [bench/*.json]

`make bench` runs every benchmark, then this. Without files it makes the page's table anew from
docs/performance.json; a benchmark that was not run again keeps its rows of before.
"""

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from miacap.files import atomic, write_json

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, NUMBERS = DOCS / "performance.md", DOCS / "performance.json"
_TABLE = re.compile(r"(<!-- measured -->\n)(.*?)(<!-- end -->)", re.S)


def joined(known: Mapping[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """Put the files' measurements beside, or in place of, those that are known, by file name."""
    found = dict(known)
    for path in files:
        value = json.loads(path.read_text(encoding="utf-8"))
        kept = ("command", "machine", "rows", "curves", "photos")
        found[path.stem] = {name: value[name] for name in kept if name in value}
    return dict(sorted(found.items()))


def table(numbers: Mapping[str, Any]) -> str:
    """The page's table, in Markdown: a row for each kind of work."""
    lines = [
        "| work | ours: min, median | beside | its min, median | ratio | asked | by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, measured in numbers.items():
        for row in measured["rows"]:
            note = f" ({row['note']})" if row["note"] else ""
            lines.append(
                f"| {row['work']}{note} | {_times(row['ours'])} {row['unit']} | {row['other']} "
                f"| {_times(row['theirs'])} | {row['ratio']:.2f} {row['told']} | {row['bar']} "
                f"| {name} |"
            )
    curves = numbers.get("curves", {}).get("curves", {})
    photos = _photos(numbers.get("extraction", {}).get("photos", {}))
    return "\n".join([*lines, "", *photos, *_curves(curves), *_runs(numbers)]) + "\n"


def _photos(sizes: Mapping[str, Any]) -> list[str]:
    """What each part of the way from JPEG to store costs, by the size of the photos."""
    if not sizes:
        return []
    parts = ("network", "decoding", "scaling", "checksums", "writing")
    lines = [
        "### From JPEG to store, by the size of the photos",
        "",
        "EfficientNet-Lite2 at 224 px, float32, one thread, freed memory kept: CPU milliseconds a",
        "photo, the least of the rounds, each part run by itself (scaling: with normalising). The",
        "photos are drawn, the camera's with a grain.",
        "",
        f"| photos | kB | {' | '.join(parts)} | the whole way | photos a CPU second | beside the "
        "network alone |",
        "| --- " * (len(parts) + 5) + "|",
    ]
    for size, found in sizes.items():
        each = {name: 1000 * least / found["photos"] for name, (least, _) in found["times"].items()}
        told = " | ".join(f"{each[part]:.2f}" for part in parts)
        rate, bare = (1000 / each[name] for name in ("all", "network"))
        lines.append(
            f"| {size} | {found['kilobytes']:.0f} | {told} | {each['all']:.2f} | {rate:.1f} | "
            f"{100 * rate / bare:.0f} % of {bare:.1f} |"
        )
    return [*lines, ""]


def _curves(curves: Mapping[str, Any]) -> list[str]:
    """What a picture costs as one size grows; the least of the rounds."""
    if not curves:
        return []
    lines = [
        "### What a picture costs as one size grows",
        "",
        "Spatial-Attention, `combined`, width 512, one thread: CPU milliseconds a picture. One",
        "size changes at a time, from 49 regions, 2 iterations, beam 3, 9,487 words, 16 pictures.",
        "",
        "| over | of a | size: CPU ms a picture |",
        "| --- | --- | --- |",
    ]
    for name, kinds in curves.items():
        for kind, points in kinds.items():
            told = " · ".join(f"{size:,g}: {1000 * least:.3g}" for size, least, _ in points)
            lines.append(f"| {name} | {kind} | {told} |")
    return [*lines, ""]


def _runs(numbers: Mapping[str, Any]) -> list[str]:
    """How each was run: command, machine and how busy it was."""
    lines = [
        "### How each was run",
        "",
        "| benchmark | command | machine | load before the end | day |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, measured in numbers.items():
        at = measured["machine"]
        lines.append(
            f"| {name} | `{measured['command']}` | {at['processor']}, {at['cores']} cores, "
            f"{at['system']}, Python {at['python']} | {at['load']} | {at['date']} |"
        )
    return lines


def _times(times: Mapping[str, float]) -> str:
    return f"{times['least']:.3g}, {times['median']:.3g}"


def page(text: str, numbers: Mapping[str, Any]) -> str:
    """The page with its table made anew."""
    return _TABLE.sub(lambda match: f"{match[1]}{table(numbers)}{match[3]}", text)


def main() -> None:
    """Read the files, write the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    chosen = parser.parse_args()
    known = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    numbers = joined(known, chosen.files)
    write_json(NUMBERS, numbers)
    text = page(PAGE.read_text(encoding="utf-8"), numbers)
    with atomic(PAGE, "w") as file:
        file.write(text)
    print(f"Written: {PAGE} and {NUMBERS}.")


if __name__ == "__main__":
    main()
