"""What explaining and feeding rely on: traces that are shares, and what is read."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from miacap.captioners.conformance.check import Check, batches, close
from miacap.captioners.conformance.drawing import (
    CONCEPTS,
    some_pictures,
    some_words,
)
from miacap.captioners.contract import Trace
from miacap.captioners.registry import reads
from miacap.pictures import Pictures
from miacap.settings import to_json
from miacap.text.vocabulary import PAD

__all__ = ["traces_are_shares", "what_is_read_moves_the_logits"]


def traces_are_shares(check: Check) -> None:
    """What can be looked at is shares over real rows, with gradients."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    logits, trace = captioner(pictures, words, trace=True)
    assert isinstance(trace, Trace), "trace=True gives logits and a Trace."
    close(logits, captioner(pictures, words), "A trace changes no logits.")
    for name, attention in trace.attentions.items():
        weights = attention.weights
        assert weights.shape[:3] == words.shape, f"Attention {name!r} is B C T R."
        close(weights.sum(-1), torch.ones_like(weights[..., 0]), f"Rows of {name!r} sum to 1.")
        masks = {
            "regions": pictures.region_mask,
            "concepts": pictures.concept_mask,
            "pairs": pictures.concept_mask,
            "both": torch.cat([pictures.region_mask, pictures.concept_mask], 1),
        }
        padded = ~masks[attention.over][:, None, None].expand_as(weights)
        assert not weights[padded].any(), f"Attention {name!r} leaves padded rows out."
        if padded.shape[-1] > 1:
            assert weights.requires_grad, f"Attention {name!r} keeps gradients."
    for name, gate in trace.gates.items():
        assert gate.shape == words.shape, f"Gate {name!r} is B C T."
        assert bool(((gate >= 0) & (gate <= 1)).all()), f"Gate {name!r} is a share."
    sizes = to_json(captioner.sizes)
    refined = sizes["source"] in ("regions", "concepts", "combined", "both")
    refined = refined and sizes.get("iterations") != 0
    assert bool(trace.refiner) == refined, "The refiner's steps are in the trace."


def what_is_read_moves_the_logits(check: Check) -> None:
    """What reads names moves the logits; the rest never does, and may be absent."""
    said = reads(check.captioner, check.source, **dict(check.sizes))
    unknown = sorted(said - set(_OTHERS))
    assert not unknown, f"reads names {', '.join(_OTHERS)} alone, not {', '.join(unknown)}."
    captioner, words = check.fresh().eval(), some_words(3)
    for pictures in batches(captioner):
        _unread_rows_change_nothing(captioner, pictures, words, said)
        _train_a_step(captioner, pictures, words)  # a gate may begin at exactly 0
        _unread_rows_change_nothing(captioner, pictures, words, said)
        logits = captioner(pictures, words)
        for what in said:
            gap = (captioner(_OTHERS[what](pictures), words) - logits).abs().max()
            assert gap > 1e-9, f"reads names {what!r}: after a step, others give other logits."


def _unread_rows_change_nothing(
    captioner: Any, pictures: Pictures, words: Tensor, said: frozenset[str]
) -> None:
    logits = captioner(pictures, words)
    for what, changed in _OTHERS.items():
        if what not in said:
            same = torch.equal(captioner(changed(pictures), words), logits)
            assert same, f"reads does not name {what!r}: others change nothing."
    bare = pictures
    if "concepts" not in said:
        none = pictures.concepts[:, :0]
        bare = replace(bare, concepts=none, concept_mask=none.bool())
    if "scores" not in said:
        bare = replace(bare, concept_scores=None)
    same = torch.equal(captioner(bare, words), logits)
    assert same, "What reads does not name may be absent."


def _other_regions(pictures: Pictures) -> Pictures:
    rows = (pictures.regions + 1.0).masked_fill(~pictures.region_mask[..., None], 0.0)
    return replace(pictures, regions=rows)


def _other_concepts(pictures: Pictures) -> Pictures:
    words = 5 + (pictures.concepts - 5 + 1) % CONCEPTS
    return replace(pictures, concepts=words.masked_fill(~pictures.concept_mask, PAD))


def _other_scores(pictures: Pictures) -> Pictures:
    scores = pictures.concept_scores
    return replace(pictures, concept_scores=None if scores is None else 1.0 - scores)


_OTHERS: dict[str, Callable[[Pictures], Pictures]] = {
    "regions": _other_regions,
    "concepts": _other_concepts,
    "scores": _other_scores,
}


def _train_a_step(captioner: Any, pictures: Pictures, words: Tensor) -> None:
    optimiser = torch.optim.Adam(captioner.parameters(), lr=0.01)
    optimiser.zero_grad()
    shares = captioner(pictures, words)[:, :, :-1].log_softmax(-1)
    (-shares.gather(3, words[:, :, 1:, None])).mean().backward()
    optimiser.step()
