"""Scores as people and programs read them: a table, JSON, CSV, one line a picture.

Numbers are on the official scale everywhere: 0 to 1, CIDEr-D 0 to 10; a table says when it
multiplies by 100. SPICE's category Cardinality is called Count in tables, as in the paper.
"""

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from miacap import files, terminal
from miacap.metrics.comparisons import Comparison, Range
from miacap.metrics.scoring import Scores

_SHOWN = {"Cardinality": "Count"}
_LONGEST_NAME = 29
"""Characters of a system's name beside which a row fits 80 columns."""

_SYSTEM_COLUMNS = [
    "system",
    "metric",
    "score",
    "low",
    "high",
    "difference",
    "difference low",
    "difference high",
    "p bootstrap",
    "p permutation",
    "signature",
]


@dataclass(frozen=True)
class System:
    """A scored system.

    Attributes:
        name: what tables call it.
        scores: what `score` gave.
        ranges: intervals by metric, if they were computed.
        against_first: the first system's differences with this one; None for the first.
    """

    name: str
    scores: Scores
    ranges: Mapping[str, Range] | None = None
    against_first: Comparison | None = None


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
        lines.append(line + _span(ranges, name, factor, digits))
        if name == "SPICE":
            lines += [
                f"  {_SHOWN.get(category, category):<16}{_number(part * factor, digits):>9}"
                for category, part in scores.categories.items()
            ]
    return "\n".join([*lines, *_footer(scores, percent)])


def _span(ranges: Mapping[str, Range] | None, metric: str, factor: float, digits: int) -> str:
    if not ranges or metric not in ranges:
        return ""
    low, high = ranges[metric].low * factor, ranges[metric].high * factor
    return f"{f'[{low:.{digits}f}, {high:.{digits}f}]':>22}"


def _footer(scores: Scores, percent: bool) -> list[str]:
    """Say what is missing, on which scale the numbers are, and what another table must share."""
    skipped = [
        f"{name:<18}{'-':>9}  {terminal.escape(reason)}" for name, reason in scores.skipped.items()
    ]
    scale = "times 100" if percent else "0 to 1; CIDEr-D 0 to 10"
    signature = terminal.escape(scores.signature)  # it holds the name of a set from a file
    return [*skipped, f"scale: {scale}", f"signature: {signature}"]


def comparison(compared: Comparison, percent: bool = False) -> str:
    """Lay out the differences between two systems."""
    factor, digits = (100.0, 2) if percent else (1.0, 4)
    lines = [f"{'difference':<18}{'':>9}{'95 % interval':>22}{'p boot':>9}{'p perm':>9}"]
    for name, interval in compared.intervals.items():
        low, high = (_signed(end * factor, digits) for end in (interval.low, interval.high))
        lines.append(
            f"{name:<18}{_signed(interval.difference * factor, digits):>9}"
            f"{f'[{low}, {high}]':>22}{interval.p:>9.4f}{compared.permuted[name].p:>9.4f}"
        )
    return "\n".join(lines)


def systems_table(systems: Sequence[System], percent: bool = False) -> str:
    """Lay out several systems: every metric of each, then the first's differences with the others.

    Args:
        systems: the first one is compared with each of the others.
        percent: print everything times 100.
    """
    factor, digits = (100.0, 1) if percent else (1.0, 4)
    names = [terminal.escape(system.name) for system in systems]
    width = max(len(name) for name in (*names, "system") if len(name) <= _LONGEST_NAME) + 2
    first = systems[0]
    ranged = f"{'95 % interval':>22}" if first.ranges else ""
    lines = [f"{'metric':<18}{'system':<{width}}{'score':>9}{ranged}"]
    for metric in first.scores:
        label = metric
        for name, system in zip(names, systems, strict=True):
            shown = name
            if len(name) > _LONGEST_NAME:  # on a line of its own, above its numbers
                lines.append(f"{label:<18}{name}")
                label = shown = ""
            line = f"{label:<18}{shown:<{width}}{system.scores[metric] * factor:>9.{digits}f}"
            lines.append(line + _span(system.ranges, metric, factor, digits))
            label = ""
    lines += _footer(first.scores, percent)
    for name, system in zip(names, systems, strict=True):
        if system.against_first is not None:
            lines += ["", f"{names[0]} - {name}", comparison(system.against_first, percent)]
    return "\n".join(lines)


def as_json(scores: Scores, ranges: Mapping[str, Range] | None = None) -> dict[str, object]:
    """Metric name -> corpus score, then `signature` and what else belongs to it."""
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


def systems_json(systems: Sequence[System]) -> dict[str, object]:
    """The first system as `as_json` has it, then all `systems` and the first's `differences`."""
    first = systems[0]
    return {
        **as_json(first.scores, first.ranges),
        "systems": {system.name: as_json(system.scores, system.ranges) for system in systems},
        "differences": {
            f"{first.name} - {system.name}": {
                metric: {
                    "difference": part.difference,
                    "low": part.low,
                    "high": part.high,
                    "p bootstrap": part.p,
                    "p permutation": system.against_first.permuted[metric].p,
                }
                for metric, part in system.against_first.intervals.items()
            }
            for system in systems
            if system.against_first is not None
        },
    }


def systems_csv(systems: Sequence[System]) -> str:
    """One line for each system and metric; differences are the first system minus the line's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_SYSTEM_COLUMNS)
    for system in systems:
        for metric, value in system.scores.items():
            part = system.ranges.get(metric) if system.ranges else None
            row: list[object] = [system.name, metric, repr(value)]
            row += [part.low, part.high] if part else ["", ""]
            compared = system.against_first
            if compared is None:
                row += [""] * 5
            else:
                interval = compared.intervals[metric]
                row += [interval.difference, interval.low, interval.high]
                row += [interval.p, compared.permuted[metric].p]
            writer.writerow([*row, system.scores.signatures[metric]])
    return text.getvalue()


def write_json(path: str | os.PathLike[str], systems: Sequence[System]) -> None:
    """Write one system as `as_json`, several as `systems_json`; whole or not at all."""
    files.check_output(path)
    first = systems[0]
    several = len(systems) > 1
    files.output_json(
        path, systems_json(systems) if several else as_json(first.scores, first.ranges)
    )


def write_csv(path: str | os.PathLike[str], systems: Sequence[System]) -> None:
    """Write one system as `as_csv`, several as `systems_csv`; whole or not at all."""
    files.check_output(path)
    first = systems[0]
    several = len(systems) > 1
    with files.output(path) as file:
        file.write(systems_csv(systems) if several else as_csv(first.scores, first.ranges))


def write_per_picture(path: str | os.PathLike[str], systems: Sequence[System]) -> None:
    """Write JSON Lines: one object a picture, `id`, `system` if there are several, every metric."""
    files.check_output(path)
    with files.output(path) as file:
        for system in systems:
            for index, name in enumerate(system.scores.ids):
                row: dict[str, object] = {"id": name}
                if len(systems) > 1:
                    row["system"] = system.name
                values = system.scores.per_picture
                row.update({metric: values[metric][index] for metric in system.scores})
                file.write(terminal.json_text(row) + "\n")


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    """Print a difference with its sign; one that rounds to 0 has none of its own."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"
