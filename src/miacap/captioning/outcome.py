"""What came of a training: the kept weights' dev scores, and whether they beat seeing nothing.

`dev.json` in the run folder holds it, the card tells it to people. Both are written when the
training is finished, and not again: a card that somebody has edited stays.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from miacap import terminal
from miacap.captioning.blind import above as said_above
from miacap.captioning.blind import named
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import atomic, read_json, sha256, write_json
from miacap.settings import from_json, to_json
from miacap.wording import counted

if TYPE_CHECKING:  # who only asks for a doubt needs none of them
    from torch import nn

    from miacap.captioning.validation import DevScores
    from miacap.captioning.words import Lengths
    from miacap.data.leaks import Leak
    from miacap.metrics.comparisons import Interval
    from miacap.runs import Run
    from miacap.training import FitResult

__all__ = ["FILE", "behind", "doubt", "finish"]

FILE = "dev.json"
_FEW = 500
"""Training pictures below which more pictures are the first thing to try."""


@dataclass(frozen=True)
class Outcome:
    """What `dev.json` holds.

    Attributes:
        step: training steps taken.
        best_epoch: after which the kept weights were reached.
        scores: dev scores of these weights.
        above: CIDEr-D above each captioner that sees nothing: difference, low, high.
        training_pictures: pictures that were trained on.
        training_captions: their captions.
        cut_captions: those that were longer than the run's captions may be.
        card_sha256: of the card that was written; another one was edited by hand.
        format: of this file.
    """

    step: int
    best_epoch: int
    scores: dict[str, Any]
    above: dict[str, Any]
    training_pictures: int
    training_captions: int
    cut_captions: int
    card_sha256: str
    format: Literal[1] = 1


def finish(
    result: "FitResult",
    scores: Mapping[str, float],
    module: "nn.Module",
    dev: "DevScores",
    captions: Mapping[str, tuple[str, ...]],
    lengths: "Lengths",
    leaks: Sequence["Leak"] = (),
) -> None:
    """Write `dev.json` and the card of a finished training, once.

    Args:
        result: of the training.
        scores: dev numbers of its best epoch.
        module: the captioner with the kept weights.
        dev: captions and scores the dev pictures.
        captions: of the training pictures, for the constant caption.
        lengths: of the training captions.
        leaks: pictures that are in two splits; the card tells of them.
    """
    from miacap.captioning.evaluation import above_blind
    from miacap.runs import CARD, card_text

    folder = dev.run.folder
    before, file = _read(folder), folder / CARD
    if before is not None and before.step == result.steps and file.is_file():
        return
    above = above_blind(captions, dev.references, dev.candidates(module))
    plain = {name: _plain(interval) for name, interval in above.items()}
    notes = [*_notes(above, lengths, dev), *(f"Take care: {leak.told}" for leak in leaks)]
    if said := _doubt(plain, len(captions)):
        notes.append(said[0].upper() + said[1:])
    text = card_text(dev.run, scores, result.best_epoch, notes)
    # Without a record nobody knows whether a card was edited: it is somebody's until it is deleted.
    edited = file.is_file() and (before is None or sha256(file) != before.card_sha256)
    outcome = Outcome(
        step=result.steps,
        best_epoch=result.best_epoch,
        scores=dict(scores),
        above=plain,
        training_pictures=len(captions),
        training_captions=lengths.captions,
        cut_captions=lengths.longer,
        card_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    # First what the card is known by: after a kill in between it is written again.
    write_json(folder / FILE, to_json(outcome))
    if edited:
        terminal.tell(
            f"warning: {file}: left, as it may have been edited; delete it to have it anew."
        )
        return
    with atomic(file, "w") as out:
        out.write(text)


def doubt(folder: str | os.PathLike[str]) -> str | None:
    """Say so where a finished training did not learn to look, and what to do about it.

    A captioner has learned to look where its dev CIDEr-D lies above a constant caption's and
    above that of its own captions shuffled, each with its whole interval.
    """
    outcome = _read(Path(folder))
    return None if outcome is None else _doubt(outcome.above, outcome.training_pictures)


def behind(start: "Run", run: "Run", scores: Mapping[str, float]) -> str | None:
    """Say so where a training left its captioner worse than the run that it began with.

    Args:
        start: that run; nothing is said where its scores are not known, or are of other data.
        run: what came of the training.
        scores: dev scores of the weights that were kept.
    """
    from miacap.runs.folder import read_sources
    from miacap.runs.objectives import WATCHED
    from miacap.runs.starting import called

    before = _read(start.folder)
    if before is None or run.settings.training.watch not in ("", WATCHED):
        return None
    ours, theirs = ({row["sha256"] for row in read_sources(r.folder)} for r in (run, start))
    old, new = before.scores.get(WATCHED), scores.get(WATCHED)
    if ours != theirs or not isinstance(old, float) or new is None or new >= old:
        return None
    return (
        f"{run.folder}: {WATCHED} on dev is {new:.4f}, and that of {called(start)}, with which it "
        f"began, is {old:.4f}: keep that run, or begin again with another learning_rate or more "
        f"epochs, or train {called(start)} longer first."
    )


def _doubt(above: Mapping[str, Any], pictures: int) -> str | None:
    lost = [name for name, numbers in above.items() if not _low(numbers) > 0]
    if not lost:
        return None
    advice = "train for more epochs, or with another captioner or learning rate"
    if pictures < _FEW:
        advice = (
            f"{counted(pictures, 'training picture is', 'training pictures are')} few: bring "
            "some thousand, or begin with a public set of captions (docs/data.md)"
        )
    return (
        f"it has not learned to look: on the dev pictures its captions are no better than "
        f"{' and '.join(map(named, lost))} (CIDEr-D). What to do: {advice}."
    )


def _low(numbers: Any) -> float:
    low = numbers.get("low") if isinstance(numbers, Mapping) else None
    return float(low) if isinstance(low, int | float) else 0.0


def _notes(above: Mapping[str, "Interval"], lengths: "Lengths", dev: "DevScores") -> list[str]:
    notes = [said_above(name, i.difference, i.low, i.high, digits=3) for name, i in above.items()]
    told = lengths.told(dev.run.settings.maximum_words)
    return notes if told is None else [*notes, f"{told}."]


def _plain(interval: "Interval") -> dict[str, float]:
    return {"difference": interval.difference, "low": interval.low, "high": interval.high}


def _read(folder: Path) -> Outcome | None:
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return from_json(Outcome, read_json(file), str(file))
    except (DataError, SettingsError) as error:
        raise RunError(f"{error} Delete {file} to have it anew.") from None
