"""Room: decoding. Finds words with any captioner that fulfils the contract.

Offers ``greedy``, ``beam`` and ``sample``, which give ``Found``; a whole batch of pictures is
searched at once. May import text (special ids), pictures and the captioners' contract.
"""

from miacap.decoding.beams import beam
from miacap.decoding.found import BANNED, Found
from miacap.decoding.single import greedy, sample

__all__ = ["BANNED", "Found", "beam", "greedy", "sample"]
