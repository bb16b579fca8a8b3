"""Captions of two runs beside each other: whether a packed run still says what it said."""

from collections.abc import Sequence
from dataclasses import dataclass

from miacap.captioning.evaluation import check_features, evaluate
from miacap.captioning.pipeline import Pipeline
from miacap.captioning.rows import Row
from miacap.data import Dataset
from miacap.data.features import differences
from miacap.data.store import FeatureStore
from miacap.devices import Device
from miacap.errors import DataError
from miacap.progress import Progress
from miacap.runs import Run

__all__ = ["Comparison", "captions_of", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How many captions two runs have in common.

    Attributes:
        compared: pictures that both could caption.
        differing: id and both captions of those that differ.
    """

    compared: int
    differing: tuple[tuple[str, str, str], ...]

    @property
    def share(self) -> float:
        """Part of the captions that differ, 0 to 1."""
        return len(self.differing) / self.compared


def captions_of(
    run: Run,
    dataset: Dataset,
    split: str,
    regions: FeatureStore | None = None,
    *,
    device: Device = "auto",
    quiet: bool = False,
) -> tuple[Row, ...]:
    """Caption a split: from stored features where they are the run's own, else from its photos.

    Args:
        run: a trained run.
        dataset: gives the split and its photos.
        split: its name.
        regions: stored features; those of another network (a tuned one that was packed, say) are
            not looked at, None takes the photos.
        device: where the networks run.
        quiet: show no progress.
    """
    if regions is not None and not differences(run.preprocessing, regions.manifest.preprocessing):
        check_features(run, regions)
        found = evaluate(
            run, dataset, split, regions, metrics=("BLEU-4",), controls=False, device=device,
            quiet=quiet,
        )  # fmt: skip
        return found.rows
    part = dataset.split(split)
    rows = []
    with Progress(f"captioning {split}", len(part.ids), "photos", quiet) as progress:
        photos = (dataset.photos.read(name) for name in part.ids)
        for row in Pipeline(run.folder, device=device).rows(photos, part.ids):
            rows.append(row)
            progress.advance()
    return tuple(rows)


def compare(ours: Sequence[Row], theirs: Sequence[Row]) -> Comparison:
    """Compare the captions of the same pictures.

    Args:
        ours: rows of one run.
        theirs: rows of another, in the same order.

    Raises:
        DataError: other pictures, or not one that both captioned.
    """
    if [row.id for row in ours] != [row.id for row in theirs]:
        raise DataError("The captions that are compared are of different pictures.")
    both = [
        (one.id, one.caption, other.caption)
        for one, other in zip(ours, theirs, strict=True)
        if one.caption is not None and other.caption is not None
    ]
    if not both:
        raise DataError("No picture was captioned by both runs, so that nothing can be compared.")
    return Comparison(len(both), tuple(row for row in both if row[1] != row[2]))
