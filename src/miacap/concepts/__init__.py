"""Room: concepts. The words that a picture is likely to show, found by a trained extractor.

Offers ``train`` (out-of-fold concepts for a whole dataset), ``Extractor``, ``extract`` and
``heat`` for single pictures, and ``ConceptVocabulary``. May import the ground floor, ``text``,
``pictures``, ``data``, ``visual`` and ``training``; never a captioner.
"""

from miacap.concepts.extractor import Extractor, extract, heat
from miacap.concepts.producing import train
from miacap.concepts.report import table
from miacap.concepts.settings import ConceptSettings
from miacap.concepts.vocabulary import ConceptVocabulary

__all__ = [
    "ConceptSettings",
    "ConceptVocabulary",
    "Extractor",
    "extract",
    "heat",
    "table",
    "train",
]
