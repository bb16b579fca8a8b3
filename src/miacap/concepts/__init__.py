"""Room: concepts. The words that a picture is likely to show, found by a trained extractor.

Offers ``train`` (out-of-fold concepts for a whole dataset), ``read`` (concepts from a file of
words), ``Extractor``, ``extract`` and ``heat`` for single pictures, and ``ConceptVocabulary``.
May import the ground floor, ``text``, ``pictures``, ``data``, ``visual`` and ``training``; never
a captioner.
"""

from miacap.concepts.described import WordLists
from miacap.concepts.extractor import Extractor, extract, heat
from miacap.concepts.listing import ReadLists, read
from miacap.concepts.producing import train
from miacap.concepts.report import lists_table, suspicion, table
from miacap.concepts.settings import ConceptSettings, ListSettings
from miacap.concepts.vocabulary import ConceptVocabulary

__all__ = [
    "ConceptSettings",
    "ConceptVocabulary",
    "Extractor",
    "ListSettings",
    "ReadLists",
    "WordLists",
    "extract",
    "heat",
    "lists_table",
    "read",
    "suspicion",
    "table",
    "train",
]
