"""Several sources of concepts side by side: the same pictures, the same words, the same numbers.

The words are those of all folders together, and a source that does not know one gives it to no
picture. So recall and mAP mean the same for all: what is not even looked for counts as not found.
Of a list of words that is shorter than k, P@k is over the words that are listed; what is not
listed is never a hit.

Scores of training pictures are taken as they are stored: those of trained extractors are out of
fold, those of joined sources are weighed as the other half of the pictures says; of zero-shot
concepts three numbers and the words' frequencies come from the training captions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from miacap.concepts.evaluation import at_k, average_precision
from miacap.concepts.folders import ConceptFolder
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data import Dataset
from miacap.errors import DataError
from miacap.text import tokenize_all
from miacap.wording import counted

KS = (10, 49)


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
    targets: Mapping[str, Tensor]

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
        names = [name for group in splits.values() for name in group]
        captions = dataset.captions
        flat = iter(tokenize_all([one for name in names for one in captions[name]]))
        tokens = [[next(flat) for _ in captions[name]] for name in names]
        targets = dict(zip(names, words.targets(tokens), strict=True))
        return cls(words, {split: tuple(group) for split, group in splits.items()}, targets)

    def targets_of(self, split: str) -> Bool[Tensor, "B A"]:
        """Give the targets of a split's pictures."""
        return torch.stack([self.targets[name] for name in self.splits[split]])

    def scores_of(self, folder: ConceptFolder, split: str) -> Float[Tensor, "B A"]:
        """Give a folder's scores of a split's pictures, 0 for words that it does not know."""
        own = torch.stack(folder.store.rows_of(list(self.splits[split]))).float()
        scores = torch.zeros(len(own), len(self.words))
        scores[:, self.columns(folder)] = own
        return scores

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
    often = common.targets_of("train").float().mean(0)
    splits: dict[str, Any] = {}
    for split, names in common.splits.items():
        targets = common.targets_of(split)
        splits[split] = {
            "pictures": len(names),
            "base rate": measure(often.expand(len(names), -1), targets, ks),
            "sources": [
                {
                    "folder": str(one.folder),
                    **measure(common.scores_of(one, split), targets, ks),
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
    precisions = average_precision(scores, targets)
    occurring = precisions[~precisions.isnan()].double()
    numbers = {"mAP": float(occurring.mean()) if len(occurring) else 0.0}
    for k in ks:
        precision, recall = _at(scores, targets, min(k, scores.shape[1]))
        numbers |= {f"P@{k}": precision, f"R@{k}": recall}
    return numbers


def _at(scores: Tensor, targets: Tensor, k: int) -> tuple[float, float]:
    if bool((scores > 0).all()):
        return at_k(scores, targets, k)
    some = targets.any(1)
    if not bool(some.any()):
        return 0.0, 0.0
    kept, true = scores[some], targets[some]
    values, best = kept.sort(dim=1, descending=True, stable=True)
    listed = values[:, :k] > 0
    hits = (true.gather(1, best[:, :k]) & listed).sum(1).double()
    precision = hits / listed.sum(1).clamp(min=1)
    return float(precision.mean()), float((hits / true.sum(1)).mean())


def lines(report: Mapping[str, Any]) -> str:
    """Set a comparison as lines of text."""
    splits: Mapping[str, Any] = report["splits"]
    first = next(iter(splits.values()))
    names = list(first["base rate"])
    width = max(24, *(len(one["folder"]) + 2 for one in first["sources"]))
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
            rows.append(f"  {label:<{width - 2}}{'':>9}{cells}")
    return "\n".join(rows)
