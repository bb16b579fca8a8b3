"""Evaluate a run on a split: its captions, their scores, and whether it beats seeing nothing."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from miacap import terminal
from miacap.captioning.blind import CONSTANT, SHUFFLED
from miacap.captioning.inputs import Inputs
from miacap.captioning.rows import Row, caption_rows, search_settings, shared
from miacap.captioning.words import Lengths
from miacap.concepts import ConceptFolder, check_fits, no_extractor, not_in_features
from miacap.concepts.task import require_regions
from miacap.data import Dataset
from miacap.data.features import require_same
from miacap.data.leaks import Leak
from miacap.data.leaks import find as find_leaks
from miacap.data.store import FeatureStore
from miacap.devices import Device, choose
from miacap.errors import DataError
from miacap.files import output
from miacap.metrics import DocumentFrequencies, Scores, score
from miacap.metrics.blind import best_constant, shuffled
from miacap.metrics.comparisons import Interval, paired_bootstrap
from miacap.parts import ALONE, Sharing
from miacap.progress import Progress
from miacap.runs import Trained
from miacap.runs.confidence import calibration_of
from miacap.text import tokenize_all
from miacap.wording import all_of, by_number

DEFAULT_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")

_PICTURES_PER_SEARCH = 64


@dataclass(frozen=True)
class Evaluation:
    """What came out: a row a picture, the time, and scores where there are references.

    A picture that was set aside when features or concepts were made has a row with an error,
    and no part in the scores.
    """

    rows: tuple[Row, ...]
    seconds: float
    scores: Scores | None = None
    controls: Mapping[str, Interval] = field(default_factory=dict)
    """CIDEr-D above each captioner that sees nothing (`captioning.blind`)."""
    references: Lengths = field(default_factory=lambda: Lengths(0, 0, 0))
    """How many there are, and how many have more words than the run's captions may have."""
    maximum_words: int = 0
    """Words that a caption of the run may have."""
    leaks: tuple[Leak, ...] = ()
    """Pictures of the split that are in another one as well."""

    @property
    def longer_references(self) -> int:
        """Number of references with more words than the run's captions may have."""
        return self.references.longer

    @property
    def distinct(self) -> int:
        """Number of different captions."""
        return len({row.caption for row in self.rows if row.error is None})

    @property
    def captioned(self) -> int:
        """Number of pictures that have a caption."""
        return sum(row.error is None for row in self.rows)

    @property
    def empty(self) -> int:
        """Number of pictures whose caption has no word."""
        return sum(row.caption == "" for row in self.rows)

    @property
    def rate(self) -> float:
        """Captions per second, features already extracted."""
        return self.captioned / max(self.seconds, 1e-9)


