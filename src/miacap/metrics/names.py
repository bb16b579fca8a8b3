"""Names of metrics: ours, in any letter case, and those of pycocoevalcap."""

from collections.abc import Sequence

from miacap.errors import UnknownName

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "SPICE")

REWARDS = ("CIDEr-D", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L")
"""Metrics that are counted fast enough to reward samples in training."""

# pycocoevalcap calls CIDEr-D by the name of the metric without its two changes.
_KNOWN = {**{name.lower(): name for name in METRICS}, "cider": "CIDEr-D", "rouge": "ROUGE-L"}


def canonical(name: str) -> str:
    """Give our name of a metric (`Bleu_4` is BLEU-4, `CIDEr` is CIDEr-D), or the name as it is."""
    return _KNOWN.get(name.lower().replace("_", "-"), name)


def chosen(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Give our names of the wanted metrics in the order of `METRICS`.

    Args:
        metrics: names in any case, also pycocoevalcap's; None takes all.

    Raises:
        UnknownName: a metric that does not exist.
    """
    if metrics is None:
        return METRICS
    names = [canonical(name) for name in ([metrics] if isinstance(metrics, str) else metrics)]
    for name in names:
        if name not in METRICS:
            raise UnknownName("metric", name, METRICS, advice=_advice(name))
    return tuple(name for name in METRICS if name in names)


def _advice(name: str) -> str:
    """Say what to do about a list in one name, and about BLEU without its n."""
    if any(mark in name for mark in ",; "):
        return "give -m once for each (in Python a list)"
    return "choose one of BLEU-1 to BLEU-4" if name.lower() == "bleu" else ""
