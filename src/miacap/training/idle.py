"""Settings of a training that play no part beside the others: who gives them is told so."""

from miacap.settings import to_json
from miacap.training.settings import TrainingSettings

__all__ = ["idle"]

_FALLING = ("cosine", "linear")
_STEPPING = ("step", "exponential")

_OF: dict[str, tuple[str, tuple[str, ...]]] = {
    "betas": ("optimiser", ("adamw", "adam")),
    "momentum": ("optimiser", ("sgd",)),
    "rms_decay": ("optimiser", ("rmsprop",)),
    "schedule_epochs": ("schedule", _FALLING),
    "final_factor": ("schedule", _FALLING),
    "step_epochs": ("schedule", _STEPPING),
    "step_factor": ("schedule", _STEPPING),
    "constant_epochs": ("schedule", _STEPPING),
    "average_decay": ("average", ("exponential",)),
    "average_epochs": ("average", ("epochs",)),
}
"""Which setting decides whether another one is read, and for which of its values."""


def idle(settings: TrainingSettings) -> list[str]:
    """Say which settings are not the default and have no effect, and what they would need.

    Returns:
        A part of a sentence for each: "training.momentum=0.5 has no effect:
        training.optimiser is adamw, not sgd".
    """
    now, usual = to_json(settings), to_json(TrainingSettings())
    told = []
    for name, (switch, choices) in _OF.items():
        if now[name] == usual[name] or now[switch] in choices:
            continue
        if name == "schedule_epochs" and settings.warmup_steps:
            continue  # the warm-up takes at most half of the schedule's steps
        told.append(
            f"training.{name}={now[name]} has no effect: training.{switch} is {now[switch]}, not "
            f"{' or '.join(choices)}"
        )
    return told
