"""Tables and texts as people have them: any encoding, gzip, JSON with places, rows of cells.

Everything that reads captions, ids, ratings or lists of words from a file stands on this room:
`text` reads, `json_places` walks through JSON, `delimited` through rows, `captions` says what a
cell holds, `names` what people call ids and captions. It imports the ground floor alone.
"""

from miacap.reading import parse_json
from miacap.tables.text import numbered_lines, read_text

__all__ = ["numbered_lines", "parse_json", "read_text"]
