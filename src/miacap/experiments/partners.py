"""Another picture's concepts: what a gain by concepts has to be told apart from."""

from collections.abc import Sequence

from miacap.data import Dataset
from miacap.errors import DataError
from miacap.metrics.blind import derangement

__all__ = ["partners"]


def partners(dataset: Dataset, names: Sequence[str], seed: int = 0) -> dict[str, str]:
    """Say whose concepts each picture gets: another one's of its own split.

    Within the split, so that training pictures keep concepts that were scored out of fold.

    Args:
        dataset: gives the splits.
        names: the pictures that there are features of.
        seed: of the draw.

    Raises:
        DataError: a split has one picture alone.
    """
    known = set(names)
    result: dict[str, str] = {}
    for split in dataset.splits:
        ids = [id for id in dataset.split(split).ids if id in known]
        if len(ids) == 1:
            raise DataError(
                f"{dataset.name}: the split {split!r} has one picture alone, so there is no "
                "other picture whose concepts it could get."
            )
        if ids:
            result |= dict(zip(ids, derangement(ids, seed), strict=True))
    return result
