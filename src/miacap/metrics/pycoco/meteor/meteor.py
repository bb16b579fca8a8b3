"""`Meteor` as in pycocoevalcap.meteor.meteor; the metric is `miacap.metrics.meteor`."""

import warnings

from miacap.metrics import lengths
from miacap.metrics.families import meteor_scorer
from miacap.metrics.pycoco.sentences import Sentences, sides


class Meteor:
    """METEOR 1.5; its tables are opened when the first score is asked for."""

    def compute_score(self, gts: Sentences, res: Sentences) -> tuple[float, list[float]]:
        """Score id -> [candidate] against id -> references: corpus score, pictures' scores.

        Raises:
            MissingExtra: the extra [meteor] is not installed.
        """
        candidates, references = sides(gts, res)
        scores = meteor_scorer().score(references, candidates)
        if scores.beyond:
            warnings.warn(lengths.warning("METEOR", scores.beyond, list(gts)), stacklevel=2)
        return scores.corpus, scores.per_picture

    def method(self) -> str:
        """The name that is printed."""
        return "METEOR"
