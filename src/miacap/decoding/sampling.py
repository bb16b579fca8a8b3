"""Greedy search and sampling: hypotheses that never meet."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.hypotheses import (
    Hypothesis,
    check_finite,
    no_word_left,
    precise,
    ruled,
    searching,
)
from miacap.decoding.limits import require_memory
from miacap.decoding.rules import Rule
from miacap.errors import SettingsError
from miacap.pictures import Pictures
from miacap.settings import check_at_least
from miacap.text.vocabulary import BOS, EOS, PAD
from miacap.wording import counted

__all__ = ["Samples", "greedy", "policy_log_probabilities", "sample"]


@dataclass(frozen=True)
class Samples:
    """K captions of each of B pictures as tensors; T is the limit on steps."""

    words: Int[Tensor, "B K T"]
    """Without BOS; EOS is the last word of a caption that ended, PAD follows."""
    log_probabilities: Float[Tensor, "B K T"]
    """Natural logarithm of each word's probability, EOS's too, and 0 after it."""
    mask: Bool[Tensor, "B K T"]
    """True at words and at EOS, False after it."""

    def hypotheses(self) -> list[list[Hypothesis]]:
        """Give the K captions of each picture; their log-probabilities are the sums."""
        totals = torch.zeros(self.words.shape[:2], dtype=torch.float64, device=self.words.device)
        for gains in self.log_probabilities.unbind(dim=2):  # in order of time, as searches add
            totals += gains.detach()
        return [
            [_hypothesis(row, total) for row, total in zip(rows, sums, strict=True)]
            for rows, sums in zip(self.words.tolist(), totals.tolist(), strict=True)
        ]


Step = tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]
Choice = Callable[[Float[Tensor, "B K W"], Float[Tensor, "B K W"]], Step]
"""From logits and what the rules leave of them: a word a hypothesis and its log-probability."""


def greedy(
    captioner: Captioner[M, S],
    pictures: Pictures,
    maximum: int = 20,
    rules: Sequence[Rule] = (),
) -> list[Hypothesis]:
    """Take the most probable word at every step.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode.
        pictures: B of them, searched at once.
        maximum: steps, each giving a word or EOS.
        rules: what forbids words; see `miacap.decoding.rules`.

    Returns:
        One caption a picture. Its log-probability is the captioner's own: not renormalised
        for forbidden words.

    Raises:
        SettingsError: `maximum` below 1, or the rules forbid every word at some step.
        RunError: the captioner's numbers are NaN or infinite.
    """

    def choose(logits: Tensor, allowed: Tensor) -> Step:
        kept = logits.masked_fill(allowed == -torch.inf, -torch.inf) if rules else allowed
        words = kept.argmax(dim=-1)
        total = logits.logsumexp(dim=-1, keepdim=True)
        return words, (logits.gather(2, words.unsqueeze(2)) - total).squeeze(2)

    with searching(captioner):
        samples = _follow(captioner, pictures, 1, maximum, rules, choose)
    return [hypotheses[0] for hypotheses in samples.hypotheses()]


def sample(
    captioner: Captioner[M, S],
    pictures: Pictures,
    hypotheses: int = 5,
    maximum: int = 20,
    rules: Sequence[Rule] = (),
    generator: torch.Generator | None = None,
    gradients: bool = False,
) -> Samples:
    """Draw every word from the policy: softmax(rules(logits)) over the words still allowed.

    The policy is the captioner's distribution without PAD, BOS, UNK and whatever the rules
    forbid, renormalised, and reshaped where a rule reshapes it (`Temperature`).

    Args:
        captioner: anything that fulfils the contract; searched in eval mode, no gradients, unless
            `gradients` asks for them.
        pictures: B of them, sampled at once.
        hypotheses: K captions a picture, drawn independently.
        maximum: T steps, each giving a word or EOS.
        rules: what forbids words or reshapes the distribution; see `miacap.decoding.rules`.
        generator: where chance comes from, on the pictures' device. The same state of it,
            pictures and captioner give the same captions; it moves on, so a second call gives
            others. None draws from torch's global generator (`torch.manual_seed`).
        gradients: sample in the captioner's own mode, with its dropout, and let gradients flow
            from the log-probabilities: those of the very dropout that the words were drawn with.

    Returns:
        Words, their log-probabilities under the policy (not the captioner's own: those of
        `policy_log_probabilities` with the same rules), and which of them count.

    Raises:
        SettingsError: `maximum` or `hypotheses` below 1, a generator of another device, more
            hypotheses than memory holds, or the rules forbid every word at some step.
        RunError: the captioner's numbers are NaN or infinite.
    """
    device = pictures.regions.device
    if generator is not None and generator.device.type != device.type:
        raise SettingsError(
            f"The generator is on {generator.device}, the pictures are on {device}; make it with "
            f"torch.Generator({device.type!r})."
        )

    def draw(logits: Tensor, allowed: Tensor) -> Step:
        shares = allowed.softmax(dim=-1).flatten(0, 1)
        words = torch.multinomial(shares, 1, generator=generator).view(allowed.shape[:2])
        return words, allowed.log_softmax(dim=-1).gather(2, words.unsqueeze(2)).squeeze(2)

    mode = contextlib.nullcontext() if gradients else searching(captioner)
    with mode:
        return _follow(captioner, pictures, hypotheses, maximum, rules, draw)


def policy_log_probabilities(
    logits: Float[Tensor, "B K T W"],
    words: Int[Tensor, "B K T"],
    rules: Sequence[Rule] = (),
    maximum: int | None = None,
) -> Float[Tensor, "B K T"]:
    """Give log p of drawn words under the policy that `sample` draws from, with gradients.

    For self-critical training: teacher-force the samples, then take their log-probabilities
    under the same rules.

    Args:
        logits: of a captioner's `forward` on BOS and the words but the last.
        words: as in `Samples`: EOS counts, PAD follows.
        rules: those that `sample` had.
        maximum: steps that `sample` had, where the words were trimmed; T unless told.

    Returns:
        Log-probabilities, 0 after EOS; minus infinity where the rules forbid the word.
    """
    steps = words.shape[2]
    last = (maximum or steps) - 1
    logits = precise(logits)
    rows = []
    for time in range(steps):
        ended = words[:, :, time] == PAD
        before = words[:, :, :time]
        allowed = _ruled(logits[:, :, time], before, ended, last - time, rules)
        gains = allowed.log_softmax(dim=-1).gather(2, words[:, :, time, None]).squeeze(2)
        rows.append(gains.masked_fill(ended, 0.0))
    return torch.stack(rows, dim=2)


def _follow(
    captioner: Captioner[M, S],
    pictures: Pictures,
    hypotheses: int,
    maximum: int,
    rules: Sequence[Rule],
    choose: Choice,
) -> Samples:
    check_at_least(1, maximum=maximum, hypotheses=hypotheses)
    memory = captioner.encode(pictures)
    state = captioner.start(memory, 1)
    device = pictures.regions.device
    shape = (len(pictures), hypotheses, maximum)
    # Of every picture; the rows below are those of the pictures still under way.
    indices = torch.arange(len(pictures), device=device)
    words = torch.full(shape, PAD, device=device)
    gains = torch.zeros(shape, dtype=torch.float64, device=device)
    ended = torch.zeros(shape[:2], dtype=torch.bool, device=device)
    last = torch.full((len(pictures), 1), BOS, device=device)
    for time in range(maximum):
        before, (logits, state) = state, captioner.step(memory, state, last)
        if time == 0:
            check_finite(logits, pictures)
            require_memory(hypotheses, maximum, memory, (before, state), logits)
            state = state.reorder(torch.zeros_like(ended, dtype=torch.long))
        logits = precise(logits).expand(-1, hypotheses, -1)
        said = words[indices, :, :time]
        allowed = _ruled(logits, said, ended, maximum - 1 - time, rules)
        last, gain = choose(logits, allowed)
        last = last.masked_fill(ended, PAD)
        gains[indices, :, time] = gain.double().masked_fill(ended, 0.0)
        words[indices, :, time] = last
        ended = ended | (last == EOS)
        alive = (~ended.all(dim=1)).nonzero().squeeze(1)
        if len(alive) == 0:
            break
        if len(alive) < len(indices):
            memory, state = memory.select(alive), state.select(alive)
            indices, last, ended = indices[alive], last[alive], ended[alive]
    return Samples(words, gains, words != PAD)


def _ruled(
    logits: Float[Tensor, "B K W"],
    words: Int[Tensor, "B K T"],
    ended: Bool[Tensor, "B K"],
    remaining: int,
    rules: Sequence[Rule],
) -> Float[Tensor, "B K W"]:
    """Apply the rules to hypotheses under way; those that ended keep finite numbers."""
    allowed = ruled(logits, words, remaining, rules)
    if not rules:
        return allowed
    allowed = torch.where(ended[:, :, None], logits, allowed)
    if bool(no_word_left(allowed).any()):
        raise SettingsError(
            f"After {counted(words.shape[2], 'word')} the rules forbid every word and the end; "
            "take fewer or milder rules."
        )
    return allowed


def _hypothesis(row: list[int], total: float) -> Hypothesis:
    ended = EOS in row
    words = row[: row.index(EOS)] if ended else row
    return Hypothesis(tuple(words), total, ended)
