"""Several sources of concepts side by side: the same pictures, the same words, the same numbers.

The words are those of all folders together, and a source that does not know one gives it to no
picture. So recall and mAP mean the same for all: what is not even looked for counts as not found.
Of a list of words that is shorter than k, P@k is over the words that are listed; what is not
listed is never a hit.

Scores of training pictures are taken as they are stored: those of trained extractors are out of
fold, those of joined sources are weighed as the other half of the pictures says; of zero-shot
concepts three numbers and the words' frequencies come from the training captions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from miacap.concepts.evaluation import average_precision
from miacap.concepts.folders import ConceptFolder
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data import Dataset
from miacap.errors import DataError
from miacap.text import tokenize_all
from miacap.wording import counted

KS = (10, 49)
_AT_ONCE = 512
_HELD = 1 << 26
"""Scores that are in memory at once: 256 MiB."""


class Targets(Mapping[str, Tensor]):
    """Which words the captions of a picture name, picture by picture: numbers of words are kept.

    Args:
        words: the words.
        captions: of each picture.
    """

    def __init__(self, words: ConceptVocabulary, captions: Mapping[str, Sequence[str]]) -> None:
        self._count = len(words)
        self._named: dict[str, Tensor] = {}
        names = list(captions)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            flat = iter(tokenize_all([one for name in some for one in captions[name]]))
            tokens = [[next(flat) for _ in captions[name]] for name in some]
            for name, row in zip(some, words.targets(tokens), strict=True):
                self._named[name] = row.nonzero().squeeze(1)

    def __getitem__(self, name: str) -> Bool[Tensor, " A"]:
        row = torch.zeros(self._count, dtype=torch.bool)
        row[self._named[name]] = True
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def counts(self, names: Iterable[str]) -> Int[Tensor, " A"]:
        """Give the number of pictures that name each word."""
        named = torch.cat([self._named[name] for name in names])
        return torch.bincount(named, minlength=self._count)


Piece = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Common:
    """What several folders can be compared on.

    Attributes:
        words: of all folders, in the order of the first, then of the second, ...
        splits: pictures that have captions and scores in every folder, by split.
        targets: which words the captions of a picture name.
    """

    words: ConceptVocabulary
    splits: Mapping[str, tuple[str, ...]]
    targets: Targets

    @classmethod
    def of(cls, folders: Sequence[ConceptFolder], dataset: Dataset) -> "Common":
        """Find it.

        Raises:
            DataError: no captioned picture has scores in every folder, or no training picture.
        """
        words = ConceptVocabulary(
            list(dict.fromkeys(word for one in folders for word in one.source.words))
        )
        splits: dict[str, list[str]] = {}
        for entry in dataset.pictures:
            if entry.captions and all(entry.id in one.store for one in folders):
                splits.setdefault(entry.split, []).append(entry.id)
        if not splits.get("train"):
            named = ", ".join(str(one.folder) for one in folders)
            raise DataError(
                f"{dataset.name}: no training picture with captions has concepts in {named}; give "
                "the data that they were made for."
            )
        captions = dataset.captions
        targets = Targets(words, {n: captions[n] for group in splits.values() for n in group})
        return cls(words, {split: tuple(group) for split, group in splits.items()}, targets)

    def priors(self) -> Float[Tensor, " A"]:
        """Give the log-odds of each word's frequency in the training captions, smoothed."""
        names = self.splits["train"]
        return torch.logit((self.targets.counts(names) + 0.5) / (len(names) + 1.0))

    def frequencies(self) -> Float[Tensor, " A"]:
        """Give the share of the training pictures that name each word."""
        names = self.splits["train"]
        return self.targets.counts(names).float() / len(names)

    def scores_of(self, folder: ConceptFolder, names: Sequence[str]) -> Float[Tensor, "B A"]:
        """Give a folder's scores of pictures, 0 for words that it does not know."""
        own = torch.stack(folder.store.rows_of(names)).float()
        scores = torch.zeros(len(own), len(self.words))
        scores[:, self.columns(folder)] = own
        return scores

    def measure(
        self,
        split: str,
        scores: Callable[[Sequence[str]], Float[Tensor, "B A"]],
        ks: Sequence[int],
    ) -> dict[str, float]:
        """Measure what gives scores, on the pictures of a split; few of them are in memory."""
        names = self.splits[split]

        def piece(some: slice) -> Piece:
            mine = names[some]
            return scores(mine), torch.stack([self.targets[name] for name in mine])

        return _measured(len(names), len(self.words), piece, ks)

    def columns(self, folder: ConceptFolder) -> list[int]:
        """Give where the words of a folder stand among all words."""
        found = [self.words.index(word) for word in folder.source.words]
        return [index for index in found if index is not None]


