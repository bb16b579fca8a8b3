"""Warnings that a person needs beside a score: what looks wrong though it can be counted."""

import re
from collections.abc import Iterable, Sequence

from miacap.tables.captions import odd_words
from miacap.wording import by_number, part

# What PTB tokenisation leaves behind and hardly anybody writes.
_TOKEN_SIGNS = re.compile(r" (?:[.,;:?!]|n't|'s|'re|-lrb-|-rrb-|-LRB-|-RRB-|``|'')(?: |$)")
_RAW_SIGNS = re.compile(r"[A-Z]|\w[.,!?](?: |$)")

_USUAL_REFERENCES = 5
_FEW_PICTURES = 100


def warnings(
    references: Sequence[Sequence[str]],
    candidates: Sequence[str],
    *,
    tokenized: bool,
    own_frequencies: bool,
) -> list[str]:
    """Say what a reader of the scores should know.

    Args:
        references: raw captions, as given.
        candidates: raw captions, as given.
        tokenized: whether the caller said that all of them are tokenised.
        own_frequencies: whether CIDEr-D's frequencies come from these references.
    """
    result = []
    pictures = len(references)
    if own_frequencies:
        result += _frequencies(pictures)
    mean = sum(map(len, references)) / pictures
    if mean < _USUAL_REFERENCES:
        result.append(
            f"{mean:.3g} {by_number(mean, 'reference', 'references')} a picture; published "
            f"scores use {_USUAL_REFERENCES}, "
            "and fewer references lower every score."
        )
    result += _tokenisation(references, candidates, tokenized)
    empty = sum(not candidate.strip() for candidate in candidates)
    if empty:
        said = ("is empty; it scores 0.", "are empty; they score 0.")
        result.append(part(empty, pictures, "candidate", *said))
    sides = {"candidate": candidates, "reference": [c for some in references for c in some]}
    result += [text for side, some in sides.items() for text in odd_words(some, side)]
    return result


def _frequencies(pictures: int) -> list[str]:
    if pictures == 1:
        return [
            "one picture: CIDEr-D takes word frequencies from the references of the call, and "
            "one picture's are all alike, so CIDEr-D is 0 and means nothing. Give frequencies "
            "of a larger set (--df FILE)."
        ]
    if pictures < _FEW_PICTURES:
        return [
            f"CIDEr-D's word frequencies come from {pictures} pictures only; "
            "do not compare it with other sets (or give frequencies: --df FILE)."
        ]
    return []


def _tokenisation(
    references: Sequence[Sequence[str]], candidates: Sequence[str], tokenized: bool
) -> list[str]:
    sides = {"candidates": candidates, "references": [c for some in references for c in some]}
    pattern, share = (_RAW_SIGNS, 0.5) if tokenized else (_TOKEN_SIGNS, 0.1)
    odd = [name for name, captions in sides.items() if _share(pattern, captions) > share]
    if not odd:
        return []
    if tokenized:
        return [
            f"the {' and '.join(odd)} do not look tokenised (capitals, punctuation at words), "
            "and no tokenizer was run: scores will be too low."
        ]
    return [
        f"the {' and '.join(odd)} look tokenised already (blanks before punctuation or 's); "
        "they were tokenised again, which keeps most lines as they are."
    ]


def _share(pattern: re.Pattern[str], captions: Iterable[str]) -> float:
    # Half of a thousand captions tells as much as all of them.
    some = [caption for _, caption in zip(range(1000), captions, strict=False)]
    return sum(pattern.search(caption[:1000]) is not None for caption in some) / max(len(some), 1)
