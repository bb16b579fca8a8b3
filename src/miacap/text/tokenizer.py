"""Captions to tokens, as the official COCO evaluation cuts them.

The official program reads all captions of a call as one text, and some of its rules look over
the end of a caption into the next one. `tokenize` reads each caption alone, so that neither the
order nor the neighbours of captions matter; `tokenize_all(..., neighbours=True)` reads as the
official program does.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from miacap.text import abbreviations as known
from miacap.text.lexer import scan

# The official list, typed in upper case there, holds the brackets too; as they come out in lower
# case they never match, so -lrb- and its like stay words (and stay them here).
PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))

# Whatever breaks a line inside a caption is a blank: one caption is one line.
_LINE_BREAKS = str.maketrans(dict.fromkeys("\n\r\v\f\u2028\u2029", " "))

# How the caption after a sentence begins, more often than not.
_ANOTHER_CAPTION = "\nA "
_SENTENCE_WORDS = 6
_PLAIN_WORD = re.compile(r"(?<![^ ])[A-Za-z]+,?(?![^ ])")

# Pieces between blanks that may always give the same tokens. No rule looks back, and only after
# a period or an apostrophe does one look over a blank; then what can stand behind is tried out.
_SIMPLE = re.compile(r"[A-Za-z]+(?:[-/][A-Za-z]+)*(?:'[A-Za-z]{1,2})?[.,]?|,")
_LOOKS_ON = re.compile("[.']")
_BEHIND = ("", " a", " A ", "  a", _ANOTHER_CAPTION, "\n5")
_TWO_WORDS = frozenset(("cannot", "gonna", "wanna", "gotta", "lemme", "gimme"))
_LONGEST_PIECE = 40
_MOST_PIECES = 1 << 16

_Tokens = tuple[str, ...]
_pieces: dict[str, tuple[_Tokens, _Tokens]] = {"": ((), ())}


def tokenize(caption: str, keep_punctuation: bool = False) -> list[str]:
    """Cut one caption into lower-case tokens; it is taken alone, whatever stands beside it.

    A caption of six plain words or more is read as one of many: as if another that begins with
    "A" came after it. A shorter one is read as the whole input of the official program.

    Args:
        caption: any string; a line break in it counts as a blank.
        keep_punctuation: False leaves out the tokens of `PUNCTUATION`.

    Returns:
        Tokens without blanks (U+0020); a phone number or a mixed fraction is one token that
        holds U+00A0. No string raises an error.
    """
    quick = _quickly(caption, keep_punctuation)
    if quick is not None:
        return quick
    line = caption.translate(_LINE_BREAKS)
    sentence = len(_PLAIN_WORD.findall(line)) >= _SENTENCE_WORDS
    return _carefully(line, _ANOTHER_CAPTION if sentence else "", keep_punctuation)


def tokenize_all(
    captions: Iterable[str], keep_punctuation: bool = False, neighbours: bool = False
) -> list[list[str]]:
    """Cut many captions; the list has their order.

    Args:
        captions: any strings.
        keep_punctuation: as in `tokenize`.
        neighbours: False takes each caption alone. True reads them as one call of the official
            program does, so that the start of a caption can change the end of the one before it.
    """
    if not neighbours:
        return [tokenize(caption, keep_punctuation) for caption in captions]
    lines = [caption.translate(_LINE_BREAKS) for caption in captions]
    result = []
    for index, line in enumerate(lines):
        quick = _quickly(line, keep_punctuation)
        if quick is None:
            quick = _carefully(line, _what_follows(lines, index), keep_punctuation)
        result.append(quick)
    return result


def _quickly(caption: str, keep_punctuation: bool) -> list[str] | None:
    """Put a caption together from known pieces; None where a piece may depend on the others."""
    which = 0 if keep_punctuation else 1
    tokens: list[str] = []
    known = _pieces.get
    for piece in caption.split(" "):
        both = known(piece) or _learn(piece)
        if both is None:
            return None
        tokens += both[which]
    return tokens


def _learn(piece: str) -> tuple[_Tokens, _Tokens] | None:
    if len(piece) > _LONGEST_PIECE or not _SIMPLE.fullmatch(piece):
        return None
    plain = _plain(piece)
    behinds = _BEHIND if _LOOKS_ON.search(piece) else ("",)
    results = {plain} if plain else {tuple(scan(piece, behind)) for behind in behinds}
    if len(results) > 1:
        return None
    tokens = results.pop()
    both = tokens, tuple(token for token in tokens if token not in PUNCTUATION)
    if len(_pieces) < _MOST_PIECES:
        _pieces[piece] = both
    return both


def _plain(piece: str) -> _Tokens | None:
    """Cut a word of ASCII letters, with a period or without, as all rules together do.

    No rule says otherwise of such a word, save for the two that are one (`cannot`) and, with a
    period, letters and abbreviations. So a caption of common words needs no rule compiled.
    """
    word = piece.removesuffix(".")
    if not (word.isascii() and word.isalpha()) or word.lower() in _TWO_WORDS:
        return None
    if word == piece:
        return (word.lower(),)
    if len(word) == 1 or _abbreviations().fullmatch(word):
        return None
    return (word.lower(), ".")


@cache
def _abbreviations() -> re.Pattern[str]:
    every = "|".join((known.ENDING, known.TITLES, known.NUMBERED, "ph|ed"))
    return re.compile(f"(?i:{every})")


def _carefully(line: str, following: str, keep_punctuation: bool) -> list[str]:
    tokens = scan(line, following)
    if keep_punctuation or not tokens:
        return tokens
    # The official wrapper strips the line at its right end: rare blanks can end an address.
    tokens[-1] = tokens[-1].rstrip()
    return [token for token in tokens if token and token not in PUNCTUATION]


def _what_follows(lines: Sequence[str], index: int) -> str:
    """Give as much of the text after a line as a rule can look at: two lines that are not blank."""
    following, written = "", 0
    for line in lines[index + 1 :]:
        following += f"\n{line}"
        written += not line.isspace() and line != ""
        if written == 2:
            break
    return following
