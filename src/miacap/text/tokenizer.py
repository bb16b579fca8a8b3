"""Captions to tokens, as the official COCO evaluation cuts them."""

from collections.abc import Iterable

from miacap.text.lexer import scan

# The official list, typed in upper case there, holds the brackets too; as they come out in lower
# case they never match, so -lrb- and its like stay words (and stay them here).
PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))

# Whatever breaks a line inside a caption is a blank: one caption is one line.
_BLANKS = str.maketrans(dict.fromkeys("\n\r\v\f\u2028\u2029", " "))


def tokenize(caption: str, keep_punctuation: bool = False) -> list[str]:
    """Cut one caption into lower-case tokens; it is taken alone, whatever stands beside it.

    Tokens never hold a blank (U+0020) but a phone number or a mixed fraction is one token that
    holds U+00A0. Without ``keep_punctuation`` the tokens of ``PUNCTUATION`` are left out.
    """
    tokens = scan(caption.translate(_BLANKS))
    if keep_punctuation:
        return tokens
    return [token for token in tokens if token not in PUNCTUATION]


def tokenize_all(captions: Iterable[str], keep_punctuation: bool = False) -> list[list[str]]:
    """Cut many captions, each alone; the list has their order."""
    return [tokenize(caption, keep_punctuation) for caption in captions]
