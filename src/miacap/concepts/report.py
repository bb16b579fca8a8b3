"""What `concepts.train` and `concepts.read` found out, for `report.json` and for people."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from miacap import terminal
from miacap.concepts.evaluation import base_rate, measure
from miacap.wording import counted


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


def known_before(report: Mapping[str, Any]) -> str | None:
    """Say so where the features of training pictures knew their captions already."""
    _, but, known = str(report.get("train is scored", "")).partition(", but ")
    if not but:
        return None
    return (
        f"{known}: concepts of training pictures are better than those of new ones, though they "
        "are scored out of fold. Networks that did not see them: miacap tune --set folds=5"
    )


SUSPICIOUS = 0.1
"""Lists this much more precise on train than on dev were made by what had seen the captions:
extractors on Flickr8k reach .76 on photos they saw, .44 on all others."""
ENOUGH = 100
"""With fewer pictures a difference as large is chance (P@10 of one picture spreads by .2 to .3)."""


GAIN, SLACK = 0.005, 0.02
"""By how much an extractor has to be better than the base rate: in log-likelihood, as a share of
it, or in P@10. On 40 to 300 drawn scenes extractors gain 1 to 3 %, on noise nothing."""


def table(report: Mapping[str, Any]) -> str:
    """Set the splits' numbers beside their base rates as lines of text."""
    splits: Mapping[str, Any] = report["splits"]
    names = list(next(iter(splits.values()))["scores"]) if splits else []
    lines = [
        f"{counted(report['words'], 'concept')}, {report['extractor']} extractor, "
        f"{counted(report['epochs'], 'epoch')}, {counted(report['pictures'], 'picture')} scored",
        f"{'split':<14}{'pictures':>9}" + "".join(f"{name:>9}" for name in names),
    ]
    for split, row in splits.items():
        for label, numbers in ((split, row["scores"]), ("  base rate", row["base rate"])):
            count = str(row["pictures"]) if label == split else ""
            cells = "".join(f"{numbers[name]:>9.3f}" for name in names)
            lines.append(f"{label:<14}{count:>9}{cells}")
    return "\n".join(lines)


def lists_table(report: Mapping[str, Any]) -> str:
    """Set what was read from a file of lists as lines of text, beside the base rates."""
    how = {"ranks": "ranked by their order", "probabilities": "ranked by their probabilities"}
    file = terminal.escape(report["file"])
    lines = [
        f"{counted(report['words'], 'concept')} of {file}, {how[report['scores']]}, for "
        f"{counted(report['pictures'], 'picture')}",
    ]
    for why, left in report["words left out"].items():
        if left["words"]:
            share = left["mentions"] / report["mentions"]
            lines.append(
                f"left out, {why}: {counted(left['words'], 'word')} ({share:.1%} of all that is "
                "listed)"
            )
    lines.append(
        f"{'split':<14}{'pictures':>9}{'without':>9}{'least':>7}{'median':>8}{'most':>7}"
        f"{'P@10':>8}{'R@10':>8}"
    )
    for split, row in report["splits"].items():
        long = row.get("concepts a picture", {})
        cells = [f"{long[name]:g}" if long else "-" for name in ("least", "median", "most")]
        lines.append(
            f"{split:<14}{row['pictures']:>9}{row['without concepts']:>9}"
            f"{cells[0]:>7}{cells[1]:>8}{cells[2]:>7}" + _numbers(row.get("scores"))
        )
        if "base rate" in row:
            lines.append(f"{'  base rate':<54}" + _numbers(row["base rate"]))
    return "\n".join(lines)


def suspicion(report: Mapping[str, Any]) -> str | None:
    """Say so where lists of training pictures know more than those of dev pictures.

    Concepts of training pictures have to be as good as those of new ones, no better: a captioner
    that learned to lean on better ones is let down by what it gets later.
    """
    rows = [report["splits"].get(split, {}) for split in ("train", "dev")]
    if any(row.get("compared", 0) < ENOUGH for row in rows):
        return None
    train, dev = (row["scores"]["P@10"] for row in rows)
    if train - dev <= SUSPICIOUS:
        return None
    return (
        f"P@10 is {train:.3f} on train and {dev:.3f} on dev: whatever made these lists seems to "
        "have learned from the captions of the training pictures. Have each training picture's "
        "list made without its captions."
    )


def at_base_rate(report: Mapping[str, Any]) -> str | None:
    """Say so where trained extractors find words no better than the words' frequencies do.

    That is asked of pictures that none of them learned from: dev, else test, else train, whose
    pictures are scored out of fold.
    """
    splits = report["splits"]
    split = next((name for name in ("dev", "test", "train") if name in splits), None)
    if split is None or "log-likelihood" not in splits[split]:
        return None
    row = splits[split]
    likelihood, name = row["log-likelihood"], f"P@{min(10, report['words'])}"
    gain = likelihood["scores"] - likelihood["base rate"]
    precision, base = row["scores"][name], row["base rate"][name]
    if gain > GAIN * abs(likelihood["base rate"]) or precision > base + SLACK:
        return None
    pictures = splits["train"]["pictures"]
    return (
        f"on {split} the words are found no better than by their frequencies alone ({name} "
        f"{precision:.3f}, and {base:.3f} at the base rate): the extractor learned nothing from "
        f"{counted(pictures, 'training picture')}. Give it more (some hundreds at least), or "
        "train a "
        "captioner that reads no concepts: --source plain"
    )


def _numbers(numbers: Mapping[str, float] | None) -> str:
    if numbers is None:
        return f"{'-':>8}{'-':>8}"
    return f"{numbers['P@10']:>8.3f}{numbers['R@10']:>8.3f}"
