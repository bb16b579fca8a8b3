"""Tokens to a sentence for people.

The sentence is the prettiest of a few ways of writing the tokens that the tokenizer cuts into
the same tokens again, punctuation aside.
"""

import re
from collections.abc import Iterator, Sequence

from miacap.text.tokenizer import PUNCTUATION, tokenize

_SHOWN = {
    "-lrb-": "(",
    "-rrb-": ")",
    "-lsb-": "[",
    "-rsb-": "]",
    "-lcb-": "{",
    "-rcb-": "}",
    "``": '"',
    "''": '"',
    "`": "'",
    "--": "–",
    "i": "I",
}
_CLITICS = frozenset(("'s", "'m", "'d", "'re", "'ve", "'ll", "n't"))
_NO_BLANK_BEFORE = _CLITICS | frozenset(
    (",", ".", ";", ":", "?", "!", "...", "%", "''", "'", "-rrb-", "-rsb-", "-rcb-")
)
_NO_BLANK_AFTER = frozenset(("``", "`", "-lrb-", "-lsb-", "-lcb-"))
_ONE_WORD = frozenset(
    (
        ("can", "not"),
        ("gon", "na"),
        ("wan", "na"),
        ("got", "ta"),
        ("lem", "me"),
        ("gim", "me"),
        ("more", "'n"),
        ("'t", "is"),
        ("'t", "was"),
    )
)
# AT&T, M&M: only capitals are kept together by the tokenizer.
_INITIALS_JOINED = re.compile(r"[a-z]+(?:[&+][a-z]+)+")
_ENDS = (".", "?", "!", '."', '?"', '!"')


def detokenize(tokens: Sequence[str]) -> str:
    """Write tokens, with punctuation or without, as a sentence: "The dog's ball."

    The sentence begins with a capital and ends with a full stop, clitics and punctuation stand
    at their words, "i" is "I", quotes and brackets are shown as such. Where a nicer form would be
    cut into other tokens ("12th St." at the end holds the token "st."), a plainer one is given.

    Returns:
        The sentence; an empty string where no tokens, or only blank ones, are given.
    """
    words = [token for token in tokens if token.strip()]
    if not words:
        return ""
    wanted = [token for token in words if token not in PUNCTUATION]
    nicest = ""
    for sentence in _ways(words):
        if tokenize(sentence) == wanted:
            return sentence
        nicest = nicest or sentence
    return nicest


def _ways(words: Sequence[str]) -> Iterator[str]:
    """Write the words in ever plainer ways."""
    joined = _capital(_joined(words))
    yield _stopped(joined)
    yield joined
    spaced = " ".join(word.replace("\u00a0", " ") for word in words)
    yield _stopped(_capital(spaced))
    yield _capital(spaced)
    yield spaced


def _joined(words: Sequence[str]) -> str:
    parts: list[str] = []
    before = ""
    for word in words:
        if word == "." and before.endswith("."):
            continue  # the official program writes the period of "etc." at an end twice
        if before and not _touch(before, word):
            parts.append(" ")
        parts.append(_shown(word))
        before = word
    return "".join(parts)


def _shown(word: str) -> str:
    if _INITIALS_JOINED.fullmatch(word):
        return word.upper()
    return _SHOWN.get(word, word).replace("\u00a0", " ")


def _touch(before: str, word: str) -> bool:
    """Say whether no blank stands between two tokens."""
    if word in _CLITICS:
        return before[-1].isalnum()
    if before in ("$", "#"):
        return word[0].isdigit()
    if word == "'":
        return before.endswith("s")
    return word in _NO_BLANK_BEFORE or before in _NO_BLANK_AFTER or (before, word) in _ONE_WORD


def _capital(sentence: str) -> str:
    for index, letter in enumerate(sentence):
        if letter.isalnum():
            upper = letter.upper()
            return sentence[:index] + (upper if len(upper) == 1 else letter) + sentence[index + 1 :]
    return sentence


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith(_ENDS) else f"{sentence}."
