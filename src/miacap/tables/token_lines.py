"""Token files, as Flickr8k's and Flickr30k's authors give them.

    1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress is climbing ...

A key is split at its last "#", a line at its first tab; some copies in circulation have a blank
in place of the tab. Source of the format: Hodosh, Young and Hockenmaier (2013).
"""

import re
from dataclasses import dataclass

_TAB_LINE = re.compile(r"([^\t]+)#(\d+)\t(.*)", re.DOTALL)
_BLANK_LINE = re.compile(r"(\S+)#(\d+) +(.*)", re.DOTALL)


@dataclass(frozen=True)
class TokenLine:
    """One line.

    Attributes:
        name: of the photo.
        number: of the caption, as written.
        caption: untouched.
    """

    name: str
    number: str
    caption: str


def parse(line: str) -> TokenLine | None:
    """Read a line, or give None where it has another form."""
    match = _TAB_LINE.fullmatch(line) or _BLANK_LINE.fullmatch(line)
    return TokenLine(*match.groups()) if match else None
