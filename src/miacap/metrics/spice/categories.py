"""The seven categories of SPICE and the word lists behind three of them.

The lists are the official program's (version 1.0); they were read out of it by running it. An
attribute belongs to Color, Size or Cardinality if its whole printed name is in the list, so that
one that was merged with another ("red/crimson") belongs to none of them.
"""

from collections.abc import Iterator

from miacap.metrics.spice.graph import Proposition
from miacap.metrics.spice.word_sets import word_set

CATEGORIES = ("All", "Relation", "Cardinality", "Attribute", "Size", "Color", "Object")
"""In the order in which the official program writes them. Papers call Cardinality "Count"."""

_BY_LENGTH = ("", "Object", "Attribute", "Relation")

NUMBERS = word_set("one two three four five six seven eight nine ten")

COLORS = word_set(
    "beige black blue brown cream dark gray green grey light maroon orange pink purple red"
    " violet white yellow"
)

SIZES = word_set(
    "baby beefy big bony boundless brawny broad bulky chunky colossal compact corpulent cosmic"
    " cubby curvy elfin emaciated endless enormous epic expansive extensive fat fleshy full-size"
    " gargantuan gaunt giant gigantic grand great heavy hefty huge hulking illimitable"
    " immeasurable immense infinitesimal lanky large lean life-size limitless little mammoth"
    " massive meager measly microscopic mini miniature minuscule minute narrow obese outsized"
    " oversize overweight paltry petite pint-size plump pocket-size portly pudgy puny rotund"
    " scanty scraggy scrawny short sizable skeletal skimpy skinny slender slim small squat stocky"
    " stout strapping sturdy tall teensy teeny teeny-tiny teeny-weeny thick thickset thin tiny"
    " titanic towering trifling trim tubby undersized underweight unlimited vast wee whopping"
    " wide"
)


def categories_of(proposition: Proposition) -> Iterator[str]:
    """Names of all categories that count `proposition`; "All" comes first."""
    yield "All"
    yield _BY_LENGTH[len(proposition)]
    if len(proposition) == 2:
        name = proposition[1].name
        if name in COLORS:
            yield "Color"
        if name in SIZES:
            yield "Size"
        if name in NUMBERS:
            yield "Cardinality"
