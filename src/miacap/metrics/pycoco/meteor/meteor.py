"""`Meteor` as in pycocoevalcap.meteor.meteor; the metric is `miacap.metrics.meteor`."""

from functools import cached_property

from miacap.metrics.meteor import Meteor as Scorer
from miacap.metrics.pycoco.sentences import Sentences, sides


class Meteor:
    """METEOR 1.5; its tables are opened when the first score is asked for."""

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer()

    def compute_score(self, gts: Sentences, res: Sentences) -> tuple[float, list[float]]:
        """Score id -> [candidate] against id -> references: corpus score, pictures' scores.

        Raises:
            MissingExtra: the extra [meteor] is not installed.
        """
        candidates, references = sides(gts, res)
        scores = self._scorer.score(references, candidates)
        return scores.corpus, scores.per_picture

    def method(self) -> str:
        """The name that is printed."""
        return "METEOR"
