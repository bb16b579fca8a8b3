"""SPICE without Java (Anderson, Fernando, Johnson, Gould 2016): do captions state the same facts?

Captions become tuples (`parsing`), tuples become scene graphs that merge synonyms (`graph`), and
the candidate's tuples are matched with those of all references together (`matching`):

    P = matched / candidate's tuples,   R = matched / references' tuples,   SPICE = 2PR / (P + R)

It may import METEOR's dictionary and lexicon and the ground floor; spaCy comes on first use alone.

Example by hand. Candidate "a man rides a red motorcycle": (man), (motorcycle), (motorcycle, red),
(man, ride, motorcycle). References "a man on a bike" and "a man riding a black bike" make one
graph: (man), (bike), (bike, black), (man, on, bike), (man, ride, bike). In the dictionary a bike
is a motorcycle, so three of the candidate's four tuples match: P = 3/4, R = 3/5, SPICE = 2/3.

What people do not expect:

* The references are one graph, so more references mean more tuples and a lower recall.
* The corpus score is the mean of the pictures' F.
* Parsers differ. The official score comes from the Stanford parser of 2015, ours from spaCy's
  small model and rules: means agree within .01, pairs correlate at .94 to .97, single
  pictures differ (docs/spice.md). Scores carry their parser's label; compare only equal labels.
  Given the same tuples, counts and scores equal the official program's.
* "Cardinality" is what papers call Count. A category without reference tuples has no score (NaN).
"""

from miacap.metrics.spice.categories import CATEGORIES
from miacap.metrics.spice.scorer import Parser, Spice, score_tuples
from miacap.metrics.spice.scores import SpiceScores, aggregate
from miacap.metrics.spice.tuple_files import TupleFile, read_tuples, write_tuples

__all__ = [
    "CATEGORIES",
    "Parser",
    "Spice",
    "SpiceScores",
    "TupleFile",
    "aggregate",
    "read_tuples",
    "score_tuples",
    "write_tuples",
]
