"""Caption metrics without Java: BLEU, METEOR, ROUGE-L, CIDEr-D and SPICE as COCO computes them.

Score with `score(references, candidates)`, compare two systems with `comparisons`, reward
samples with `rewards`, ask how well a metric follows people with `judgements`, hold captions
against two captioners that see nothing (`blind`), and stand in for pycocoevalcap with `pycoco`.
It may import `miacap.text` and the ground floor, and never torch.
"""

from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.scoring import METRICS, Scores, score

__all__ = ["METRICS", "DocumentFrequencies", "Scores", "score"]
