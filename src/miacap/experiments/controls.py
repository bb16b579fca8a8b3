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

from collections.abc import Sequence
from dataclasses import replace

from miacap.experiments.knobs import Arm, Knobs, Probe

__all__ = ["controls"]

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
