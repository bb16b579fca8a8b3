"""METEOR 1.5 without Java: normaliser, aligner, statistics and the dictionary that SPICE shares."""