def compare(
    folders: Sequence[ConceptFolder], dataset: Dataset, ks: Sequence[int] = KS
) -> dict[str, Any]:
    """Measure the stored concepts of several folders, beside what frequencies alone would give.

    Args:
        folders: of `concepts train`, `read`, `zero-shot` or `join`.
        dataset: gives captions and splits.
        ks: of P@k and R@k.

    Returns:
        For each split its pictures, the base rate, and mAP, P@k and R@k of each folder; `lines`
        sets it for reading.

    Raises:
        DataError: the folders share no captioned training picture.
    """
    common = Common.of(folders, dataset)
    often = common.frequencies()
    splits: dict[str, Any] = {}
    for split, names in common.splits.items():
        splits[split] = {
            "pictures": len(names),
            "base rate": common.measure(split, lambda some: often.expand(len(some), -1), ks),
            "sources": [
                {
                    "folder": str(one.folder),
                    **common.measure(split, partial(common.scores_of, one), ks),
                }
                for one in folders
            ],
        }
    return {"words": len(common.words), "splits": splits}


def measure(
    scores: Float[Tensor, "B A"], targets: Bool[Tensor, "B A"], ks: Sequence[int] = KS
) -> dict[str, float]:
    """Give mAP, P@k and R@k, where a score of 0 says that a word was not looked for or not listed.

    See `evaluation` for the equations; P@k of a picture with fewer than k words above 0 is over
    those.
    """
    count, words = scores.shape
    return _measured(count, words, lambda some: (scores[some], targets[some]), ks)


def _measured(
    count: int, words: int, piece: Callable[[slice], Piece], ks: Sequence[int]
) -> dict[str, float]:
    """Measure `count` pictures, of which `piece` gives scores and targets of some."""
    parts = [slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE)]
    occurs = torch.zeros(words, dtype=torch.bool)
    found: dict[int, list[tuple[Tensor, Tensor]]] = {k: [] for k in ks}
    for part in parts:
        scores, targets = piece(part)
        occurs |= targets.any(0)
        for k, rows in found.items():
            rows.append(_at(scores, targets, min(k, words)))
    precisions = _average_precisions(parts, count, piece, occurs.nonzero().squeeze(1))
    numbers = {"mAP": float(precisions.double().mean()) if len(precisions) else 0.0}
    for k, rows in found.items():
        for name, values in zip((f"P@{k}", f"R@{k}"), zip(*rows, strict=True), strict=True):
            every = torch.cat(values)
            numbers[name] = float(every.mean()) if len(every) else 0.0
    return numbers


def _average_precisions(
    parts: Sequence[slice], count: int, piece: Callable[[slice], Piece], words: Tensor
) -> Float[Tensor, " W"]:
    """Give the average precision of words that occur, as many of them at a time as memory takes."""
    found = [torch.zeros(0)]
    width = max(1, _HELD // count)
    for start in range(0, len(words), width):
        columns = words[start : start + width]
        pieces = [tuple(side[:, columns] for side in piece(part)) for part in parts]
        scores, targets = (torch.cat(sides) for sides in zip(*pieces, strict=True))
        found.append(average_precision(scores, targets))
    return torch.cat(found)


def _at(scores: Tensor, targets: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Give P@k and R@k of each picture that names a word."""
    some = targets.any(1)
    kept, true = scores[some], targets[some]
    values, best = kept.sort(dim=1, descending=True, stable=True)
    listed = values[:, :k] > 0
    hits = (true.gather(1, best[:, :k]) & listed).sum(1).double()
    return hits / listed.sum(1).clamp(min=1), hits / true.sum(1)


def lines(report: Mapping[str, Any]) -> str:
    """Set a comparison as lines of text."""
    splits: Mapping[str, Any] = report["splits"]
    first = next(iter(splits.values()))
    names = list(first["base rate"])
    width = 80 - 9 * (1 + len(names))
    width = min(width, max(24, *(len(one["folder"]) + 2 for one in first["sources"])))
    rows = [
        f"{counted(report['words'], 'word')} of all folders together",
        f"{'split':<{width}}{'pictures':>9}" + "".join(f"{name:>9}" for name in names),
    ]
    for split, row in splits.items():
        rows.append(f"{split:<{width}}{row['pictures']:>9}")
        for label, numbers in (
            ("base rate", row["base rate"]),
            *((one["folder"], one) for one in row["sources"]),
        ):
            cells = "".join(f"{numbers[name]:>9.3f}" for name in names)
            if len(label) > width - 2:  # on a line of its own, above its numbers
                rows.append(f"  {label}")
                label = ""
            rows.append(f"  {label:<{width - 2}}{'':>9}{cells}")
    return "\n".join(rows)
