"""Several sources of concepts as one: by calibrated log-odds, or by the mean of ranks.

    log-odds   of a word = sum_m sum_f b_mf x_mf + b log-odds of its frequency + c   [eq:joined]
               x of a source of probabilities: the log-odds that it gives
               x of a list: whether it has the word, and the logarithm of its score
    ranks      score of a word = 1 / mean over the sources of its rank in the picture
                                                                              [eq:mean-rank]

Words are those of all sources. One that a source of probabilities does not know has the log-odds of
its frequency there; under ranks, words without a score share the mean of the ranks that are left.

The numbers b and c are fitted on training pictures, whose scores know nothing of their own
captions (out of fold); and each half of them, identical photos together, is scored with numbers
fitted on the other half. Dev and test teach nothing.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from miacap.concepts import calibration
from miacap.concepts.description import ConceptSource, Method
from miacap.data.store import FeatureStore
from miacap.errors import RunError
from miacap.files import sha256
from miacap.weights import read_tensors, write_tensors

WEIGHTS = "joined.safetensors"
MEMBERS = "members"
_LEAST = 1e-6


@dataclass(frozen=True)
class Member:
    """How one source enters.

    Attributes:
        columns: where its words stand among all words.
        listed: whether a score of 0 says "not in the list".
    """

    columns: tuple[int, ...]
    listed: bool

    @classmethod
    def of(cls, source: ConceptSource, words: Sequence[str]) -> "Member":
        """Find the columns of a source's words."""
        index = {word: number for number, word in enumerate(words)}
        return cls(tuple(index[word] for word in source.words), source.is_lists)


@dataclass(frozen=True)
class Joined:
    """What makes one score of several.

    Attributes:
        method: "log-odds" or "ranks".
        members: the sources.
        prior: log-odds of each word's frequency in the training captions.
        numbers: of [eq:joined], the constant last; empty under ranks.
    """

    method: Method
    members: tuple[Member, ...]
    prior: Float[Tensor, " A"]
    numbers: Float[Tensor, " G"]

    @property
    def width(self) -> int:
        """How many numbers are fitted, but for the constant."""
        return 1 + sum(2 if one.listed else 1 for one in self.members)

    def features(self, scores: Sequence[Float[Tensor, "B _"]]) -> Float[Tensor, "B A F"]:
        """Give the x of [eq:joined], of each member's own scores."""
        count, words = len(scores[0]), len(self.prior)
        found = []
        for member, own in zip(self.members, scores, strict=True):
            columns = list(member.columns)
            if member.listed:
                has, value = torch.zeros(2, count, words)
                has[:, columns] = (own > 0).float()
                value[:, columns] = torch.where(own > 0, own.clamp(min=_LEAST).log(), 0.0)
                found += [has, value]
            else:
                odds = self.prior.repeat(count, 1)
                odds[:, columns] = torch.logit(own.clamp(_LEAST, 1 - _LEAST))
                found.append(odds)
        found.append(self.prior.repeat(count, 1))
        return torch.stack(found, dim=-1)

    def scores(
        self, scores: Sequence[Float[Tensor, "B _"]], numbers: Tensor | None = None
    ) -> Float[Tensor, "B A"]:
        """Give the joined scores of some pictures.

        Args:
            scores: of each member, for its own words.
            numbers: in place of its own.
        """
        if self.method == "ranks":
            return 1 / self._mean_ranks(scores)
        mine = self.numbers if numbers is None else numbers
        return calibration.probabilities(self.features(scores), mine)

    def _mean_ranks(self, scores: Sequence[Tensor]) -> Float[Tensor, "B A"]:
        words = len(self.prior)
        total = torch.zeros(len(scores[0]), words)
        for member, own in zip(self.members, scores, strict=True):
            every = torch.zeros(len(own), words)
            every[:, list(member.columns)] = own
            order = every.sort(dim=1, descending=True, stable=True).indices
            ranks = torch.empty_like(every)
            ranks.scatter_(1, order, torch.arange(1.0, words + 1).expand_as(every))
            has = every > 0
            left = (has.sum(1, keepdim=True) + 1 + words) / 2
            total += torch.where(has, ranks, left.expand_as(ranks))
        return total / len(self.members)

    def save(self, folder: Path) -> str:
        """Write it beside a description; give its checksum."""
        return write_tensors(folder / WEIGHTS, {"prior": self.prior, "numbers": self.numbers})

    @classmethod
    def load(
        cls, folder: Path, source: ConceptSource, members: Sequence[ConceptSource]
    ) -> "Joined":
        """Read what `save` wrote. Raises RunError."""
        file = folder / WEIGHTS
        if not file.is_file() or sha256(file) != source.checksum:
            raise RunError(f"{file}: absent, or not what concepts.json beside it speaks of.")
        tensors = read_tensors(file)
        if set(tensors) != {"prior", "numbers"}:
            raise RunError(f"{file}: these are no joined concepts; copy the file again.")
        known = set(source.words)
        if any(not known.issuperset(one.words) for one in members):
            raise RunError(f"{folder}: its members have other words; copy the folder again.")
        inside = tuple(Member.of(one, source.words) for one in members)
        found = cls(source.method, inside, tensors["prior"], tensors["numbers"])
        wanted = 0 if source.method == "ranks" else found.width + 1
        shapes = (tuple(found.prior.shape), tuple(found.numbers.shape))
        whole = all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
        if shapes != ((len(source.words),), (wanted,)) or not whole:
            raise RunError(f"{file}: does not fit concepts.json beside it; copy both again.")
        return found


def halves(names: Sequence[str], photos: Mapping[str, str]) -> dict[str, int]:
    """Give each training picture one of two halves; identical photos share one.

    Args:
        names: of the pictures.
        photos: picture -> SHA-256 of its photo; a picture that is not in it goes by its name.
    """
    known = {name: photos.get(name, name) for name in names}
    return {name: hashlib.sha256(key.encode()).digest()[0] % 2 for name, key in known.items()}


def fit(
    joined: Joined, names: Sequence[str], targets: Mapping[str, Tensor],
    read: Callable[[Sequence[str]], list[Tensor]], at_once: int = 512,
) -> Float[Tensor, " G"]:  # fmt: skip
    """Fit the numbers on some training pictures.

    Args:
        joined: what is joined; its numbers are not looked at.
        names: the pictures.
        targets: which words their captions name.
        read: gives the scores of every member for some pictures.
        at_once: pictures in memory.
    """

    def parts() -> Iterator[calibration.Part]:
        for start in range(0, len(names), at_once):
            some = names[start : start + at_once]
            yield joined.features(read(some)), torch.stack([targets[name] for name in some])

    return calibration.fit(parts, joined.width)


def reader(stores: Sequence[FeatureStore]) -> Callable[[Sequence[str]], list[Tensor]]:
    """Give what reads the scores of several folders for some pictures."""

    def read(names: Sequence[str]) -> list[Tensor]:
        return [torch.stack(store.rows_of(list(names))).float() for store in stores]

    return read
