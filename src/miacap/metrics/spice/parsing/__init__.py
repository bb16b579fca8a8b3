"""Captions to tuples: a dependency parser, repairs for captions, SPICE's patterns.

`pipeline.CaptionParser` runs spaCy's small English model, `repairs` corrects what it gets wrong
about captions, `relations`, `pronouns` and `patterns` read the tuples off. It may import the
ground floor and METEOR's dictionary; spaCy and lemminflect are imported on first use.
"""

from miacap.metrics.spice.parsing.pipeline import CaptionParser

__all__ = ["CaptionParser"]
