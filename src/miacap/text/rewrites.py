"""How a matched piece of text is written as a token (lower case comes last, everywhere)."""

import re
from collections.abc import Callable

Rewrite = Callable[[str], str]

_APOSTROPHES = re.compile(r"&apos;|[\u0092\u2019]")
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u0091\u2018\u201b\u2039", "`"),
        **dict.fromkeys("\u0092\u2019\u203a", "'"),
        **dict.fromkeys("\u0093\u201c\u00ab", "``"),
        **dict.fromkeys("\u0094\u201d\u00bb", "''"),
    }
)
_ROUND = str.maketrans({"(": "-lrb-", ")": "-rrb-"})
_JOINED = str.maketrans({" ": "\u00a0", "(": "-lrb-", ")": "-rrb-"})
_AMPERSANDS = re.compile(r"(?i:&amp;)")


def fixed(token: str) -> Rewrite:
    """Write every match as the same token."""
    return lambda _: token


def without_soft_hyphens(token: str) -> str:
    """Drop the soft hyphens inside a word; alone, one is a hyphen."""
    return token.replace("\u00ad", "") or "-"


def plain_apostrophe(token: str) -> str:
    """Write the kinds of apostrophe as the ASCII one (a wrong quote in its place stays).

    The entity is one in small letters alone: &APOS; stays as it is.
    """
    return _APOSTROPHES.sub("'", token).translate(_QUOTES)


def latex_quotes(token: str) -> str:
    """Write typographic quotes in the way of TeX, one by one."""
    return token.translate(_QUOTES)


def named_brackets(token: str) -> str:
    """Write round brackets inside a token by name."""
    return token.translate(_ROUND)


def joined_blanks(token: str) -> str:
    """Keep a token with blanks in one piece: U+00A0 for blanks."""
    return token.replace(" ", "\u00a0")


def one_token(token: str) -> str:
    """Keep a token with blanks in one piece: U+00A0 for blanks, names for brackets."""
    return token.translate(_JOINED)


def plain_ampersand(token: str) -> str:
    """Write the entity of the ampersand as the character."""
    return _AMPERSANDS.sub("&", token)