def evaluate(
    run: Trained,
    dataset: Dataset,
    split: str,
    regions: FeatureStore,
    *,
    concepts: ConceptFolder | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    beam: int | None = None,
    length_penalty: float | None = None,
    controls: bool = True,
    frequencies: DocumentFrequencies | None = None,
    concepts_of: Mapping[str, str] | None = None,
    device: Device = "auto",
    quiet: bool = False,
    sharing: Sharing = ALONE,
) -> Evaluation:
    """Caption every picture of a split and, where it has references, score the captions.

    Args:
        run: a trained run, or several joined (`runs.join`).
        dataset: gives the split, and the training captions for the constant control.
        split: its name; pictures without captions are captioned and not scored.
        regions: their features, prepared as the run's were.
        concepts: stored concepts, in place of what the run's extractor finds; a run trained on
            concepts from a file needs them, a run without concepts does not look at them.
        metrics: names that `miacap.metrics.score` knows.
        beam: hypotheses of the search; the run's own unless told.
        length_penalty: of the search; the run's own unless told (`decoding.SearchSettings`).
        controls: compare with a constant caption and with shuffled captions.
        frequencies: fixed document frequencies for CIDEr-D, so that sets compare; None counts
            the split's own references.
        concepts_of: whose concepts a picture gets where not its own; for controls.
        device: where the captioner runs; "auto" takes a GPU where there is one.
        quiet: show no progress.
        sharing: processes that share the pictures out, batch by batch; each calls this alike. The
            main one gets all rows and scores them, the others get nothing.

    Raises:
        RunError: features made in another way than the run's, or concepts that are not the
            run's.
        DataError: pictures without features or concepts, or all of them set aside.
        SettingsError: a beam of none.
    """
    settings = search_settings(run, beam, length_penalty)
    check_features(run, regions)
    check_concepts(run, concepts)
    part = dataset.split(split)
    chosen = choose(device)
    inputs = Inputs.of_run(run, regions, concepts, concepts_of, chosen)
    aside = inputs.set_aside(part.ids)
    names = _not_aside(part, split, aside)
    captioner = run.captioner(chosen)
    inputs.require(names)
    groups = sharing.part.groups(names, _PICTURES_PER_SEARCH)
    pictures = (inputs.stored(list(group)) for group in groups)
    calibration, _ = calibration_of(run)
    found = caption_rows(
        captioner, pictures, run.vocabulary, settings, chosen, calibration=calibration
    )
    rows: list[Row] = []
    start = time.monotonic()
    with Progress(f"captioning {split}", len(names), "photos", quiet) as progress:
        for row in shared(found, _PICTURES_PER_SEARCH, sharing):
            rows.append(row)
            progress.advance()
    seconds = time.monotonic() - start
    if not sharing.main:
        return Evaluation((), seconds)
    by_name = {row.id: row for row in rows} | {n: Row(n, error=aside[n]) for n in aside}
    every = Evaluation(
        tuple(by_name[name] for name in part.ids),
        seconds,
        leaks=tuple(find_leaks(dataset, regions.photos, part.pictures[0].split)),
    )
    references = {name: part.captions[name] for name in names if name in part.captions}
    if not references:
        return every
    candidates = {row.id: row.caption or "" for row in rows if row.id in references}
    train = {entry.id: entry.captions for entry in dataset if entry.split == "train"}
    return replace(
        every,
        scores=score(references, candidates, metrics=metrics, frequencies=frequencies),
        controls=above_blind(train, references, candidates, frequencies) if controls else {},
        references=_lengths(references, run.settings.maximum_words),
        maximum_words=run.settings.maximum_words,
    )


def _not_aside(part: Dataset, split: str, aside: Mapping[str, str]) -> list[str]:
    """Give the pictures that can be captioned. Raises DataError where there are none."""
    names = [name for name in part.ids if name not in aside]
    if not names:
        first = next(iter(aside.values()))
        raise DataError(
            f"{part.name}: {all_of(len(aside), 'picture')} of {split} "
            f"{by_number(len(aside), 'was', 'were')} set aside when features or "
            f"concepts were made, the first: {first}"
        )
    return names


def above_blind(
    train: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    candidates: Mapping[str, str],
    frequencies: DocumentFrequencies | None = None,
) -> dict[str, Interval]:
    """Compare captions with two captioners that see nothing, in CIDEr-D.

    Args:
        train: captions of the training pictures; the best one of them is the constant caption. A
            test set alone has none.
        references: of the pictures.
        candidates: of the same pictures.
        frequencies: fixed document frequencies; None counts the references.
    """
    metric = "CIDEr-D"

    def scored(captions: Mapping[str, str]) -> Scores:
        return score(references, captions, metrics=(metric,), frequencies=frequencies)

    own = scored(candidates)
    blind = {}
    if any(train.values()):
        constant = best_constant({name: texts for name, texts in train.items() if texts})
        blind[CONSTANT] = dict.fromkeys(candidates, constant)
    if len(candidates) > 1:
        blind[SHUFFLED] = shuffled(candidates)
    return {name: paired_bootstrap(own, scored(other), metric) for name, other in blind.items()}


def check_features(run: Trained, regions: FeatureStore) -> None:
    """Refuse features that were made in another way than the run's. Raises RunError."""
    require_regions(regions)
    require_same(
        run.preprocessing, regions.manifest.preprocessing, str(run.folder), str(regions.folder)
    )


def check_concepts(run: Trained, concepts: ConceptFolder | None) -> None:
    """Refuse stored concepts that cannot stand for the run's, or none where it needs them.

    Raises RunError.
    """
    for one in run.members:
        own = one.concepts
        if own is None:
            continue
        if concepts is not None:
            check_fits(own, concepts.source, reads_scores="scores" in one.reads)
        elif own.is_lists:
            raise no_extractor(own)
        elif own.looks:
            raise not_in_features(own)


def _lengths(references: Mapping[str, Sequence[str]], maximum: int) -> Lengths:
    flat = [text for texts in references.values() for text in texts]
    return Lengths.of(map(len, tokenize_all(flat)), maximum)


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines, whole or not at all."""
    with output(path) as file:
        for row in rows:
            file.write(terminal.json_text(row.to_json()) + "\n")
