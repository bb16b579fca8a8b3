"""Room: concepts. The words that a picture is likely to show, found by a trained extractor.

Offers `train` (out-of-fold concepts for a whole dataset), `read` (concepts from a file of
words), `detect` (concepts from a detector's class names), `tune` (a backbone), `Extractor`,
`extract` and `heat` for single pictures, and `ConceptVocabulary`.
May import the ground floor, `text`, `pictures`, `data`, `visual` and `training`; never
a captioner.
"""

from miacap.concepts.comparing import compare, lines
from miacap.concepts.description import (
    ConceptSource,
    check_fits,
    check_same,
    no_extractor,
    not_in_features,
    what_to_know,
)
from miacap.concepts.detected import detect
from miacap.concepts.extractor import Extractor, extract, heat
from miacap.concepts.folders import ConceptFolder
from miacap.concepts.from_lists import ReadLists, read
from miacap.concepts.joined_folder import join
from miacap.concepts.looking import Finder, RegionsWithConcepts
from miacap.concepts.report import at_base_rate, known_before, lists_table, suspicion, table
from miacap.concepts.settings import (
    ConceptSettings,
    DetectSettings,
    JoinSettings,
    ListSettings,
    ZeroShotSettings,
)
from miacap.concepts.training import train
from miacap.concepts.tuning import TuneSettings, tune, tuning_leak, tuning_table
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.concepts.zero_shot import zero_shot

__all__ = [
    "ConceptFolder",
    "ConceptSettings",
    "ConceptSource",
    "ConceptVocabulary",
    "DetectSettings",
    "Extractor",
    "Finder",
    "JoinSettings",
    "ListSettings",
    "ReadLists",
    "RegionsWithConcepts",
    "TuneSettings",
    "ZeroShotSettings",
    "at_base_rate",
    "check_fits",
    "check_same",
    "compare",
    "detect",
    "extract",
    "heat",
    "join",
    "known_before",
    "lines",
    "lists_table",
    "no_extractor",
    "not_in_features",
    "read",
    "suspicion",
    "table",
    "train",
    "tune",
    "tuning_leak",
    "tuning_table",
    "what_to_know",
    "zero_shot",
]
