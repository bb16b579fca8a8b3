"""Caption metrics without Java: BLEU, METEOR, ROUGE-L, CIDEr-D and SPICE as COCO computes them.

Score with `score(references, candidates)`, compare two systems with `comparisons`, reward
samples with `rewards`, ask how well a metric follows people with `judgements`, hold captions
against two captioners that see nothing (`blind`), and stand in for pycocoevalcap with `pycoco`.
Files are read by `read_references` and `read_candidates`; `score` takes paths as well. The room
may import `text`, `tables` and the ground floor, and never torch.
"""

from miacap.metrics.files import read_candidates, read_references
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.scoring import METRICS, Scores, score

__all__ = [
    "METRICS",
    "DocumentFrequencies",
    "Scores",
    "read_candidates",
    "read_references",
    "score",
]
