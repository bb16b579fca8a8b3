"""Rules on how a caption reads as text: how long it is in characters, and how it begins."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from miacap.errors import SettingsError
from miacap.text.vocabulary import BOS, EOS, PAD, UNK
from miacap.wording import counted

__all__ = ["CharacterLimit", "ForbidOpenings"]


@dataclass(frozen=True)
class CharacterLimit:
    """No caption is longer than so many characters, and none ends on a word that cannot end one.

    A caption is counted as its words with a blank, or the full stop, behind each. A word that
    cannot end a caption ("a", "with") is only said where the shortest other word still fits behind
    it, so that every caption can be ended.

    Args:
        limit: characters.
        lengths: of each word of the vocabulary, by id.
        open_endings: ids of words that cannot end a caption.

    Raises:
        SettingsError: not even the shortest word fits.
    """

    limit: int
    lengths: tuple[int, ...]
    open_endings: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self._shortest() > self.limit:
            raise SettingsError(
                f"No caption has room in {counted(self.limit, 'character')}; allow more."
            )

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid words that do not fit, and the end behind a word that cannot end a caption."""
        device = logits.device
        needed = torch.tensor(self.lengths, device=device) + 1
        needed[[PAD, BOS, EOS, UNK]] = 0
        room = self.limit - needed[words].sum(dim=2)
        is_open = torch.zeros(len(needed), dtype=torch.bool, device=device)
        is_open[list(self.open_endings)] = True
        needed = torch.where(is_open, needed + self._shortest(), needed)
        forbidden = needed > room[:, :, None]
        if remaining == 0:
            forbidden = forbidden | is_open
        if words.shape[2]:
            forbidden[:, :, EOS] |= is_open[words[:, :, -1]]
        return logits.masked_fill(forbidden, -torch.inf)

    def _shortest(self) -> int:
        left_out = {PAD, BOS, EOS, UNK, *self.open_endings}
        lengths = [n for word, n in enumerate(self.lengths) if word not in left_out]
        return min(lengths, default=self.limit) + 1


@dataclass(frozen=True)
class ForbidOpenings:
    """No caption begins with any of these sequences of word ids.

    Raises:
        SettingsError: an empty sequence.
    """

    openings: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not all(self.openings):
            raise SettingsError("An opening has at least 1 word.")

    def __call__(
        self, logits: Float[Tensor, "B K W"], words: Int[Tensor, "B K T"], remaining: int
    ) -> Float[Tensor, "B K W"]:
        """Forbid the last word of each opening where the others have been said."""
        last: dict[tuple[int, ...], list[int]] = {}
        for opening in self.openings:
            if len(opening) == words.shape[2] + 1:
                last.setdefault(opening[:-1], []).append(opening[-1])
        for before, ids in last.items():
            wanted = torch.tensor(before, dtype=torch.long, device=words.device)
            said = (words == wanted).all(dim=2)
            forbidden = torch.zeros(logits.shape[2], dtype=torch.bool, device=logits.device)
            forbidden[ids] = True
            logits = logits.masked_fill(said[:, :, None] & forbidden, -torch.inf)
        return logits
