"""What is said of a run beside two captioners that see nothing; needs no torch.

One gives every photo the same caption, the other gives the run's own captions to other photos.
Whoever is no better than both does not look.
"""

from collections.abc import Iterable

__all__ = ["CONSTANT", "SHUFFLED", "above", "named", "verdict"]

CONSTANT = "a constant caption"
SHUFFLED = "its captions shuffled"
"""Their names in `dev.json` and in the file of `evaluate --json`."""

_TOLD = {
    CONSTANT: "one caption given to every photo",
    SHUFFLED: "its own captions given to other photos",
}


def named(name: str) -> str:
    """Say in words what such a captioner does."""
    return _TOLD.get(name, name)


def above(name: str, difference: float, low: float, high: float, digits: int = 4) -> str:
    """Say how far a run's CIDEr-D is above (or below) that of one of them.

    Args:
        name: of the captioner.
        difference: the run's CIDEr-D less its.
        low: end of the 95 % interval.
        high: its other end.
        digits: after the point.
    """
    side = "above" if difference >= 0 else "below"
    return (
        f"CIDEr-D is {abs(difference):.{digits}f} {side} that of {named(name)} "
        f"(95 % interval {low:+.{digits}f} to {high:+.{digits}f})."
    )


def verdict(lows: Iterable[float]) -> str:
    """Say what the intervals mean, and what to do where one is not above 0; nothing of none.

    Args:
        lows: lower end of each interval.
    """
    lows = list(lows)
    if not lows:
        return ""
    if min(lows) > 0:
        whole = "Both intervals are" if len(lows) > 1 else "The interval is"
        return f"{whole} above 0: the captions depend on the photos."
    whole = "Not every interval is" if len(lows) > 1 else "The interval is not"
    return (
        f"{whole} above 0: the captions may not depend on the photos. Train for more epochs, on "
        "more photos, or with another learning rate."
    )
