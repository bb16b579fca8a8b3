"""METEOR's own normaliser (its option -norm, punctuation kept): from a line to lower-case words.

It runs after the PTB tokenizer and cuts up what that left whole:

    1 a symbol gets a blank on both sides      2 runs of periods stand alone
    3 commas outside numbers stand alone       4 quotes become ' and "
    5 hyphens inside words become blanks       6 apostrophes are set off
    7 a last period leaves its word, except in prefixes and initialisms
    8 blanks are made single, letters small

Every step is one pass from left to right over non-overlapping places, so "a-b-c" becomes "a b-c".
Example: "the u.s. dog 's well-known owner" -> the us dog ' s well known owner.
Differs from what people expect: the PTB token 's is two words here, and n't becomes n 't.
Source: Denkowski & Lavie 2014, section 2 (text normalization), as the English program does it.
"""

import functools
import re

from miacap.metrics.meteor import sources

_LETTERS = (
    "A-Za-z\u0160\u017d\u0161\u017e\u0178\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e"
    "\u0400-\u04ff\u0500-\u0527\ua640-\ua66e\ua67e-\ua697\u1d00-\u1d7f"
)
_SPACE = r" \t\n\x0b\f\r"
_ONLY_PLAIN = re.compile(r"[a-z0-9 ]*").fullmatch
_LETTER = re.compile(f"[{_LETTERS}]").search
_WORDS = re.compile(r"[^ \t\n\f\r]+").findall  # a vertical tab does not part words
_BLANKS = re.compile("[ \u00a0\u2000-\u200a\u202f\u205f\u3000]+").sub
_BELOW_BLANK = "".join(map(chr, range(33)))  # what the last trim takes off: U+0000 .. U+0020

_STEPS = tuple(
    (re.compile(pattern).sub, replacement)
    for pattern, replacement in (
        (rf"([^{_LETTERS}0-9{_SPACE}.'`,\-\u2018\u2019])", r" \1 "),
        (r"(\.{2,})", r" \1 "),
        (r"([^0-9]),([^0-9])", r"\1 , \2"),
        (r"([0-9]),([^0-9])", r"\1 , \2"),
        (r"([^0-9]),([0-9])", r"\1 , \2"),
        (r"[`\u2018\u2019]", "'"),
        (r"[\u201c\u201d]|''", ' " '),
        (r"\u2013", "-"),
        (r"--", "-"),
        (rf"([{_LETTERS}0-9.])-([{_LETTERS}0-9])", r"\1 \2"),
        (rf"([^{_LETTERS}])'([^{_LETTERS}])", r"\1 ' \2"),
        (rf"([^{_LETTERS}0-9])'([{_LETTERS}])", r"\1 ' \2"),
        (rf"([{_LETTERS}])'([^{_LETTERS}])", r"\1 ' \2"),
        (rf"([{_LETTERS}])'([{_LETTERS}])", r"\1 '\2"),
        (r"([0-9])'(s)", r"\1 '\2"),
    )
)


def normalise(line: str) -> list[str]:
    """Cut one caption into METEOR's words.

    Args:
        line: one caption; white space of any kind inside it is a blank.

    Returns:
        Lower-case words without blanks in them.

    Raises:
        MissingExtra: the line holds a period and pycocoevalcap, which has the list of
            abbreviations, is not installed.
    """
    if _ONLY_PLAIN(line):
        return line.split()
    text = f" {line} "
    for replace, replacement in _STEPS:
        text = replace(replacement, text)
    if "." in text:
        text = " ".join(_last_periods(_WORDS(text)))
    return _WORDS(_BLANKS(" ", text).strip(_BELOW_BLANK).lower())


def _last_periods(words: list[str]) -> list[str]:
    """Take the last period off each word that is no abbreviation (step 7)."""
    return [
        _last_period(word, following)
        for word, following in zip(words, [*words[1:], ""], strict=True)
    ]


def _last_period(word: str, following: str) -> str:
    if len(word) == 1 or not word.endswith(".") or word.endswith(".."):
        return word
    before = word[:-1]
    if "." in before and _LETTER(before):
        return word.replace(".", "")
    always, before_numbers = _prefixes()
    starts_small = "a" <= following[:1] <= "z"
    starts_number = "0" <= following[:1] <= "9"
    if before in always or starts_small or (before in before_numbers and starts_number):
        return word
    return f"{before} ."


@functools.cache
def _prefixes() -> tuple[frozenset[str], frozenset[str]]:
    """Read the abbreviations whose period stays: always, and only before a number."""
    always: set[str] = set()
    before_numbers: set[str] = set()
    for row in sources.lines("nonbreaking/english.prefixes"):
        if row and not row.startswith("#"):
            prefix, _, mark = row.partition(" ")
            (before_numbers if "NUMERIC_ONLY" in mark else always).add(prefix.strip())
    return frozenset(always), frozenset(before_numbers)
