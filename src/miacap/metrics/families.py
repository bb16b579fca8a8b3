"""Tokenised sentences -> statistics of every wanted metric.

BLEU, ROUGE-L and CIDEr-D share one count of n-grams; METEOR and SPICE come from
their own packages and may be missing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from miacap.errors import MissingExtra
from miacap.metrics import bleu, cider, rouge, signatures
from miacap.metrics.arrays import Floats
from miacap.metrics.corpus import intern, intern_at_blanks
from miacap.metrics.counting import overlaps
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.statistics import Statistics, of_means
from miacap.reading import collector_paused

if TYPE_CHECKING:
    from miacap.metrics.meteor import Meteor
    from miacap.metrics.spice import TupleFile


@dataclass
class Found:
    """Statistics by family, with what belongs into their signatures.

    Attributes:
        statistics: one entry a family.
        signature: family -> its part of the signature, beside what is fixed.
        skipped: metric -> which extra to install.
        categories: SPICE's sub-scores.
        tuples: what SPICE scores instead of parsing.
        beyond: METEOR or SPICE -> pictures of which it did not read all, see `lengths`.
        quiet: show no progress.
    """

    statistics: list[Statistics] = field(default_factory=list)
    signature: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    categories: dict[str, float] = field(default_factory=dict)
    beyond: dict[str, dict[int, int]] = field(default_factory=dict)
    tuples: "TupleFile | None" = None
    quiet: bool = False


COUNTED = (*bleu.names(), rouge.NAME, cider.NAME)
"""Metrics of counted words; the others come from packages of their own."""


def compute(
    references: Sequence[Sequence[str]],
    candidates: Sequence[str],
    wanted: Collection[str],
    frequencies: DocumentFrequencies | None = None,
    optional: bool = False,
    tuples: "TupleFile | None" = None,
    quiet: bool = False,
) -> Found:
    """Compute the wanted metrics of tokenised sentences.

    Args:
        references: tokenised references of each picture.
        candidates: tokenised candidates.
        wanted: names of metrics.
        frequencies: fixed document frequencies for CIDEr-D.
        optional: note a missing extra instead of raising.
        tuples: another parser's tuples of these pictures, in their order, for SPICE.
        quiet: show no progress.

    Raises:
        MissingExtra: METEOR or SPICE is wanted, not installed and not optional.
    """
    result = Found(tuples=tuples, quiet=quiet)
    _count_words(references, candidates, wanted, frequencies, result)
    for name, family in (("METEOR", _meteor), ("SPICE", _spice)):
        if name in wanted:
            _try(family, name, references, candidates, result, optional)
    computed = {name for one in result.statistics for name in one.names}
    absent = [name for name in wanted if name not in computed and name not in result.skipped]
    if absent:
        raise RuntimeError(f"No family computes {', '.join(absent)}: families.py lacks its line.")
    return result


def _count_words(
    references: Sequence[Sequence[str]],
    candidates: Sequence[str],
    wanted: Collection[str],
    frequencies: DocumentFrequencies | None,
    result: Found,
) -> None:
    if not any(name in wanted for name in COUNTED):
        return
    bleus = [name for name in bleu.names() if name in wanted]
    corpus = intern(candidates, references)
    if bleus or cider.NAME in wanted:
        families = {signatures.family(name) for name in wanted}
        counted = overlaps(corpus, families, frequencies)
        if counted.correct is not None and bleus:
            result.statistics.append(bleu.statistics(corpus, counted.correct))
        if counted.similarity is not None and cider.NAME in wanted:
            result.statistics.append(cider.statistics(corpus, counted.similarity))
            result.signature[cider.NAME] = (
                "df:references" if frequencies is None else frequencies.label
            )
    if rouge.NAME in wanted:
        result.statistics.append(rouge.statistics(intern_at_blanks(candidates, references, corpus)))


Family = Callable[[Sequence[Sequence[str]], Sequence[str], Found], None]


def _try(
    family: Family,
    name: str,
    references: Sequence[Sequence[str]],
    candidates: Sequence[str],
    result: Found,
    optional: bool,
) -> None:
    try:
        with collector_paused():
            family(references, candidates, result)
    except MissingExtra as error:
        if not optional:
            raise
        result.skipped[name] = str(error)


@cache
def meteor_scorer(quiet: bool = True) -> "Meteor":
    """METEOR with its tables open: they are checked and mapped once a process."""
    from miacap.metrics.meteor import Meteor

    return Meteor(quiet=quiet)


def _meteor(references: Sequence[Sequence[str]], candidates: Sequence[str], result: Found) -> None:
    from miacap.metrics.meteor.statistics import score as meteor_of_sums
    from miacap.metrics.meteor.statistics import summands

    scores = meteor_scorer(result.quiet).score(references, candidates)

    def aggregate(sums: Floats) -> Floats:
        return np.array([[meteor_of_sums(row)] for row in sums.tolist()])

    result.beyond["METEOR"] = scores.beyond
    result.statistics.append(
        Statistics(
            ("METEOR",),
            summands(scores.statistics).astype(np.float64),
            aggregate,
            np.array(scores.per_picture, dtype=np.float64)[:, None],
            (scores.corpus,),
        )
    )


def _spice(references: Sequence[Sequence[str]], candidates: Sequence[str], result: Found) -> None:
    from miacap.metrics import spice

    if result.tuples is None:
        scores = spice.Spice(quiet=result.quiet).score(references, candidates)
    else:
        scores = result.tuples.score()
    result.beyond["SPICE"] = scores.beyond
    result.statistics.append(of_means("SPICE", np.array(scores.values, dtype=np.float64)))
    result.signature["SPICE"] = f"parser:{scores.parser}"
    result.categories.update(
        {name: value for name, value in scores.categories.items() if name != "All"}
    )
