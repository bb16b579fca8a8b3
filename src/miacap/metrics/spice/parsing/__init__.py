"""Captions to tuples: spaCy's small English model, repairs for captions, SPICE's patterns."""
