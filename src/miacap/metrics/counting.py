"""Right n-grams (BLEU) and clipped cosines (CIDEr-D) of a corpus, by whatever counts fastest."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from miacap.metrics import bleu, cider
from miacap.metrics.arrays import Floats, Integers
from miacap.metrics.corpus import Corpus
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.ngrams import distinct
from miacap.metrics.speed import loops


@dataclass(frozen=True)
class Overlaps:
    """What candidates share with their references.

    Attributes:
        correct: right n-grams, pictures x orders; None where not wanted.
        similarity: cosines summed over references, pictures x orders; None where not wanted.
    """

    correct: Integers | None
    similarity: Floats | None


def overlaps(
    corpus: Corpus,
    wanted: Collection[str] = ("BLEU", "CIDEr-D"),
    frequencies: DocumentFrequencies | None = None,
    orders: int = 4,
    sigma: float = cider.SIGMA,
) -> Overlaps:
    """Compare each candidate with its references.

    Args:
        corpus: words of all sentences.
        wanted: "BLEU", "CIDEr-D" or both.
        frequencies: fixed document frequencies for CIDEr-D.
        orders: longest n-gram.
        sigma: width of CIDEr-D's length penalty.
    """
    compiled = loops(len(corpus.lengths))
    penalties = cider.penalties(corpus, sigma)
    if compiled is not None and frequencies is None and _fits(corpus, orders):
        layout = (corpus.lengths, corpus.picture, corpus.candidate)
        numbers, counts = compiled.number_ngrams(corpus.words, *layout, corpus.width, orders)
        idf = cider.idf(float(corpus.pictures), counts.astype(np.float64))
        return Overlaps(*compiled.compare(numbers, *layout, corpus.pictures, idf, penalties))
    ngrams = list(distinct(corpus, orders))
    return Overlaps(
        bleu.correct(corpus, ngrams) if "BLEU" in wanted else None,
        cider.similarity(corpus, ngrams, penalties, frequencies) if "CIDEr-D" in wanted else None,
    )


def _fits(corpus: Corpus, orders: int) -> bool:
    """Whether the compiled loops' packed numbers stay below 63 bits (numpy checks for itself)."""
    most = len(corpus.words) * orders + 1
    return (most * max(corpus.width, 1)).bit_length() + most.bit_length() < 63
