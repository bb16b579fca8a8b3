"""Scores as people and programs read them: a table, JSON, CSV, one line a picture.

Numbers are on the official scale everywhere: 0 to 1, CIDEr-D 0 to 10; a table says when it
multiplies by 100. SPICE's category Cardinality is called Count in tables, as in the paper.
"""

import csv
import io
import math
import os
from collections.abc import Mapping

from miacap import files, terminal
from miacap.metrics.comparisons import Interval, Permuted, Range
from miacap.metrics.scoring import Scores

_SHOWN = {"Cardinality": "Count"}


def table(scores: Scores, ranges: Mapping[str, Range] | None = None, percent: bool = False) -> str:
    """Lay out metrics, scores and 95 % intervals, with the signature below.

    Args:
        scores: what `score` gave.
        ranges: intervals by metric, if they were computed.
        percent: print everything times 100, as papers do.
    """
    factor, digits = (100.0, 1) if percent else (1.0, 4)
    lines = [f"{'metric':<18}{'score':>9}" + (f"{'95 % interval':>22}" if ranges else "")]
    for name, value in scores.items():
        line = f"{name:<18}{value * factor:>9.{digits}f}"
        if ranges and name in ranges:
            low, high = ranges[name].low * factor, ranges[name].high * factor
            line += f"{f'[{low:.{digits}f}, {high:.{digits}f}]':>22}"
        lines.append(line)
        if name == "SPICE":
            lines += [
                f"  {_SHOWN.get(category, category):<16}{_number(part * factor, digits):>9}"
                for category, part in scores.categories.items()
            ]
    for name, reason in scores.skipped.items():
        lines.append(f"{name:<18}{'-':>9}  {terminal.escape(reason)}")
    scale = "times 100" if percent else "0 to 1; CIDEr-D 0 to 10"
    signature = terminal.escape(scores.signature)  # it holds the name of a set from a file
    return "\n".join([*lines, f"scale: {scale}", f"signature: {signature}"])


def comparison(
    differences: Mapping[str, Interval], permuted: Mapping[str, Permuted], percent: bool = False
) -> str:
    """Lay out the differences between two systems."""
    factor, digits = (100.0, 2) if percent else (1.0, 4)
    lines = [f"{'difference':<18}{'':>9}{'95 % interval':>22}{'p boot':>9}{'p perm':>9}"]
    for name, interval in differences.items():
        low, high = interval.low * factor, interval.high * factor
        span = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
        lines.append(
            f"{name:<18}{interval.difference * factor:>+9.{digits}f}{span:>22}"
            f"{interval.p:>9.4f}{permuted[name].p:>9.4f}"
        )
    return "\n".join(lines)


def as_json(scores: Scores, ranges: Mapping[str, Range] | None = None) -> dict[str, object]:
    """Metric name -> corpus score, then ``signature`` and what else belongs to it."""
    value: dict[str, object] = {name: float(number) for name, number in scores.items()}
    value["signature"] = scores.signature
    value["pictures"] = len(scores.ids)
    if ranges:
        value["intervals"] = {name: [part.low, part.high] for name, part in ranges.items()}
    if scores.categories:
        value["SPICE categories"] = {
            name: None if math.isnan(part) else part for name, part in scores.categories.items()
        }
    if scores.skipped:
        value["skipped"] = dict(scores.skipped)
    value["warnings"] = list(scores.warnings)
    return value


def as_csv(scores: Scores, ranges: Mapping[str, Range] | None = None) -> str:
    """metric,score,low,high,signature: one line a metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "score", "low", "high", "signature"])
    for name, value in scores.items():
        part = ranges.get(name) if ranges else None
        span = [part.low, part.high] if part else ["", ""]
        writer.writerow([name, repr(value), *span, scores.signatures[name]])
    return text.getvalue()


def write_json(
    path: str | os.PathLike[str], scores: Scores, ranges: Mapping[str, Range] | None = None
) -> None:
    """Write ``as_json``, whole or not at all."""
    files.output_json(path, as_json(scores, ranges))


def write_csv(
    path: str | os.PathLike[str], scores: Scores, ranges: Mapping[str, Range] | None = None
) -> None:
    """Write ``as_csv``, whole or not at all."""
    with files.output(path) as file:
        file.write(as_csv(scores, ranges))


def write_per_picture(path: str | os.PathLike[str], scores: Scores) -> None:
    """Write JSON Lines: one object a picture, ``id`` and every metric."""
    with files.output(path) as file:
        for place, name in enumerate(scores.ids):
            row: dict[str, object] = {"id": name}
            row.update({metric: scores.per_picture[metric][place] for metric in scores})
            file.write(terminal.json_text(row) + "\n")


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
