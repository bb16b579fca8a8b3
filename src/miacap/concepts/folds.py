"""Which extractor scores which picture.

A training picture belongs to one fold, by the hash of its photo, so that identical photos share
one; it is scored by the extractor that was trained without this fold. All other pictures are
scored by the extractor that was trained on the whole training split.
"""

import hashlib
from collections.abc import Sequence

from torch import Tensor

from miacap.data import Photos
from miacap.data.store import FeatureStore
from miacap.errors import DataError
from miacap.wording import by_number, counted

WHOLE = -1
"""In place of a fold: the extractor of the whole training split."""


def fold_of(content: bytes, folds: int, seed: int) -> int:
    """Give the fold (0 .. folds - 1) of a photo with this content."""
    return fold_of_sum(hashlib.sha256(content).digest(), folds, seed)


def fold_of_sum(sha256: bytes, folds: int, seed: int) -> int:
    """Give the fold (0 .. folds - 1) of a photo whose content has this SHA-256."""
    digest = hashlib.sha256(f"{seed}:".encode() + sha256).digest()
    return int.from_bytes(digest[:8], "big") % folds


def assign(
    names: Sequence[str], photos: Photos, regions: FeatureStore, folds: int, seed: int
) -> dict[str, int]:
    """Give the fold of every training picture.

    A photo that is not at hand is known by its features: identical photos have identical ones.

    Raises DataError where all pictures share one fold, so that none could be scored.
    """
    return require_two(
        {name: fold_of(_content(name, photos, regions), folds, seed) for name in names}
    )


def require_two(folds_of: dict[str, int]) -> dict[str, int]:
    """Refuse folds that are one. Raises DataError."""
    if len(set(folds_of.values())) < 2:
        raise DataError(
            f"{counted(len(folds_of), 'training picture')} with captions, or as many copies of one "
            f"photo, {by_number(len(folds_of), 'is', 'are')} too few to train concepts out of "
            "fold; give at least a few dozen."
        )
    return folds_of


def _content(name: str, photos: Photos, regions: FeatureStore) -> bytes:
    if name in photos:
        return photos.read(name)
    rows: Tensor = regions.rows(name)
    return rows.contiguous().numpy().tobytes()
