"""What came of a training: the kept weights' dev scores, and whether they beat seeing nothing.

`dev.json` in the run folder holds it, the card tells it to people. Both are written when the
training is finished, and not again: a card that somebody has edited stays.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from miacap.captioning.evaluation import above_blind
from miacap.captioning.validation import DevScores
from miacap.captioning.words import Lengths
from miacap.errors import RunError
from miacap.files import read_json, sha256, write_json
from miacap.metrics.comparisons import Interval
from miacap.runs import CARD, write_card
from miacap.training import FitResult
from miacap.wording import counted

__all__ = ["FILE", "doubt", "finish"]

FILE = "dev.json"
_FORMAT = 1
_FEW = 500
"""Training pictures below which more pictures are the first thing to try."""


def finish(
    result: FitResult,
    scores: Mapping[str, float],
    module: nn.Module,
    dev: DevScores,
    captions: Mapping[str, tuple[str, ...]],
    lengths: Lengths,
) -> None:
    """Write `dev.json` and the card of a finished training, once.

    Args:
        result: of the training.
        scores: dev numbers of its best epoch.
        module: the captioner with the kept weights.
        dev: captions and scores the dev pictures.
        captions: of the training pictures, for the constant caption.
        lengths: of the training captions.
    """
    folder = dev.run.folder
    before = _read(folder)
    if before.get("step") == result.steps:
        return
    above = above_blind(captions, dev.references, dev.candidates(module))
    card = folder / CARD
    edited = card.is_file() and sha256(card) != before.get("card_sha256")
    if not edited:
        write_card(folder, scores, result.best_epoch, _notes(above, lengths, dev))
    write_json(
        folder / FILE,
        {
            "format": _FORMAT,
            "step": result.steps,
            "best_epoch": result.best_epoch,
            "scores": dict(scores),
            "CIDEr-D above": {name: _plain(interval) for name, interval in above.items()},
            "training_pictures": len(captions),
            "training_captions": lengths.captions,
            "cut_captions": lengths.longer,
            "card_sha256": before.get("card_sha256") if edited else sha256(card),
        },
    )


def doubt(folder: str | os.PathLike[str]) -> str | None:
    """Say so where a finished training did not learn to look, and what to do about it.

    A captioner has learned to look where its dev CIDEr-D lies above a constant caption's and
    above that of its own captions shuffled, each with its whole interval.
    """
    outcome = _read(Path(folder))
    above = outcome.get("CIDEr-D above", {})
    lost = [name for name, numbers in above.items() if not numbers["low"] > 0]
    if not lost:
        return None
    pictures = outcome["training_pictures"]
    advice = "train for more epochs, or with another captioner or learning rate"
    if pictures < _FEW:
        advice = (
            f"{counted(pictures, 'training picture is', 'training pictures are')} few: bring "
            "some thousand, or begin with a public "
            "set of captions (docs/data.md)"
        )
    return (
        f"it has not learned to look: on the dev pictures its captions are no better than "
        f"{' and '.join(lost)} (CIDEr-D). What to do: {advice}."
    )


def _notes(above: Mapping[str, Interval], lengths: Lengths, dev: DevScores) -> list[str]:
    notes = [
        f"CIDEr-D above {name}: {i.difference:+.3f} [{i.low:+.3f}, {i.high:+.3f}]."
        for name, i in above.items()
    ]
    told = lengths.told(dev.run.settings.maximum_words)
    return notes if told is None else [*notes, f"{told}."]


def _plain(interval: Interval) -> dict[str, float]:
    return {"difference": interval.difference, "low": interval.low, "high": interval.high}


def _read(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    if not file.is_file():
        return {}
    value = read_json(file)
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        raise RunError(f"{file}: not what this miacap writes there; delete it to have it anew.")
    return value
