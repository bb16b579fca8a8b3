"""Beam search, batched over pictures, with n-best lists [search:beam].

At each step the K best continuations are found over all live hypotheses of a picture. Those
among them that are EOS leave the beam with their score; the live beam is refilled to K from
the best continuations that are not EOS. A picture is done when K finished hypotheses exist,
the worst of which scores at least as high as any live one can still reach. At the limit, live
hypotheses count only where none has finished.

    score(Y) = log p(Y) / |Y|^a         |Y| counts the words of Y and its EOS

a is the length penalty. 0, the default, normalises nothing; 1 compares log p a word. The form
is that of im2txt (`length_normalization_factor`) and fairseq (`lenpen`); im2txt also counts
the first token. Within one step all hypotheses are equally long, so a never decides which of
them live on, only which finished ones win.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.hypotheses import Hypothesis, check_finite, precise, ruled, searching
from miacap.decoding.limits import require_memory
from miacap.decoding.rules import Rule
from miacap.decoding.settings import check_penalty
from miacap.errors import SettingsError
from miacap.pictures import Pictures
from miacap.settings import check_at_least
from miacap.text.vocabulary import BOS, EOS, PAD

__all__ = ["beam"]


@dataclass(frozen=True)
class _Beams:
    """Live and finished hypotheses of the pictures still under way; -inf where there is none."""

    indices: Int[Tensor, " B"]
    live_totals: Float[Tensor, "B K"]
    live_words: Int[Tensor, "B K T"]
    done_scores: Float[Tensor, "B K"]
    done_totals: Float[Tensor, "B K"]
    done_words: Int[Tensor, "B K T"]

    def select(self, rows: Int[Tensor, " S"]) -> "_Beams":
        return _Beams(*(getattr(self, part.name)[rows] for part in fields(self)))

    def settled(self, penalty: float) -> Bool[Tensor, " B"]:
        """Whether no live hypothesis can still enter the K best finished ones."""
        # log p only falls, and is divided by most where the caption is longest.
        longest: float = self.live_words.shape[2] ** penalty
        reachable = self.live_totals.max(dim=1).values / longest
        worst_done = self.done_scores.min(dim=1).values
        return worst_done >= reachable  # also where nothing lives: -inf on both sides


def beam(
    captioner: Captioner[M, S],
    pictures: Pictures,
    width: int = 3,
    maximum: int = 20,
    best: int = 1,
    rules: Sequence[Rule] = (),
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """Search with a beam.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode.
        pictures: B of them, searched at once; a picture leaves the batch when it is done.
        width: live hypotheses a picture; 1 is greedy search where nothing is normalised.
        maximum: steps, each giving a word or EOS.
        best: how many captions to return a picture, at most `width`.
        rules: what forbids words; see `miacap.decoding.rules`.
        length_penalty: a in score = log p / |Y|^a; 0 is off, more favours longer captions.

    Returns:
        For each picture its captions, best score first. Their log-probabilities are the
        captioner's own: not normalised by length, not renormalised for forbidden words. Fewer
        than `best` where fewer finished within `maximum` steps; unfinished ones are returned
        only where none finished.

    Raises:
        SettingsError: a number below 1, `best` above `width`, a penalty below 0 or above 10,
            a beam that memory does not hold, or rules that leave a picture no caption.
        RunError: the captioner's numbers are NaN or infinite.
    """
    check_at_least(1, width=width, maximum=maximum, best=best)
    check_penalty(length_penalty)
    if best > width:
        raise SettingsError(f"A beam of width {width} cannot give the best {best}; widen it.")
    results: list[list[Hypothesis]] = [[] for _ in range(len(pictures))]
    with searching(captioner):
        memory = captioner.encode(pictures)
        state = captioner.start(memory, 1)
        beams = None
        last = torch.full((len(pictures), 1), BOS, device=pictures.regions.device)
        for time in range(maximum):
            before, (logits, state) = state, captioner.step(memory, state, last)
            if beams is None:
                check_finite(logits, pictures)
                require_memory(width, maximum, memory, (before, state), logits)
                beams = _begin(len(pictures), width, maximum, pictures.regions.device)
            beams, parents = _advance(beams, logits, time, rules, length_penalty)
            settled = beams.settled(length_penalty)
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
    indices = torch.arange(pictures, device=device)
    return _Beams(indices, live, words, nothing, nothing, words)


def _advance(
    beams: _Beams,
    logits: Float[Tensor, "B J W"],
    time: int,
    rules: Sequence[Rule],
    penalty: float,
) -> tuple[_Beams, Int[Tensor, "B K"]]:
    """One step: continue, let finished ones leave, refill. Gives the live ones' parents too."""
    width = beams.live_totals.shape[1]
    totals, parents, words = _continuations(beams, precise(logits), time, rules)
    ends = words == EOS
    done = _finish(beams, totals, parents, ends, (time + 1) ** penalty)
    # Stable: among the continuations that are not EOS the order by log p stays.
    open_totals = totals.masked_fill(ends, -torch.inf)
    open_totals, kept = open_totals.sort(dim=1, descending=True, stable=True)
    open_totals, kept = _widened(open_totals, width, -torch.inf), _widened(kept, width, 0)
    parents, words = parents.gather(1, kept), words.gather(1, kept)
    history = _gathered(beams.live_words, parents)
    history[:, :, time] = words
    return _Beams(beams.indices, open_totals, history, *done), parents


