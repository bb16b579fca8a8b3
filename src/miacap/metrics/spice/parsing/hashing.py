"""The hashes behind spaCy's embeddings: a text's number, and the rows that stand for it.

A text's number is MurmurHash64A of its UTF-8 bytes, but for a few hundred names, which have small
numbers of their own (so has the shape "X" of a word like "A": it is also a part of speech). The
rows of a number come from a 128-bit hash. Both as in spaCy 3 and thinc 8, where models depend on
them, so that they stay as they are.
"""

import numpy as np
from numpy.typing import NDArray

_WORD = 0xFFFFFFFFFFFFFFFF
_M = 0xC6A4A7935BD1E995
_SEED = 1

_FLAGS = (
    "IS_ALPHA IS_ASCII IS_DIGIT IS_LOWER IS_PUNCT IS_SPACE IS_TITLE IS_UPPER LIKE_URL LIKE_NUM"
    " LIKE_EMAIL IS_STOP IS_OOV_DEPRECATED IS_BRACKET IS_QUOTE IS_LEFT_PUNCT IS_RIGHT_PUNCT"
    " IS_CURRENCY"
)
_FIELDS = (
    "ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD"
    " SENT_START SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT"
    " SCONJ SYM VERB X EOL SPACE"
)
_LABELS = (
    "PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT"
    " MONEY QUANTITY ORDINAL CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp"
    " complm conj cop csubj csubjpass dep det dobj expl hmod hyph infmod intj iobj mark meta neg"
    " nmod nn npadvmod nsubj nsubjpass num number oprd obj obl parataxis partmod pcomp pobj poss"
    " possessive preconj prep prt punct quantmod relcl rcmod root xcomp acl ENT_KB_ID MORPH ENT_ID"
    " IDX _"
)
SYMBOLS = {
    name: number
    for number, name in enumerate(
        [
            "",
            *_FLAGS.split(),
            *(f"FLAG{n}" for n in range(19, 64)),
            *_FIELDS.split(),
            *(f"DEPRECATED{n:03}" for n in range(1, 277)),
            *_LABELS.split(),
        ]
    )
}
"""Texts that have a number of their own (`spacy.symbols`)."""


def number(text: str) -> int:
    """A text's number, from 0 to 2**64 - 1."""
    symbol = SYMBOLS.get(text)
    return _murmur(text.encode()) if symbol is None else symbol


def _murmur(data: bytes) -> int:
    length = len(data)
    value = _SEED ^ (length * _M & _WORD)
    whole = length - length % 8
    for start in range(0, whole, 8):
        part = int.from_bytes(data[start : start + 8], "little") * _M & _WORD
        part = (part ^ part >> 47) * _M & _WORD
        value = (value ^ part) * _M & _WORD
    if whole < length:
        value = (value ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    value = (value ^ value >> 47) * _M & _WORD
    return value ^ value >> 47


def rows(numbers: NDArray[np.uint64], seed: int, size: int) -> NDArray[np.int64]:
    """Give the four rows, in a table of some size, of each number: N x 4."""
    first = numbers * np.uint64(0x87C37B91114253D5)
    first = first << np.uint64(31) | first >> np.uint64(33)
    first *= np.uint64(0x4CF5AD432745937F)
    first ^= np.uint64(seed ^ 8)
    second = np.full_like(first, seed ^ 8)
    first += second
    second += first
    first, second = _mixed(first), _mixed(second)
    first += second
    second += first
    half = np.uint64(0xFFFFFFFF)
    parts = np.stack((first & half, first >> np.uint64(32), second & half, second >> np.uint64(32)))
    return (parts.T % np.uint64(size)).astype(np.int64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    shift = np.uint64(33)
    values = (values ^ values >> shift) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ values >> shift) * np.uint64(0xC4CEB9FE1A85EC53)
    result: NDArray[np.uint64] = values ^ values >> shift
    return result
