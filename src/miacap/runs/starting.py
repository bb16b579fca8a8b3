"""Begin a training with the weights of a run: its captioner, words, features and concepts stay."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from miacap.concepts import ConceptFolder, check_fits
from miacap.data.dataset import Source
from miacap.data.features import Record, require_same
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import sha256
from miacap.runs.card import CARD
from miacap.runs.folder import Run, build, read_sources
from miacap.runs.objectives import CrossEntropy, Objective, SelfCritical
from miacap.runs.overview import overview, recorded
from miacap.runs.pretrained import name_of
from miacap.runs.settings import (
    FORMAT,
    BackboneTuning,
    RunSettings,
    Start,
    tuned_training,
    usual_training,
)
from miacap.settings import from_json, to_json
from miacap.wording import counted

__all__ = [
    "begun",
    "called",
    "captioner_of",
    "check_start",
    "continued",
    "notes",
    "seeking",
    "tuned",
    "what_is_sought",
]

Kind = Literal["cross-entropy", "self-critical"]
"""What a training that begins with a run may seek."""

_FIXED = ("captioner", "source", "concepts", "minimum_count")
"""Settings that the weights of a run depend on, beside its sizes."""

_FREE_SIZES = ("dropout", "region_dropout", "region_width")
"""Sizes that may differ: no weight depends on dropout, and the width is that of the features."""


@dataclass(frozen=True)
class _Sought:
    objective: Objective


def continued(
    run: Run,
    objective: Kind = "self-critical",
    folder: str | os.PathLike[str] | None = None,
) -> RunSettings:
    """Give the settings of a training that begins with a run's best weights.

    Args:
        run: a trained run; its captioner, words, lengths, batches and search are kept.
        objective: what the new training seeks. Its own settings are those of the run where the
            run sought the same, else the usual ones; those of the training are the usual ones.
        folder: of the new training. Where it was begun with the same weights and objective
            before, the settings of the objective are those with which it was begun.

    Raises:
        RunError: the run has no weights yet.
    """
    start = _start(run)
    chosen = _recorded(folder, start, objective)
    if chosen is None:
        chosen = run.settings.objective
    if chosen.kind != objective:
        chosen = SelfCritical() if objective == "self-critical" else CrossEntropy()
    return replace(
        run.settings,
        objective=chosen,
        training=usual_training(run.settings.captioner, chosen),
        start=start,
        word_vectors=None,
        tuning=None,
        format=FORMAT,
    )


def tuned(
    run: Run,
    objective: Kind = "cross-entropy",
    folder: str | os.PathLike[str] | None = None,
) -> RunSettings:
    """Give the settings of a training in which the backbone of a run learns as well.

    Args:
        run: a trained run, as for `continued`.
        objective: what the new training seeks; self-critical training learns as slowly here as
            with features.
        folder: of the new training, as for `continued`.

    Raises:
        RunError: the run has no weights yet.
    """
    settings, training = continued(run, objective, folder), tuned_training()
    if objective == "self-critical":
        training = replace(settings.training, checkpoint_every=training.checkpoint_every)
    return replace(settings, training=training, tuning=BackboneTuning())


def begun(settings: RunSettings, run: Run | None) -> RunSettings:
    """Give the settings with the run that training begins with written down.

    Args:
        settings: of the new run.
        run: None where the weights are drawn.

    Raises:
        RunError: the run has no weights yet.
        SettingsError: settings that do not go with the run's weights, or self-critical training
            from nothing.
    """
    if run is None:
        if isinstance(settings.objective, SelfCritical) or settings.start is not None:
            named = "RUN" if settings.start is None else settings.start.run
            raise SettingsError(
                f"The objective {settings.objective.kind!r} begins here with a trained run: give "
                f"it with --from {named} (in Python start=runs.load({named!r}))."
            )
        return settings
    old, new = to_json(run.settings), to_json(settings)
    for name in _FIXED:
        _refuse(run, name, old[name], new[name])
    sizes = (to_json(settings.parsed_sizes), to_json(run.settings.parsed_sizes))
    for name in sizes[0].keys() - {*_FREE_SIZES}:
        _refuse(run, f"sizes.{name}", sizes[1][name], sizes[0][name])
    return replace(settings, start=_start(run))


def check_start(
    run: Run, features: Record, width: int, where: str, concepts: ConceptFolder | None
) -> None:
    """Refuse features and concepts that are not the run's.

    Args:
        run: that training begins with.
        features: how the features were made.
        width: numbers a region.
        where: their folder.
        concepts: that are given; looked at where the run reads concepts.

    Raises:
        RunError: says what differs.
    """
    require_same(run.preprocessing, features, str(run.folder), where)
    if width != run.settings.region_width:
        raise RunError(
            f"{run.folder} reads regions of {counted(run.settings.region_width, 'number')}, and "
            f"{where} has regions of {width}; give the features that it was trained on."
        )
    if concepts is not None and run.concepts is not None:
        check_fits(run.concepts, concepts.source, reads_scores="scores" in run.reads)


def seeking(settings: RunSettings, objective: Any) -> RunSettings:
    """Give settings with another objective.

    Args:
        settings: of a training.
        objective: as JSON: of several processes, the main one's, which alone has to see the folder
            that says what a training was begun with.

    Raises:
        SettingsError: no objective.
    """
    found = from_json(_Sought, {"objective": objective}, "main process")
    return replace(settings, objective=found.objective)


def captioner_of(run: Run, settings: RunSettings) -> nn.Module:
    """Build the captioner that training begins with: the run's weights, the training's dropout.

    Args:
        run: that training begins with.
        settings: of the training; its `start` names the weights.

    Raises:
        RunError: no weights, damaged ones, or others than `start` says.
    """
    weights = run.captioner("cpu").state_dict()
    if not _start(run).same(settings.start):  # after they were read: these are the ones
        raise RunError(
            f"{run.folder}: its weights changed while training was prepared, as it is trained "
            "itself; begin again when it has ended."
        )
    module = build(settings, len(run.vocabulary))
    module.load_state_dict(weights)
    return module


def notes(run: Run, objective: Objective, sources: Sequence[Source]) -> tuple[str, ...]:
    """Say what a reader of a training's scores has to know of the run that it begins with.

    Args:
        run: that training begins with.
        objective: of the training.
        sources: the files of the captions that it learns from and is chosen by.

    Returns:
        Sentences: that the run is not finished, what is sought, and that its dev pictures may have
        been seen.
    """
    told = (_unfinished(run), what_is_sought(run, objective), _other_captions(run, sources))
    return tuple(one for one in told if one)


def _other_captions(run: Run, sources: Sequence[Source]) -> str | None:
    """Say so where a run was not trained on these files."""
    known = {row.get("sha256") for row in read_sources(run.folder)}
    fresh = [source.name for source in sources if source.sha256 not in known]
    if not fresh:
        return None
    return (
        f"{called(run)} was not trained on {fresh[0]}; its words are kept, and whether it saw the "
        "dev pictures is not known."
    )


def _unfinished(run: Run) -> str | None:
    """Say so where a run that training begins with is not trained to its end, else None.

    It may have been finished once, and gone on since.
    """
    known = overview(run.folder).state in ("finished", "damaged")  # damaged: its log, not itself
    if known and (run.folder / CARD).is_file():
        return None
    return f"{called(run)} is not trained to its end; this begins with its best weights so far."


def what_is_sought(run: Run, objective: Objective) -> str | None:
    """Say what a training keeps of its run's objective, or where the two differ.

    Cross-entropy is what a training seeks where nobody says otherwise, so that is said, too, where
    its run was trained self-critically.

    Args:
        run: that training begins with.
        objective: of the new training.

    Returns:
        A sentence; None where self-critical training follows cross-entropy, or where both seek the
        same with nothing but the usual settings.
    """
    before = run.settings.objective
    if objective.kind != before.kind:
        if isinstance(objective, SelfCritical):
            return None
        return (
            f"{called(run)} was trained with objective={before.kind}, and this training has "
            f"objective={objective.kind}; to go on as there, add --set objective={before.kind}."
        )
    old, new, usual = to_json(before), to_json(objective), to_json(type(objective)())
    differing = [f"objective.{n}={_text(new[n])} (there {_text(old[n])})" for n in new
                 if new[n] != old[n]]  # fmt: skip
    if differing:
        return f"This training has another objective than {called(run)}: {', '.join(differing)}."
    kept = [f"objective.{name}={_text(new[name])}" for name in new if new[name] != usual[name]]
    return (
        f"This training keeps the objective of {called(run)}: {', '.join(kept)}." if kept else None
    )


def called(run: Run) -> str:
    """Name a run in a note: an installed captioner by its name, another by its folder."""
    folder = run.folder.resolve()
    name = name_of(folder)
    return str(run.folder) if name == folder.name else name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _recorded(folder: str | os.PathLike[str] | None, start: Start, kind: Kind) -> Objective | None:
    """Give the objective with which a training was begun, with these weights; None: none was."""
    if folder is None:
        return None
    try:
        before = recorded(Path(folder))
        if before is None or not start.same(from_json(Start, before.get("start"), str(folder))):
            return None
        objective = from_json(_Sought, {"objective": before.get("objective")}, str(folder))
    except (DataError, SettingsError):
        return None  # going on with it is refused later, by who reads it whole
    return objective.objective if objective.objective.kind == kind else None


def _refuse(run: Run, name: str, old: Any, new: Any) -> None:
    if old != new:
        raise SettingsError(
            f"{run.folder}: its weights were trained with {name}={old!r}, not {new!r}; take "
            f"{name}={old!r}, or begin with another run."
        )


def _start(run: Run) -> Start:
    file = run.folder / "weights.safetensors"
    if not file.is_file():
        raise RunError(
            f"{run.folder}: no weights yet to begin with; train it to the end of one epoch first."
        )
    return Start(name_of(run.folder.resolve()), sha256(file))
