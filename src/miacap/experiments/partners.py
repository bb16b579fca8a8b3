"""Another picture's concepts: what a gain by concepts has to be told apart from."""

from collections.abc import Sequence

from torch import Tensor

from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.errors import DataError
from miacap.metrics.blind import derangement

__all__ = ["SwappedStore", "partners"]


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
    found: dict[str, str] = {}
    for split in dataset.splits:
        ids = [id for id in dataset.split(split).ids if id in known]
        if len(ids) == 1:
            raise DataError(
                f"{dataset.name}: the split {split!r} has one picture alone, so there is no "
                "other picture whose concepts it could get."
            )
        if ids:
            found |= dict(zip(ids, derangement(ids, seed), strict=True))
    return found


class SwappedStore(FeatureStore):
    """A store in which each picture has the features of its partner.

    Args:
        store: the store to read from.
        partners: whose features each picture gets.
    """

    def __init__(self, store: FeatureStore, partners: dict[str, str]) -> None:
        self.__dict__.update(store.__dict__)
        self._partners = partners

    def rows(self, name: str) -> Tensor:
        """Give the partner's features."""
        return super().rows(self._partners.get(name, name))

    def boxes(self, name: str) -> Tensor | None:
        """Give the partner's boxes."""
        return super().boxes(self._partners.get(name, name))
