"""What tuning found out, for `report.json` and for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from miacap.concepts.report import split_report
from miacap.concepts.tuning.data import TuningData
from miacap.concepts.tuning.settings import TuneSettings
from miacap.training import FitResult
from miacap.wording import counted

SEEN = "train, seen"


def report(
    data: TuningData,
    scores: Mapping[str, tuple[Sequence[str], Tensor]],
    result: FitResult,
    settings: TuneSettings,
) -> dict[str, Any]:
    """Measure what was scored."""
    frequencies = data.targets(data.splits["train"]).float().mean(0)
    splits = {
        split: split_report(found, data.targets(names), frequencies, 10)
        for split, (names, found) in scores.items()
    }
    return {
        "format": 1,
        "backbone": data.record.backbone,
        "extractor": settings.extractor,
        "words": len(data.wanted.words),
        "epochs": result.best_epoch,
        "folds": settings.folds,
        "training photos": len(data.splits["train"]),
        "photos set aside": len(data.looked.aside),
        "share of content words covered": round(data.wanted.covered, 6),
        "splits": splits,
        "history": list(result.history),
    }


def table(report: Mapping[str, Any]) -> str:
    """Set the splits' numbers beside their base rates as lines of text."""
    splits: Mapping[str, Any] = report["splits"]
    columns = list(next(iter(splits.values()))["scores"])
    lines = [
        f"{report['backbone']}, tuned on {counted(report['training photos'], 'photo')} for "
        f"{counted(report['words'], 'concept')}, {counted(report['epochs'], 'epoch')}",
        f"{'split':<20}{'pictures':>9}" + "".join(f"{name:>9}" for name in columns),
    ]
    for split, row in splits.items():
        label = "train, out of fold" if split == "train" else split
        for name, numbers in ((label, row["scores"]), ("  base rate", row["base rate"])):
            count = str(row["pictures"]) if name == label else ""
            cells = "".join(f"{numbers[column]:>9.3f}" for column in columns)
            lines.append(f"{name:<20}{count:>9}{cells}")
    return "\n".join(lines)


def leak(report: Mapping[str, Any]) -> str | None:
    """Say how much better the network knows photos that it learned from; None where no dev tells.

    Its features of training photos carry that knowledge into whatever is trained on them.
    """
    splits = report["splits"]
    if "dev" not in splits:
        return None
    name = next(iter(n for n in splits["dev"]["scores"] if n.startswith("P@")))
    seen, new = (splits[split]["scores"][name] for split in (SEEN, "dev"))
    more = f" and {splits['train']['scores'][name]:.3f} out of fold" if "train" in splits else ""
    return (
        f"{name} is {seen:.3f} on training photos that the network saw{more}, and {new:.3f} on "
        "dev: its features of training photos know their captions."
    )