def _continuations(
    beams: _Beams, logits: Float[Tensor, "B J W"], time: int, rules: Sequence[Rule]
) -> tuple[Float[Tensor, "B P"], Int[Tensor, "B P"], Int[Tensor, "B P"]]:
    """Give the 2 K best continuations of a picture: log p, parents and words, best first."""
    width, hypotheses = beams.live_totals.shape[1], logits.shape[1]
    remaining = beams.live_words.shape[2] - 1 - time
    allowed = ruled(logits, beams.live_words[:, :hypotheses, :time], remaining, rules)
    if rules:  # they say what is forbidden; scores stay the captioner's own
        allowed = logits.masked_fill(allowed == -torch.inf, -torch.inf)
    # At most J of the 2 K best are EOS, so they hold K that are not; and a hypothesis' own
    # 2 K best are all that it can give to them.
    top = allowed.topk(min(2 * width, logits.shape[2]), dim=2)
    gains = top.values - logits.logsumexp(dim=-1, keepdim=True)
    totals = (beams.live_totals[:, :hypotheses, None] + gains).flatten(1)
    totals, order = totals.topk(min(2 * width, totals.shape[1]), dim=1)
    return totals, order // top.indices.shape[2], top.indices.flatten(1).gather(1, order)


def _finish(
    beams: _Beams,
    totals: Float[Tensor, "B P"],
    parents: Int[Tensor, "B P"],
    ends: Bool[Tensor, "B P"],
    divisor: float,
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"], Int[Tensor, "B K T"]]:
    """Put the EOS among the K best continuations beside those that finished before."""
    width = beams.live_totals.shape[1]
    fresh = totals[:, :width].masked_fill(~ends[:, :width], -torch.inf)
    if not bool((fresh > -torch.inf).any()):
        return beams.done_scores, beams.done_totals, beams.done_words
    scores = torch.cat([beams.done_scores, fresh / divisor], dim=1)
    both = torch.cat([beams.done_totals, fresh], dim=1)
    words = torch.cat([beams.done_words, _gathered(beams.live_words, parents[:, :width])], dim=1)
    # Stable: of equal scores the one that finished first comes first.
    best = scores.sort(dim=1, descending=True, stable=True)
    kept = best.indices[:, :width]
    return best.values[:, :width], both.gather(1, kept), _gathered(words, kept)


def _gathered(words: Int[Tensor, "B K T"], rows: Int[Tensor, "B J"]) -> Int[Tensor, "B J T"]:
    return words.gather(1, rows.unsqueeze(2).expand(-1, -1, words.shape[2]))


def _widened(rows: Tensor, width: int, filler: int | float) -> Tensor:
    # A vocabulary smaller than the beam gives fewer continuations than there are places.
    return torch.nn.functional.pad(
        rows[:, :width], (0, max(0, width - rows.shape[1])), value=filler
    )


def _report(beams: _Beams, best: int, results: list[list[Hypothesis]]) -> None:
    finished = (beams.done_totals > -torch.inf).any(dim=1)
    totals = torch.where(finished[:, None], beams.done_totals, beams.live_totals)
    words = torch.where(finished[:, None, None], beams.done_words, beams.live_words)
    rows = zip(
        beams.indices.tolist(), finished.tolist(), totals.tolist(), words.tolist(), strict=True
    )
    for index, ended, log_probabilities, captions in rows:
        results[index] = [
            Hypothesis(tuple(word for word in caption if word != PAD), total, ended)
            for total, caption in zip(log_probabilities[:best], captions[:best], strict=True)
            if total > -torch.inf
        ]
        if not results[index]:
            raise SettingsError(
                f"The rules leave picture {index} of the batch no caption; take fewer or "
                "milder rules."
            )
