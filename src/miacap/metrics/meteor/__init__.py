"""METEOR 1.5 without Java, equal to the official program, and the dictionary that SPICE shares.

It reads its tables from an installed pycocoevalcap (extra [meteor]) and runs none of its code.
It may import the ground floor, and of metrics nothing but itself.
"""

from miacap.metrics.meteor.dictionary import Dictionary
from miacap.metrics.meteor.scorer import Alignment, Meteor, MeteorScores
from miacap.metrics.meteor.statistics import aggregate

__all__ = ["Alignment", "Dictionary", "Meteor", "MeteorScores", "aggregate"]
