"""Settings of a run that play no part beside the others: who gives them is told so."""

from miacap.runs.folder import Run
from miacap.runs.objectives import CrossEntropy, SelfCritical
from miacap.runs.settings import RunSettings
from miacap.settings import to_json
from miacap.training.idle import idle
from miacap.wording import counted

__all__ = ["without_effect"]

_SAMPLING = ("sampling_increase", "sampling_every", "sampling_begin")


def without_effect(settings: RunSettings, start: Run | None = None) -> list[str]:
    """Say which settings of a training were chosen and have no effect.

    Args:
        settings: of the training.
        start: the run that it begins with; what is kept of it was not chosen.

    Returns:
        A part of a sentence for each.
    """
    told = idle(settings.training)
    objective = settings.objective
    if isinstance(objective, CrossEntropy):
        told += _sampling(objective, settings.training.epochs)
    elif start is not None:
        told += _dropout(objective, settings, start)
    if start is None and settings.concepts is not None and settings.rows == "match":
        told.append(
            f"concepts={settings.concepts} has no effect: sizes.rows is match, which takes as many "
            "concepts as regions"
        )
    return told


def _sampling(objective: CrossEntropy, epochs: int) -> list[str]:
    """Look at scheduled sampling, which begins late. [train:scheduled-sampling]"""
    now, usual = to_json(objective), to_json(CrossEntropy())
    if not objective.sampling_most:
        return [
            f"objective.{name}={now[name]} has no effect: objective.sampling_most is 0"
            for name in _SAMPLING
            if now[name] != usual[name]
        ]
    said = f"objective.sampling_most={objective.sampling_most} has no effect: "
    if not objective.sampling_increase:
        return [f"{said}objective.sampling_increase is 0"]
    before = objective.sampling_begin + objective.sampling_every
    if before < epochs:
        return []
    return [
        f"{said}words are drawn after {counted(before, 'epoch')} (sampling_begin and "
        f"sampling_every), and this training has {epochs}"
    ]


def _dropout(objective: SelfCritical, settings: RunSettings, start: Run) -> list[str]:
    if objective.dropout:
        return []
    now, before = to_json(settings.parsed_sizes), to_json(start.settings.parsed_sizes)
    return [
        f"sizes.{name}={now[name]} has no effect: objective.dropout is false"
        for name in ("dropout", "region_dropout")
        if now.get(name) != before.get(name)
    ]
