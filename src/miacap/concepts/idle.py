"""Settings of a training of concepts that have no effect: who gives them is told so."""

from miacap import terminal
from miacap.training import TrainingSettings
from miacap.training.idle import idle

__all__ = ["tell_idle"]


def tell_idle(training: TrainingSettings, dev: bool) -> None:
    """Say on standard error which settings have no effect.

    Args:
        training: as they were chosen.
        dev: whether there are captioned dev pictures, by which an epoch is chosen.
    """
    told = idle(training)
    if training.seed:
        told.append(f"training.seed={training.seed} has no effect: seed (--seed) is read instead")
    if training.watch and not dev:
        told.append(
            f"training.watch={training.watch} has no effect: no dev picture has captions, and the "
            "last epoch is kept"
        )
    for one in told:
        terminal.tell(f"note: {one}.")
