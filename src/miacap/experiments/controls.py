"""Controls: what a gain of the refiner has to be told apart from.

arm                 what it holds still
self-attention      the same modules, each stream guided by itself (section 3.5)
regions-first       the same steps, in the other order (appendix A.1)
n1, n3, n4, n5      another N, trained with it (Figure 5); n2 is the paper's own
n0                  no step at all: LayerNorm(I_0 + T_0)
drawn               one model, trained at N = 2, read at every N from 1 to 5
others-concepts     trained and read with the concepts of another picture
swapped-concepts    trained with its own concepts, read with another picture's as well
same-parameters     plain, as wide as it takes to have combined's number of parameters
normed              plain regions, one LayerNorm (a prototype owed its whole gain to it)
both                I* and T* side by side, not summed
concatenated        regions and concepts side by side, nothing refined: for what attends
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from miacap import captioners
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.errors import DataError, SettingsError
from miacap.experiments.knobs import Arm, Knobs, Probe
from miacap.metrics.blind import derangement
from miacap.runs import RunSettings
from miacap.runs.folder import build

__all__ = [
    "SwappedStore",
    "controls",
    "matched",
    "parameters",
    "partners",
]

TOLERANCE = 0.01
"""How far a matched number of parameters may be off."""

_PLAIN = Knobs(source="plain")
_COMBINED = Knobs(source="combined")


def controls(sources: Sequence[str], refined: str) -> tuple[Arm, ...]:
    """Give the controls of a captioner.

    Args:
        sources: what it can be fed.
        refined: source under which self-attention refines its own slots.
    """
    arms = [
        Arm(
            "self-attention",
            Knobs(source=refined, attention="self"),
            "control: each stream refined by itself",
        ),
        Arm(
            "regions-first",
            replace(_COMBINED, order="regions-first"),
            "control: regions query first, the order reversed",
        ),
        *(
            Arm(f"n{n}", replace(_COMBINED, iterations=n), f"control: trained with N = {n}")
            for n in (1, 3, 4, 5)
        ),
        Arm("n0", replace(_COMBINED, iterations=0), "control: N = 0, LayerNorm(I_0 + T_0)"),
        Arm("drawn", _COMBINED, "control: one model, trained at N = 2, drawn at N = 1..5",
            probes=tuple(
                Probe(f"drawn at N = {n}, trained at N = 2", iterations=n) for n in range(1, 6)
            )),
        Arm("others-concepts", _COMBINED, "control: trained on another picture's concepts",
            others_concepts=True),
        Arm("swapped-concepts", _COMBINED, "control: own concepts in training, then another's",
            probes=(Probe("its own concepts"),
                    Probe("another picture's concepts", others_concepts=True))),
        Arm("same-parameters", _PLAIN, "control: plain, with as many parameters as combined",
            as_large_as=_COMBINED),
    ]  # fmt: skip
    more = {
        "normed": "control: plain regions with one LayerNorm",
        "both": "control: I* and T* side by side, no sum",
        "concatenated": "control: regions and concepts side by side, no refiner",
    }
    arms += [Arm(fed, Knobs(source=fed), says) for fed, says in more.items() if fed in sources]
    return tuple(arms)


def partners(dataset: Dataset, names: Sequence[str], seed: int = 0) -> dict[str, str]:
    """Say whose concepts each picture gets: another one's of its own split.

    Within the split, so that training pictures keep concepts that were scored out of fold.

    Args:
        dataset: gives the splits.
        names: the pictures that there are features of.
        seed: of the draw.

    Raises:
        DataError: a split has one picture alone.
    """
    known = set(names)
    found: dict[str, str] = {}
    for split in dataset.splits:
        ids = [id for id in dataset.split(split).ids if id in known]
        if len(ids) == 1:
            raise DataError(
                f"{dataset.name}: the split {split!r} has one picture alone, so there is no "
                "other picture whose concepts it could get."
            )
        if ids:
            found |= dict(zip(ids, derangement(ids, seed), strict=True))
    return found


class SwappedStore(FeatureStore):
    """A store in which each picture has the features of its partner.

    Args:
        store: the store to read from.
        partners: whose features each picture gets.
    """

    def __init__(self, store: FeatureStore, partners: dict[str, str]) -> None:
        self.__dict__.update(store.__dict__)
        self._partners = partners

    def rows(self, name: str) -> Tensor:
        """Give the partner's features."""
        return super().rows(self._partners.get(name, name))

    def boxes(self, name: str) -> Tensor | None:
        """Give the partner's boxes."""
        return super().boxes(self._partners.get(name, name))


def parameters(settings: RunSettings, words: int) -> int:
    """Count the numbers that training can change, for a vocabulary of ``words`` ids."""
    with torch.device("meta"):  # shapes alone; nothing is drawn
        module = build(settings, words)
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def matched(settings: RunSettings, larger: RunSettings, words: int) -> RunSettings:
    """Widen a captioner until it has as many parameters as another one, within 1 %.

    Args:
        settings: of the captioner to widen; its ``width`` is found by counting.
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
    best = min(candidates, key=lambda found: abs(parameters(found, words) - wanted))
    count = parameters(best, words)
    if abs(count - wanted) > TOLERANCE * wanted:
        raise SettingsError(
            f"No width gives {settings.captioner} fed {settings.source!r} {wanted} parameters "
            f"within 1 %; the nearest has {count}. Choose another width for the refined one."
        )
    return best


def _largest(count: Callable[[int], int], wanted: int) -> int:
    """Give the largest n >= 1 whose count is at most ``wanted`` (counts grow with n)."""
    high = 2
    while count(high) <= wanted:
        high *= 2
    low = 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= wanted else (low, middle)
    return low
