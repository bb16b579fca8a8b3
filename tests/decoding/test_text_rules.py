"""Rules on text: a limit of characters that leaves no caption open, and forbidden openings."""

import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.decoding import beam, greedy, sample
from miacap.decoding.text_rules import CharacterLimit, ForbidOpenings
from miacap.errors import SettingsError
from miacap.text.vocabulary import BOS, EOS, PAD, UNK

toys = sys.modules["decoding_toys"]
WORDS = 12
NO_WORDS = torch.zeros(1, 1, 0, dtype=torch.long)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=WORDS - 4, max_size=WORDS - 4),
    open_endings=st.sets(st.integers(4, WORDS - 2), max_size=5),
    room=st.integers(0, 25),
    seed=st.integers(0, 9),
    maximum=st.integers(1, 8),
)
def test_every_search_stays_within_the_limit_and_ends_well(
    lengths: list[int], open_endings: set[int], room: int, seed: int, maximum: int
) -> None:
    closed = [n for word, n in enumerate(lengths, 4) if word not in open_endings]
    limit = min(closed) + 1 + room  # the shortest word that can end a caption fits
    rule = CharacterLimit(limit, (5, 5, 5, 5, *lengths), tuple(open_endings))
    toy, pictures = toys.Toy(WORDS, seed=seed), toys.pictures(3)
    found = [
        *greedy(toy, pictures, maximum, (rule,)),
        *(h for row in beam(toy, pictures, 4, maximum, best=4, rules=(rule,)) for h in row),
        *(h for row in sample(toy, pictures, 2, maximum, (rule,)).hypotheses() for h in row),
    ]
    for caption in found:
        assert sum(lengths[word - 4] + 1 for word in caption.words) <= limit
        assert not caption.words or caption.words[-1] not in open_endings


def test_what_fits_is_allowed_to_the_last_character() -> None:
    #                     pad bos eos unk  a  bbb  cccc
    rule = CharacterLimit(9, (5, 5, 5, 5, 1, 3, 4), open_endings=(4,))

    def allowed(words: tuple[int, ...], remaining: int = 9) -> set[int]:
        said = torch.tensor([[words]], dtype=torch.long)
        after = rule(torch.zeros(1, 1, 7), said, remaining)
        return set((after[0, 0] > -math.inf).nonzero().squeeze(1).tolist()) - {PAD, BOS, UNK}

    assert allowed(()) == {EOS, 4, 5, 6}
    assert allowed((5,)) == {EOS, 5, 6}  # "bbb cccc." are nine; behind "bbb a" no word fits
    assert allowed((6,)) == {EOS, 5}
    assert allowed((5, 6)) == {EOS}
    assert allowed((4,)) == {4, 5, 6}  # nothing ends on "a"
    assert allowed((4, 4)) == {5, 6}
    assert allowed((), remaining=0) == {EOS, 5, 6}  # nor is it cut off behind it


def test_a_limit_that_holds_no_word_is_refused() -> None:
    CharacterLimit(4, (5, 5, 5, 5, 1, 3), open_endings=(4,))
    with pytest.raises(SettingsError, match="No caption has room in 3 characters; allow more"):
        CharacterLimit(3, (5, 5, 5, 5, 1, 3), open_endings=(4,))
    with pytest.raises(SettingsError, match="No caption has room"):
        CharacterLimit(3, (5, 5, 5, 5))


def test_openings_are_forbidden_at_the_beginning_alone() -> None:
    rule = ForbidOpenings(((4,), (5, 6), (5, 7), (8, 5, 6)))

    def forbidden(*words: int) -> set[int]:
        said = torch.tensor([[words, (9,) * len(words)]], dtype=torch.long)
        after = rule(torch.zeros(1, 2, WORDS), said, 9)
        if words:
            assert bool(after[0, 1].isfinite().all())  # the other hypothesis may say anything
        return set((after[0, 0] == -math.inf).nonzero().squeeze(1).tolist())

    begin = rule(torch.zeros(1, 1, WORDS), NO_WORDS, 9)
    assert (begin[0, 0] == -math.inf).nonzero().squeeze(1).tolist() == [4]
    assert forbidden(5) == {6, 7}
    assert forbidden(8) == set()
    assert forbidden(8, 5) == {6}
    assert forbidden(9, 5) == set()
    with pytest.raises(SettingsError, match="at least 1 word"):
        ForbidOpenings(((4,), ()))
