"""Beam search, batched over pictures, with n-best lists [search:beam].

At each step the K best continuations are found over all live hypotheses of a picture. Those
among them that are EOS leave the beam with their score; the live beam is refilled to K from
the best continuations that are not EOS. A picture is done when K finished hypotheses exist,
the worst of which scores at least as high as the best live one: scores only fall. At the
limit, live hypotheses count only where none has finished. No length normalisation.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.found import Found, check, score, searching
from miacap.errors import SettingsError
from miacap.pictures import Pictures
from miacap.text.vocabulary import BOS, EOS, PAD

__all__ = ["beam"]


@dataclass(frozen=True)
class _Beams:
    """Live and finished hypotheses of the pictures still under way; -inf where there is none."""

    places: Int[Tensor, " B"]
    live_scores: Float[Tensor, "B K"]
    live_words: Int[Tensor, "B K T"]
    done_scores: Float[Tensor, "B K"]
    done_words: Int[Tensor, "B K T"]

    def select(self, rows: Int[Tensor, " S"]) -> "_Beams":
        return _Beams(*(getattr(self, part.name)[rows] for part in fields(self)))

    def settled(self) -> Bool[Tensor, " B"]:
        """Whether no live hypothesis can still enter the K best finished ones."""
        best_live = self.live_scores.max(dim=1).values
        worst_done = self.done_scores.min(dim=1).values
        return (worst_done >= best_live) | (best_live == -torch.inf)


def beam(
    captioner: Captioner[M, S],
    pictures: Pictures,
    width: int = 3,
    maximum: int = 20,
    best: int = 1,
) -> list[list[Found]]:
    """Search with a beam.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode.
        pictures: B of them, searched at once; a picture leaves the batch when it is done.
        width: live hypotheses a picture; 1 is greedy search.
        maximum: steps, each giving a word or EOS.
        best: how many captions to return a picture, at most ``width``.

    Returns:
        For each picture its captions, best first. Fewer than ``best`` where fewer finished
        within ``maximum`` steps; unfinished ones are returned only where none finished.

    Raises:
        SettingsError: a number below 1, or ``best`` above ``width``.
    """
    check(width=width, maximum=maximum, best=best)
    if best > width:
        raise SettingsError(f"A beam of width {width} cannot give the best {best}; widen it.")
    results: list[list[Found]] = [[] for _ in range(len(pictures))]
    with searching(captioner):
        memory = captioner.encode(pictures)
        state = captioner.start(memory, 1)
        beams = _begin(len(pictures), width, maximum, pictures.regions.device)
        last = torch.full((len(pictures), 1), BOS, device=pictures.regions.device)
        for time in range(maximum):
            logits, state = captioner.step(memory, state, last)
            beams, parents = _advance(beams, logits, time)
            settled = beams.settled()
            if time == maximum - 1 or bool(settled.all()):
                _report(beams, best, results)
                break
            # Leaving costs a copy of all others, so a few wait for company.
            if int(settled.sum()) * 8 >= len(settled):
                _report(beams.select(settled.nonzero().squeeze(1)), best, results)
                rows = (~settled).nonzero().squeeze(1)
                memory, state, beams = memory.select(rows), state.select(rows), beams.select(rows)
                parents = parents[rows]
            state = state.reorder(parents)
            last = beams.live_words[:, :, time]
    return results


def _begin(pictures: int, width: int, maximum: int, device: torch.device) -> _Beams:
    # Double precision: sums that differ must not tie.
    nothing = torch.full((pictures, width), -torch.inf, dtype=torch.float64, device=device)
    words = torch.full((pictures, width, maximum), PAD, device=device)
    live = nothing.clone()
    live[:, 0] = 0.0  # one copy: equal ones would fill the beam with the same words
    return _Beams(torch.arange(pictures, device=device), live, words, nothing, words)


def _advance(
    beams: _Beams, logits: Float[Tensor, "B J W"], time: int
) -> tuple[_Beams, Int[Tensor, "B K"]]:
    """One step: continue, let finished ones leave, refill. Gives the live ones' parents too."""
    width, vocabulary = beams.live_scores.shape[1], logits.shape[2]
    allowed, total = score(logits)
    # At most J of the 2 K best are EOS, so they hold K that are not; and a hypothesis' own
    # 2 K best are all that it can give to them.
    top = allowed.topk(min(2 * width, vocabulary), dim=2)
    live = beams.live_scores[:, : logits.shape[1], None]
    scores = (live + (top.values - total)).flatten(1)
    scores, order = scores.topk(min(2 * width, scores.shape[1]), dim=1)
    parents = order // top.indices.shape[2]
    words = top.indices.flatten(1).gather(1, order)
    ends = words == EOS
    done_scores, done_words = _finish(beams, scores, parents, ends)
    # Stable: among the continuations that are not EOS the order by score stays.
    open_scores = scores.masked_fill(ends, -torch.inf)
    open_scores, kept = open_scores.sort(dim=1, descending=True, stable=True)
    open_scores, kept = _widened(open_scores, width, -torch.inf), _widened(kept, width, 0)
    parents, words = parents.gather(1, kept), words.gather(1, kept)
    history = _gathered(beams.live_words, parents)
    history[:, :, time] = words
    return _Beams(beams.places, open_scores, history, done_scores, done_words), parents


def _finish(
    beams: _Beams,
    scores: Float[Tensor, "B P"],
    parents: Int[Tensor, "B P"],
    ends: Bool[Tensor, "B P"],
) -> tuple[Float[Tensor, "B K"], Int[Tensor, "B K T"]]:
    """Put the EOS among the K best continuations beside those that finished before."""
    width = beams.live_scores.shape[1]
    fresh = scores[:, :width].masked_fill(~ends[:, :width], -torch.inf)
    if not bool((fresh > -torch.inf).any()):
        return beams.done_scores, beams.done_words
    both = torch.cat([beams.done_scores, fresh], dim=1)
    words = torch.cat([beams.done_words, _gathered(beams.live_words, parents[:, :width])], dim=1)
    best = both.sort(dim=1, descending=True, stable=True)
    return best.values[:, :width], _gathered(words, best.indices[:, :width])


def _gathered(words: Int[Tensor, "B K T"], rows: Int[Tensor, "B J"]) -> Int[Tensor, "B J T"]:
    return words.gather(1, rows.unsqueeze(2).expand(-1, -1, words.shape[2]))


def _widened(rows: Tensor, width: int, filler: int | float) -> Tensor:
    # A vocabulary smaller than the beam gives fewer continuations than there are places.
    return torch.nn.functional.pad(
        rows[:, :width], (0, max(0, width - rows.shape[1])), value=filler
    )


def _report(beams: _Beams, best: int, results: list[list[Found]]) -> None:
    finished = (beams.done_scores > -torch.inf).any(dim=1)
    scores = torch.where(finished[:, None], beams.done_scores, beams.live_scores)
    words = torch.where(finished[:, None, None], beams.done_words, beams.live_words)
    rows = zip(
        beams.places.tolist(), finished.tolist(), scores.tolist(), words.tolist(), strict=True
    )
    for place, ended, totals, captions in rows:
        results[place] = [
            Found(tuple(word for word in caption if word != PAD), total, ended)
            for total, caption in zip(totals[:best], captions[:best], strict=True)
            if total > -torch.inf
        ]
