"""Parameters counted, and a captioner widened until it has as many as another one."""

from collections.abc import Callable
from dataclasses import replace

from miacap import captioners
from miacap.errors import SettingsError
from miacap.runs import RunSettings
from miacap.runs.folder import make
from miacap.weights import outlined

__all__ = ["matched", "parameters"]

TOLERANCE = 0.01
"""How far a matched number of parameters may be off."""


def parameters(settings: RunSettings, words: int) -> int:
    """Count the numbers that training can change, for a vocabulary of `words` ids."""
    with outlined():
        module = make(settings, words)
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def matched(settings: RunSettings, larger: RunSettings, words: int) -> RunSettings:
    """Widen a captioner until it has as many parameters as another one, within 1 %.

    Args:
        settings: of the captioner to widen; its `width` is found by counting.
        larger: settings of the other one.
        words: W, the special ids included.

    Raises:
        SettingsError: no width comes within 1 %.
    """
    wanted = parameters(larger, words)
    sizes = captioners.sizes(settings.captioner, settings.source, **settings.sizes)
    step, fine = sizes.width_multiple, sizes.adjustable

    def sized(name: str, value: int, base: RunSettings = settings) -> RunSettings:
        return replace(base, sizes={**base.sizes, name: value})

    width = _largest(lambda n: parameters(sized("width", n * step), words), wanted) * step
    candidates = [sized("width", width), sized("width", width + step)]
    if fine is not None:  # fill up what one more of width would overshoot by
        narrow = candidates[0]
        start = _largest(lambda n: parameters(sized(fine, n, narrow), words), wanted)
        candidates += [sized(fine, start, narrow), sized(fine, start + 1, narrow)]
    best = min(candidates, key=lambda candidate: abs(parameters(candidate, words) - wanted))
    count = parameters(best, words)
    if abs(count - wanted) > TOLERANCE * wanted:
        raise SettingsError(
            f"No width gives {settings.captioner} fed {settings.source!r} {wanted} parameters "
            f"within 1 %; the nearest has {count}. Choose another width for the refined one."
        )
    return best


def _largest(count: Callable[[int], int], wanted: int) -> int:
    """Give the largest n >= 1 whose count is at most `wanted` (counts grow with n)."""
    high = 2
    while count(high) <= wanted:
        high *= 2
    low = 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= wanted else (low, middle)
    return low
