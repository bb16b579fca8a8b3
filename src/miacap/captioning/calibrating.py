"""Learn on a split how often captions are wrong, by their log-probability per word.

What "wrong" means comes from people who rated captions of photos: `ratings.py` says how probably
they call a caption wrong, by its CIDEr-D, and which share of this run's captions they call wrong.
Each caption of the split gets this probability as its target, and a logistic regression on its
log-probability per word gives `runs.confidence.Calibration`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from miacap.captioning.evaluation import Evaluation
from miacap.captioning.ratings import called_wrong, rating_shares
from miacap.concepts.calibration import fit, probabilities
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.errors import DataError
from miacap.files import sha256
from miacap.runs import Run, SelfCritical
from miacap.runs.confidence import Bin, Calibration
from miacap.wording import counted

__all__ = ["bias", "calibrate", "reliability"]

FEWEST_PICTURES = 200
FEWEST_REFERENCES = 4
OUT_OF_DEPTH = 0.03
"""Share of the split's own photos that are taken for unlike it."""

_BINS = 10


def calibrate(
    run: Run, evaluation: Evaluation, dataset: Dataset, regions: FeatureStore, split: str
) -> Calibration:
    """Fit a run's calibration on the captions of a split.

    Args:
        run: the run that made the captions.
        evaluation: of the split, by the run's own search, with CIDEr-D.
        dataset: has the references.
        regions: the pictures' features, as the captioner read them.
        split: the split's name; not "train".

    Raises:
        DataError: the training split, too few pictures or references, or log-probabilities that
            do not tell right captions from wrong ones.
    """
    if split == "train":
        raise DataError(
            "The run has learned the captions of train by heart: calibrate on --split dev."
        )
    rows = [row for row in evaluation.rows if row.error is None and dataset.captions.get(row.id)]
    _require_enough(len(rows), [len(dataset.captions[row.id]) for row in rows])
    assert evaluation.scores is not None
    scores = dict(zip(evaluation.scores.ids, evaluation.scores.per_picture["CIDEr-D"], strict=True))
    per_word = torch.tensor([row.per_word for row in rows], dtype=torch.float64)
    cider = torch.tensor([scores[row.id] for row in rows], dtype=torch.float64)
    ratings = rating_shares(cider)
    wrong = called_wrong(cider, ratings)
    slope, intercept = _fitted(per_word, wrong)
    if not slope < 0:
        raise DataError(
            "This run's log-probabilities do not tell right captions from wrong ones, so that it "
            "cannot be calibrated; train it for longer."
        )
    error, bins = reliability(per_word, wrong)
    typical, least = _depth(regions, [row.id for row in rows])
    return Calibration(
        intercept=intercept,
        slope=slope,
        typical=typical,
        least_likeness=least,
        weights_sha256=sha256(run.folder / "weights.safetensors"),
        split=split,
        pictures=len(rows),
        wrong=float(wrong.mean()),
        ratings=ratings,
        calibration_error=error,
        bins=bins,
    )


def bias(run: Run) -> str | None:
    """Say so where `wrong` is probably too low: the run was trained on scores such as CIDEr-D.

    What a caption scores then says less of whether it is right (docs/confidence.md has how much).
    """
    objective = run.settings.objective
    if not isinstance(objective, SelfCritical):
        return None
    rewards = " and ".join(name for name, weight in objective.rewards.items() if weight)
    return (
        f"the run was trained to score in {rewards}, and the share of wrong captions is estimated "
        "by what they score in CIDEr-D: it is probably higher (docs/confidence.md)"
    )


def reliability(
    per_word: Float[Tensor, " N"], wrong: Float[Tensor, " N"]
) -> tuple[float, tuple[Bin, ...]]:
    """Give the expected calibration error and its parts, each half predicted from the other.

    The pictures in turns make the halves. By what is predicted all are then cut into ten parts
    of equal size; the error is the mean distance between what is predicted of a part and what is
    observed (Naeini et al. 2015, with parts of equal size).
    """
    half = torch.arange(len(per_word)) % 2 == 0
    predicted = torch.empty_like(wrong)
    for learned in (half, ~half):
        numbers = torch.tensor(_fitted(per_word[learned], wrong[learned]), dtype=torch.float64)
        predicted[~learned] = _predicted(per_word[~learned], numbers)
    order = predicted.argsort(stable=True)
    bins = tuple(
        Bin(float(predicted[part].mean()), float(wrong[part].mean()), len(part))
        for part in order.tensor_split(_BINS)
        if len(part)
    )
    error = sum(abs(b.predicted - b.observed) * b.captions for b in bins) / len(wrong)
    return error, bins


def _fitted(per_word: Float[Tensor, " N"], wrong: Float[Tensor, " N"]) -> tuple[float, float]:
    """Give slope and intercept of the logistic regression."""
    numbers = fit(lambda: [(per_word[None, :, None], wrong[None])], 1)
    return float(numbers[0]), float(numbers[1])


def _predicted(per_word: Float[Tensor, " N"], numbers: Float[Tensor, " G"]) -> Float[Tensor, " N"]:
    return probabilities(per_word[None, :, None], numbers)[0].double()


def _depth(regions: FeatureStore, names: Sequence[str]) -> tuple[tuple[float, ...], float]:
    """Give the typical mean of a picture's rows, and the likeness that few pictures lack."""
    means = torch.stack([regions.rows(name).double().mean(0) for name in names])
    typical = means.mean(0)
    # Six digits say it as well as sixteen, in a third of the file.
    kept = tuple(float(f"{number:.6g}") for number in (typical / typical.norm()).tolist())
    wanted = torch.tensor(kept, dtype=torch.float64)
    alike = torch.cosine_similarity(means, wanted[None], dim=1)
    return kept, float(alike.quantile(OUT_OF_DEPTH))


def _require_enough(pictures: int, references: Sequence[int]) -> None:
    if pictures < FEWEST_PICTURES:
        raise DataError(
            f"A calibration needs at least {FEWEST_PICTURES} pictures with references, not "
            f"{counted(pictures, 'picture')}."
        )
    mean = sum(references) / len(references)
    if mean < FEWEST_REFERENCES:
        raise DataError(
            f"A calibration needs about five references a picture, at least {FEWEST_REFERENCES}, "
            f"not {mean:.1f}: what people call wrong is known of scores against five."
        )
