"""Greedy search and sampling: hypotheses that never meet."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.found import Found, check, score, searching
from miacap.pictures import Pictures
from miacap.text.vocabulary import BOS, EOS, PAD

__all__ = ["greedy", "sample"]

Choice = Callable[[Float[Tensor, "B K W"]], Int[Tensor, "B K"]]


def greedy(captioner: Captioner[M, S], pictures: Pictures, maximum: int = 20) -> list[Found]:
    """Take the most probable word at every step.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode.
        pictures: B of them, searched at once.
        maximum: steps, each giving a word or EOS.

    Returns:
        One caption a picture.

    Raises:
        SettingsError: ``maximum`` below 1.
    """
    found = _follow(captioner, pictures, 1, maximum, lambda logits: logits.argmax(dim=-1))
    return [hypotheses[0] for hypotheses in found]


def sample(
    captioner: Captioner[M, S],
    pictures: Pictures,
    hypotheses: int = 5,
    maximum: int = 20,
    seed: int = 0,
) -> list[list[Found]]:
    """Draw every word from its distribution over the words that are not banned.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode.
        pictures: B of them, searched at once.
        hypotheses: K captions a picture, drawn independently.
        maximum: steps, each giving a word or EOS.
        seed: the same seed, pictures and captioner give the same captions.

    Returns:
        K captions of each picture. Their log-probabilities are the captioner's own: they are
        not renormalised for the banned words.

    Raises:
        SettingsError: ``maximum`` or ``hypotheses`` below 1.
    """
    generator = torch.Generator(device=pictures.regions.device).manual_seed(seed)

    def draw(logits: Tensor) -> Tensor:
        shares = logits.softmax(dim=-1).flatten(0, 1)
        return torch.multinomial(shares, 1, generator=generator).view(logits.shape[:2])

    return _follow(captioner, pictures, hypotheses, maximum, draw)


def _follow(
    captioner: Captioner[M, S], pictures: Pictures, hypotheses: int, maximum: int, choose: Choice
) -> list[list[Found]]:
    check(maximum=maximum, hypotheses=hypotheses)
    with searching(captioner):
        memory = captioner.encode(pictures)
        state = captioner.start(memory, hypotheses)
        device = pictures.regions.device
        # Of every picture; the rows below are those of the pictures still under way.
        places = torch.arange(len(pictures), device=device)
        words = torch.full((len(pictures), hypotheses, maximum), PAD, device=device)
        totals = torch.zeros(len(pictures), hypotheses, dtype=torch.float64, device=device)
        last = torch.full((len(pictures), hypotheses), BOS, device=device)
        ended = torch.zeros_like(last, dtype=torch.bool)
        for time in range(maximum):
            logits, state = captioner.step(memory, state, last)
            allowed, total = score(logits)
            chosen = choose(allowed).masked_fill(ended, PAD)
            gain = (logits.gather(2, chosen.unsqueeze(2)) - total).squeeze(2)
            totals[places] += gain.double().masked_fill(ended, 0.0)
            words[places, :, time] = chosen
            ended, last = ended | (chosen == EOS), chosen
            alive = (~ended.all(dim=1)).nonzero().squeeze(1)
            if len(alive) == 0:
                break
            if len(alive) < len(places):
                memory, state = memory.select(alive), state.select(alive)
                places, last, ended = places[alive], last[alive], ended[alive]
    return [
        [_found(row, total) for row, total in zip(rows, scores, strict=True)]
        for rows, scores in zip(words.tolist(), totals.tolist(), strict=True)
    ]


def _found(row: list[int], total: float) -> Found:
    ended = EOS in row
    words = row[: row.index(EOS)] if ended else row
    return Found(tuple(words), total, ended)
