"""What ``concepts.train`` found out, for ``report.json`` and for people."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from miacap.concepts.evaluation import base_rate, measure


def split_report(
    scores: Float[Tensor, "B A"],
    targets: Bool[Tensor, "B A"],
    frequencies: Float[Tensor, " A"],
    k: int,
) -> dict[str, Any]:
    """Measure a split's scores (B x A) beside the training frequencies (A)."""
    ks = sorted({10, k})
    return {
        "pictures": len(targets),
        "scores": measure(scores, targets, ks),
        "base rate": base_rate(frequencies, targets, ks),
    }


def table(report: Mapping[str, Any]) -> str:
    """Set the splits' numbers beside their base rates as lines of text."""
    splits: Mapping[str, Any] = report["splits"]
    names = list(next(iter(splits.values()))["scores"]) if splits else []
    lines = [
        f"{report['words']} concepts, {report['extractor']} extractor, {report['epochs']} epochs, "
        f"{report['pictures']} pictures scored",
        f"{'split':<14}{'pictures':>9}" + "".join(f"{name:>9}" for name in names),
    ]
    for split, row in splits.items():
        for label, numbers in ((split, row["scores"]), ("  base rate", row["base rate"])):
            count = str(row["pictures"]) if label == split else ""
            cells = "".join(f"{numbers[name]:>9.3f}" for name in names)
            lines.append(f"{label:<14}{count:>9}{cells}")
    return "\n".join(lines)
