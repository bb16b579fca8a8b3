"""Room: explain. What a run saw in a photo: the concepts that it found, and where.

May import every room below it. A captioner's attention will be shown here too.
"""

from miacap.explain.concepts import Concept, heat_map, show

__all__ = ["Concept", "heat_map", "show"]
