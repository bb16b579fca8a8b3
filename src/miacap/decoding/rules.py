"""Rules on logits: what may follow the words so far.

A rule is a small object that reads the logits of the next word and the words so far, and
gives new logits; a word at minus infinity is forbidden. Greedy search, beam search and
sampling take them alike, as a tuple `rules=(...)`, and apply them in this order, after PAD,
BOS and UNK are forbidden.

- Greedy search and beam search ask only which words are forbidden. They choose by the
  captioner's own log-probabilities, which no rule changes: a `Temperature` alone has no
  effect there, one before `TopP` decides how many words are kept.
- Sampling draws from the softmax of what the rules leave.

Own rules are welcome: any object that can be called so is one.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from miacap.errors import SettingsError
from miacap.text.vocabulary import EOS

__all__ = [
    "BlockRepeats",
    "ForbidWords",
    "MinimumLength",
    "NoBadEndings",
    "Rule",
    "Temperature",
    "TopK",
    "TopP",
]


@runtime_checkable
class Rule(Protocol):
    """What greedy search, beam search and sampling call at every step."""

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Give new logits, and leave the given ones as they are.

        Args:
            logits: of the next word, minus infinity where a word is forbidden already.
            words: the T words so far, without BOS; after EOS they are PAD.
            remaining: the steps that may follow this one; 0 at the last.
        """


@dataclass(frozen=True)
class ForbidWords:
    """These word ids never come out.

    Raises:
        SettingsError: a negative id; when it is applied, an id that the captioner lacks.
    """

    words: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_ids(self.words)

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid them at every step."""
        return logits.index_fill(-1, _ids(self.words, logits), -torch.inf)


@dataclass(frozen=True)
class BlockRepeats:
    """No sequence of `size` words comes twice in a caption (Paulus et al. 2018, sec. 2.5).

    1 lets no word come twice; 3 is common.

    Raises:
        SettingsError: a size below 1.
    """

    size: int = 3

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SettingsError(f"A repeated sequence has at least 1 word, not {self.size}.")

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid each word that would complete a sequence that is there already."""
        length, before = words.shape[2], self.size - 1
        if length < self.size:
            return logits
        earlier = words.unfold(2, self.size, 1)  # B x K x sequences x size
        latest = words[:, :, None, length - before :]
        same = (earlier[..., :before] == latest).all(dim=-1)
        count = torch.zeros(logits.shape, dtype=torch.int32, device=logits.device)
        count = count.scatter_add(2, earlier[..., -1], same.int())
        return logits.masked_fill(count > 0, -torch.inf)


@dataclass(frozen=True)
class NoBadEndings:
    """No caption ends on one of these word ids ("a", "with", "and").

    EOS may not follow them, and they may not stand at the last step, where the limit would
    cut the caption off behind them.

    Raises:
        SettingsError: a negative id; when it is applied, an id that the captioner lacks.
    """

    words: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_ids(self.words)

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid EOS after a bad ending, and bad endings at the last step."""
        bad = _ids(self.words, logits)
        if remaining == 0:
            logits = logits.index_fill(-1, bad, -torch.inf)
        if words.shape[2] == 0:
            return logits
        after_bad = torch.isin(words[:, :, -1], bad)
        is_end = torch.arange(logits.shape[2], device=logits.device) == EOS
        return logits.masked_fill(after_bad[:, :, None] & is_end, -torch.inf)


@dataclass(frozen=True)
class MinimumLength:
    """No caption ends before it has so many words; EOS is not one.

    Raises:
        SettingsError: a negative number.
    """

    words: int = 1

    def __post_init__(self) -> None:
        if self.words < 0:
            raise SettingsError(f"The minimum length is at least 0 words, not {self.words}.")

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid EOS while there are fewer words."""
        if words.shape[2] >= self.words:
            return logits
        return logits.index_fill(-1, _ids((EOS,), logits), -torch.inf)


@dataclass(frozen=True)
class Temperature:
    """Divide the logits: below 1 probable words become more probable, above 1 less.

    Raises:
        SettingsError: not a finite number above 0.
    """

    value: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise SettingsError(
                f"The temperature is a number above 0, not {self.value}; greedy search is what "
                "0 would mean."
            )

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Divide them."""
        return logits / self.value


@dataclass(frozen=True)
class TopK:
    """Only the k most probable words may follow, and those that tie with the last of them.

    Fan et al. 2018, sec. 5.4.

    Raises:
        SettingsError: k below 1.
    """

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SettingsError(f"k of the k most probable words is at least 1, not {self.k}.")

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid all that is less probable than the k-th."""
        last = logits.topk(min(self.k, logits.shape[2]), dim=-1).values[..., -1:]
        return logits.masked_fill(logits < last, -torch.inf)


@dataclass(frozen=True)
class TopP:
    """Only the nucleus may follow: the fewest most probable words that reach probability p.

    Probabilities are those of the softmax over the words that are still allowed. The most
    probable word always stays; of words that tie at the edge the first are kept. Holtzman et
    al. 2020, sec. 3.1.

    Raises:
        SettingsError: p not above 0 and at most 1.
    """

    p: float

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise SettingsError(f"p of the nucleus is above 0 and at most 1, not {self.p}.")

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid every word before which p is reached already."""
        if self.p == 1:
            return logits  # rounded sums reach 1 before the last word
        ordered = logits.double().sort(dim=-1, descending=True, stable=True)
        reached = ordered.values.softmax(dim=-1).cumsum(dim=-1)
        before = torch.nn.functional.pad(reached[..., :-1], (1, 0))
        outside = before >= self.p
        forbidden = torch.zeros_like(outside).scatter(2, ordered.indices, outside)
        return logits.masked_fill(forbidden, -torch.inf)


def _check_ids(words: tuple[int, ...]) -> None:
    for word in words:
        if word < 0:
            raise SettingsError(f"Word ids are at least 0, not {word}.")


def _ids(words: tuple[int, ...], logits: Tensor) -> Tensor:
    vocabulary = logits.shape[-1]
    for word in words:
        if word >= vocabulary:
            raise SettingsError(
                f"A rule speaks of word id {word}, but the captioner has the ids 0 to "
                f"{vocabulary - 1}; take ids from the run's own vocabulary."
            )
    return torch.tensor(words, dtype=torch.long, device=logits.device)
