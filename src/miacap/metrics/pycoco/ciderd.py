"""`CiderD` as in pyciderevalcap.ciderD.ciderD (self-critical training); the metric is CIDEr-D.

The original reads document frequencies from a pickle named by `df`. Nothing pickled is read here:
`df` is "corpus", a `DocumentFrequencies`, or a file that `miacap score --write-df` wrote.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from miacap.errors import DataError
from miacap.metrics import cider
from miacap.metrics.arrays import Floats
from miacap.metrics.corpus import intern
from miacap.metrics.counting import overlaps
from miacap.metrics.frequencies import DocumentFrequencies

Frequencies = str | os.PathLike[str] | DocumentFrequencies


class CiderD:
    """CIDEr-D of results that may hold several candidates of one picture.

    Args:
        n: longest n-grams.
        sigma: width of the length penalty, in word pairs.
        df: "corpus" counts the references of each call, one entry of the results being one
            picture, as the original does; else fixed frequencies or a file of them.

    Raises:
        DataError: the file cannot be read or holds no frequencies.
    """

    def __init__(self, n: int = 4, sigma: float = 6.0, df: Frequencies = "corpus") -> None:
        self._n = n
        self._sigma = sigma
        self._frequencies: DocumentFrequencies | None = None
        if isinstance(df, DocumentFrequencies):
            self._frequencies = df
        elif df != "corpus":
            if not os.path.isfile(df):
                raise DataError(
                    f"df={os.fspath(df)!r} is no file. The original would look for a pickle of "
                    "that name; give 'corpus', or a file that `miacap score --write-df` wrote."
                )
            self._frequencies = DocumentFrequencies.load(df)

    def compute_score(
        self, gts: Mapping[Any, Sequence[str]], res: Sequence[Mapping[str, Any]]
    ) -> tuple[np.float64, Floats]:
        """Score results against references.

        Args:
            gts: id -> references, tokenised.
            res: `{"image_id": id, "caption": [candidate]}`; an id may occur many times.

        Returns:
            mean score; one score for each result, in their order.

        Raises:
            DataError: a result without references, or with other than one caption.
        """
        candidates, references = [], []
        for index, result in enumerate(res):
            name, captions = result["image_id"], result["caption"]
            if isinstance(captions, str) or len(captions) != 1:
                raise DataError(f"res[{index}]: caption must be a list of one sentence.")
            if name not in gts or isinstance(gts[name], str) or not gts[name]:
                raise DataError(f"res[{index}]: gts has no list of references for {name!r}.")
            candidates.append(captions[0])
            references.append(list(gts[name]))
        if not candidates:
            raise DataError("res holds no result: there is nothing to score.")
        corpus = intern(candidates, references)
        similarity = overlaps(
            corpus, [cider.NAME], self._frequencies, orders=self._n, sigma=self._sigma
        ).similarity
        assert similarity is not None
        values = cider.statistics(corpus, similarity).per_picture[:, 0]
        return np.float64(np.mean(values)), values

    def method(self) -> str:
        """The name that is printed."""
        return "CIDEr-D"
