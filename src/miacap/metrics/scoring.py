"""Score candidates against references: one call, every metric, with a signature."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from miacap.errors import DataError
from miacap.metrics import checks, families, lengths, signatures
from miacap.metrics.files import Path, opened
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.matching import Candidates, Pairs, References, few, match
from miacap.metrics.names import METRICS, canonical, chosen
from miacap.metrics.statistics import Statistics
from miacap.metrics.tokens import tokenised
from miacap.wording import counted

if TYPE_CHECKING:
    from miacap.metrics.spice import TupleFile

__all__ = ["METRICS", "Scores", "score"]


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Mapping[str, float]):
    """Corpus scores by metric name, on the official scale (0-1; CIDEr-D 0-10).

    Attributes:
        values_by_metric: metric -> corpus score.
        ids: the scored pictures, in order.
        per_picture: metric -> one score a picture, in the order of `ids`.
        signature: everything that another table must share to be compared with this one.
        signatures: the same for each metric alone.
        statistics: what resampling needs.
        skipped: metric -> why it is absent (an extra that is not installed).
        warnings: what a reader of the scores should know.
        categories: SPICE's sub-scores, by category, where SPICE was computed.
    """

    values_by_metric: Mapping[str, float]
    ids: tuple[str, ...]
    per_picture: Mapping[str, list[float]]
    signature: str
    signatures: Mapping[str, str]
    statistics: tuple[Statistics, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    categories: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float:
        metric = canonical(metric)
        if metric in self.values_by_metric:
            return self.values_by_metric[metric]
        if metric in self.skipped:
            raise KeyError(f"{metric} was not computed: {self.skipped[metric]}")
        raise KeyError(metric)

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_metric)

    def __len__(self) -> int:
        return len(self.values_by_metric)

    def __repr__(self) -> str:
        """A line a metric, and the signature: what a notebook shows."""
        width = max((len(name) for name in self), default=0)
        lines = [f"{name:<{width}}  {value:.4f}" for name, value in self.items()]
        return "\n".join([*lines, f"signature: {self.signature}"])


def score(
    references: References | Path,
    candidates: Candidates | Path,
    metrics: Sequence[str] | None = None,
    *,
    tokenized: bool = False,
    frequencies: DocumentFrequencies | None = None,
    tuples: "TupleFile | None" = None,
    allow_missing: bool = False,
    count_empty: bool = False,
    ids: str | None = None,
    quiet: bool = True,
) -> Scores:
    """Score captions as the COCO caption evaluation does.

    Args:
        references: captions by picture id, a list of lists of captions, or a file of them.
        candidates: one caption by picture id, a list in the references' order, or a file.
        metrics: names out of `METRICS`, in any case, also pycocoevalcap's (`Bleu_4`);
            None computes all whose extras are installed and says in `Scores.skipped` what is
            missing.
        tokenized: the captions are tokenised already (words joined by blanks); don't do it again.
        frequencies: fixed document frequencies for CIDEr-D; None counts the given references.
        tuples: another parser's tuples for SPICE, with the same ids (`spice.read_tuples`).
        allow_missing: leave out pictures that only one side has, instead of refusing.
        count_empty: keep blank references, as the official evaluation does; else they are left
            out and counted in `Scores.warnings`. Tokenised captions are taken as they are.
        ids: compare ids as "name", "stem" or "number" (`id_forms`); None as they are.
        quiet: show no progress (METEOR builds an index once).

    Raises:
        DataError: ids that don't fit together, a wrong type, nothing to score.
        UnknownName: a metric that does not exist.
        MissingExtra: a metric was asked for by name whose extra is not installed.
    """
    wanted = chosen(metrics)
    references, candidates, notes = opened(references, candidates)
    try:
        # Among tokens an empty reference may be one of punctuation alone, which counts.
        kept = count_empty or tokenized
        pairs = match(references, candidates, allow_missing, count_empty=kept, ids=ids)
    except DataError as error:
        raise DataError(" ".join((str(error), *notes))) from None
    if tokenized:
        sentences, lists = list(pairs.candidates), [list(some) for some in pairs.references]
    else:
        sentences = tokenised(pairs.candidates)
        lists = [tokenised(some) for some in pairs.references]
    computed = families.compute(
        lists,
        sentences,
        wanted,
        frequencies,
        optional=metrics is None,
        tuples=None if tuples is None else _in_order(tuples, pairs.ids),
        quiet=quiet,
    )
    warned = checks.warnings(
        pairs.references,
        pairs.candidates,
        tokenized=tokenized,
        own_frequencies=frequencies is None and "CIDEr-D" in wanted,
    )
    warned += [
        lengths.warning(name, beyond, pairs.ids)
        for name, beyond in computed.beyond.items()
        if beyond
    ]
    return _assemble(wanted, pairs, computed, tokenized, (*notes, *pairs.notes, *warned))


def _in_order(tuples: "TupleFile", ids: Sequence[str]) -> "TupleFile":
    index = {str(name): row for row, name in enumerate(tuples.ids)}
    missing = [name for name in ids if name not in index]
    if missing:
        have = counted(len(missing), "picture has", "pictures have")
        raise DataError(f"{have} no tuples for SPICE: {few(missing)}.")
    rows = [index[name] for name in ids]
    return replace(
        tuples,
        ids=[tuples.ids[row] for row in rows],
        references=[tuples.references[row] for row in rows],
        candidates=[tuples.candidates[row] for row in rows],
    )


def _assemble(
    wanted: Sequence[str],
    pairs: Pairs,
    computed: families.Found,
    tokenized: bool,
    warned: tuple[str, ...],
) -> Scores:
    corpus: dict[str, float] = {}
    pictures: dict[str, list[float]] = {}
    for part in computed.statistics:
        for column, name in enumerate(part.names):
            corpus[name] = part.corpus[column]
            pictures[name] = part.per_picture[:, column].tolist()
    done = [name for name in wanted if name in corpus]
    shared = signatures.setting(pairs.references, tokenized)
    return Scores(
        values_by_metric={name: corpus[name] for name in done},
        ids=pairs.ids,
        per_picture={name: pictures[name] for name in done},
        signature=signatures.of_table(done, computed.signature, shared),
        signatures={name: signatures.of_metric(name, computed.signature, shared) for name in done},
        statistics=tuple(computed.statistics),
        skipped=computed.skipped,
        warnings=warned,
        categories=computed.categories,
    )
