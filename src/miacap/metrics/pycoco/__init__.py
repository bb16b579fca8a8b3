"""pycocoevalcap's names over miacap's metrics: change the import lines, keep the rest, lose Java.

    pycocoevalcap.eval                    ->  miacap.metrics.pycoco.eval
    pycocoevalcap.tokenizer.ptbtokenizer  ->  miacap.metrics.pycoco.tokenizer.ptbtokenizer
    pyciderevalcap.ciderD.ciderD          ->  miacap.metrics.pycoco.ciderd

Code that cannot be edited is served by `install()`, an import hook; `uninstall()` undoes it.

Modules, classes, call signatures, return types and orders are pycocoevalcap 1.2's. It may import
the rest of metrics. What differs: captions are tokenised each alone and remembered by content;
line breaks inside a caption never shift another one; `COCOEvalCap` gives SPICE to the picture
that it belongs to (the original sorts ids and then doesn't) and says which extra a metric lacks.
"""

from miacap.metrics.pycoco.bleu.bleu import Bleu
from miacap.metrics.pycoco.cider.cider import Cider
from miacap.metrics.pycoco.ciderd import CiderD
from miacap.metrics.pycoco.eval import COCOEvalCap
from miacap.metrics.pycoco.hook import install, uninstall
from miacap.metrics.pycoco.meteor.meteor import Meteor
from miacap.metrics.pycoco.rouge.rouge import Rouge
from miacap.metrics.pycoco.spice.spice import Spice
from miacap.metrics.pycoco.tokenizer.ptbtokenizer import PTBTokenizer

__all__ = [
    "Bleu",
    "COCOEvalCap",
    "Cider",
    "CiderD",
    "Meteor",
    "PTBTokenizer",
    "Rouge",
    "Spice",
    "install",
    "uninstall",
]
