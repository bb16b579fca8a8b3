"""Every rule on a captioner whose captions can be worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoding_toys import Known, logs, pictures, said
from torch import Tensor

from miacap.decoding import (
    BANNED,
    BlockRepeats,
    ForbidWords,
    MinimumLength,
    NoBadEndings,
    Rule,
    Temperature,
    TopK,
    TopP,
    beam,
    greedy,
    sample,
)
from miacap.errors import SettingsError
from miacap.text.vocabulary import BOS, EOS, PAD, UNK

A, B, C = 4, 5, 6
NO_WORDS = torch.zeros(1, 1, 0, dtype=torch.long)


def parrot(picture: int, words: tuple[int, ...]) -> list[float]:
    """Says "a b a b a b ..." with probability .5 or .4, and ends with .1."""
    turn = dict(a=0.5, b=0.3) if len(words) % 2 == 0 else dict(a=0.3, b=0.5)
    return logs(**turn, c=0.12, end=0.08)


def shy(picture: int, words: tuple[int, ...]) -> list[float]:
    """Rather says nothing at all."""
    return logs(a=0.3, b=0.1, end=0.6)


def captions(captioner: Any, rules: tuple[Rule, ...], maximum: int = 6) -> set[str]:
    """The captions of all searches, which agree."""
    return {
        said(greedy(captioner, pictures(1), maximum, rules)[0]),
        said(beam(captioner, pictures(1), 1, maximum, rules=rules)[0][0]),
    }


def allowed(
    rule: Rule, logits: list[float], words: tuple[int, ...] = (), left: int = 9
) -> set[int]:
    """What a rule leaves of one hypothesis' next words."""
    after = rule(torch.tensor([[logits]]), torch.tensor([[words]], dtype=torch.long), left)
    return set((after[0, 0] > -math.inf).nonzero().squeeze(1).tolist()) - set(BANNED)


@pytest.mark.parametrize(
    ("rules", "caption"),
    [
        ((), "ababab"),
        ((ForbidWords((A,)),), "bbbbbb"),
        ((ForbidWords((A, B)),), "cccccc"),
        ((ForbidWords((EOS, A, C)),), "bbbbbb"),
        ((BlockRepeats(1),), "abc."),
        ((BlockRepeats(2),), "abaacb"),
        ((BlockRepeats(3),), "ababbb"),
        ((BlockRepeats(9),), "ababab"),
        ((NoBadEndings((B,)),), "ababaa"),
        ((TopK(1),), "ababab"),
        ((TopP(0.1),), "ababab"),
        ((Temperature(9.0),), "ababab"),
        ((MinimumLength(6),), "ababab"),
    ],
)
def test_what_a_parrot_says(rules: tuple[Rule, ...], caption: str) -> None:
    assert captions(Known(parrot), rules) == {caption}


@pytest.mark.parametrize(("words", "caption"), [(0, "."), (1, "a."), (2, "aa."), (9, "aaaaaa")])
def test_the_minimum_length_counts_words(words: int, caption: str) -> None:
    assert captions(Known(shy), (MinimumLength(words),)) == {caption}


def test_forbidding_does_not_renormalise_a_search() -> None:
    rules = (ForbidWords((A,)), MinimumLength(1), Temperature(3.0), TopK(1))
    expected = math.log(0.1) + math.log(0.6)
    total = math.log(1 + 3 * math.exp(-20))  # the banned words have their share
    for hypothesis in (
        greedy(Known(shy), pictures(1), 6, rules)[0],
        beam(Known(shy), pictures(1), 3, 6, rules=rules)[0][0],
    ):
        assert said(hypothesis) == "b."
        assert hypothesis.log_probability == pytest.approx(expected - 2 * total, abs=1e-12)


def test_searches_ask_rules_only_what_is_forbidden() -> None:
    def prefers_b(logits: Tensor, words: Tensor, remaining: int) -> Tensor:
        change = torch.zeros(logits.shape[-1], dtype=logits.dtype)
        change[B], change[C] = 9.0, -math.inf
        return logits + change

    for width in (1, 3):
        hypothesis = beam(Known(parrot), pictures(1), width, 6, rules=(prefers_b,))[0][0]
        assert 6 not in hypothesis.words
    assert captions(Known(parrot), (prefers_b,)) == {"ababab"}
    assert captions(Known(parrot), (prefers_b, BlockRepeats(1))) == {"ab."}
    drawn = sample(Known(parrot), pictures(1), 20, 6, (prefers_b,)).hypotheses()[0]
    assert sum(h.words.count(B) for h in drawn) > 100  # sampling does follow it


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (TopK(1), {A}),
        (TopK(2), {A, B, C}),  # b and c tie
        (TopK(3), {A, B, C}),
        (TopK(4), {A, B, C, EOS}),
        (TopK(99), {A, B, C, EOS}),
        (TopP(0.3), {A}),
        (TopP(0.45), {A, B}),
        (TopP(0.65), {A, B, C}),
        (TopP(0.95), {A, B, C, EOS}),
        (TopP(1.0), {A, B, C, EOS}),
    ],
)
def test_what_is_kept_of_the_most_probable(rule: Rule, kept: set[int]) -> None:
    row = logs(a=0.4, b=0.25, c=0.25, end=0.1)
    row[PAD] = row[BOS] = row[UNK] = -math.inf
    assert allowed(rule, row) == kept


def test_a_nucleus_ends_where_p_is_reached_exactly() -> None:
    row = logs(a=0.25, b=0.25, c=0.25, end=0.25)
    row[PAD] = row[BOS] = row[UNK] = -math.inf
    assert allowed(TopP(0.25), row) == {EOS}  # of words that tie the first are kept
    assert allowed(TopP(0.5), row) == {EOS, A}
    assert allowed(TopP(0.75), row) == {EOS, A, B}


def test_a_whole_nucleus_keeps_the_least_probable_word() -> None:
    logits = torch.tensor([[[0.0, -50.0, -60.0]]])  # the first has 1.0 when it is rounded
    assert TopP(1.0)(logits, NO_WORDS, 9).isfinite().all()


def test_a_nucleus_is_summed_up_in_double_precision() -> None:
    count = 30_000
    kept = TopP((20_000 - 0.5) / count)(torch.zeros(1, 1, count), NO_WORDS, 9)
    assert kept.isfinite()[0, 0].tolist() == [True] * 20_000 + [False] * 10_000


def test_defaults() -> None:
    assert MinimumLength() == MinimumLength(1)
    assert BlockRepeats() == BlockRepeats(3)


def test_the_order_of_rules_counts() -> None:
    row = logs(a=0.5, b=0.3, c=0.1, end=0.1)
    hot, nucleus = Temperature(100.0), TopP(0.7)
    logits = torch.tensor([[row]])
    logits[..., list(BANNED)] = -torch.inf
    kept = [
        int((second(first(logits, NO_WORDS, 9), NO_WORDS, 9) > -torch.inf).sum())
        for first, second in ((hot, nucleus), (nucleus, hot))
    ]
    assert kept == [3, 2]


def test_bad_endings() -> None:
    row = logs(a=0.25, b=0.25, c=0.25, end=0.25)
    rule = NoBadEndings((A, C))
    assert allowed(rule, row, ()) == {A, B, C, EOS}
    assert allowed(rule, row, (B, A)) == {A, B, C}
    assert allowed(rule, row, (A, B)) == {A, B, C, EOS}
    assert allowed(rule, row, (A, B), left=0) == {B, EOS}
    assert allowed(rule, row, (B, A), left=0) == {B}


def test_rules_see_every_hypothesis_by_itself() -> None:
    logits = torch.zeros(2, 2, 8)
    words = torch.tensor([[[A, B], [B, B]], [[C, A], [A, A]]])
    after = BlockRepeats(1)(logits, words, 3)
    forbidden = [
        [set((row == -torch.inf).nonzero().squeeze(1).tolist()) for row in p] for p in after
    ]
    assert forbidden == [[{A, B}, {B}], [{C, A}, {A}]]
    after = NoBadEndings((B,))(logits, words, 3)
    assert (after[:, :, EOS] == -torch.inf).tolist() == [[True, True], [False, False]]
    assert (logits == 0).all()  # what was given stays as it was


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ForbidWords((4, -1)), "ids are at least 0, not -1"),
        (lambda: NoBadEndings((-2,)), "ids are at least 0, not -2"),
        (lambda: BlockRepeats(0), "at least 1 word, not 0"),
        (lambda: MinimumLength(-1), "at least 0 words, not -1"),
        (lambda: Temperature(0.0), "above 0, not 0.0; greedy"),
        (lambda: Temperature(math.nan), "above 0, not nan"),
        (lambda: Temperature(math.inf), "above 0, not inf"),
        (lambda: TopK(0), "at least 1, not 0"),
        (lambda: TopP(0.0), "at most 1, not 0.0"),
        (lambda: TopP(1.1), "at most 1, not 1.1"),
        (lambda: TopP(math.nan), "at most 1, not nan"),
    ],
)
def test_rules_that_make_no_sense(make: Callable[[], Rule], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make()


@pytest.mark.parametrize("rule", [ForbidWords((7,)), NoBadEndings((7,))])
def test_word_ids_that_the_captioner_lacks(rule: Rule) -> None:
    with pytest.raises(SettingsError, match=r"word id 7, .* the ids 0 to 6"):
        greedy(Known(parrot), pictures(1), rules=(rule,))


NOTHING = (ForbidWords((A, B, C)), MinimumLength(1))


def test_rules_that_leave_nothing() -> None:
    captioner = Known(parrot)
    with pytest.raises(SettingsError, match="After 0 words the rules forbid every word"):
        greedy(captioner, pictures(1), rules=NOTHING)
    with pytest.raises(SettingsError, match="After 0 words the rules forbid every word"):
        sample(captioner, pictures(1), rules=NOTHING)
    with pytest.raises(SettingsError, match="leave picture 0 of the batch no caption"):
        beam(captioner, pictures(1), rules=NOTHING)
    later = (BlockRepeats(1), MinimumLength(4))
    with pytest.raises(SettingsError, match="After 3 words"):
        greedy(captioner, pictures(1), rules=later)
    with pytest.raises(SettingsError, match="no caption"):
        beam(captioner, pictures(1), rules=later)


def test_captions_that_ended_do_not_trip_over_rules() -> None:
    """All of a vocabulary is said and may not come again; who has ended waits for the others."""

    def one_early(picture: int, words: tuple[int, ...]) -> list[float]:
        return logs(a=0.5, b=0.5) if len(words) < 1 else logs(a=0.25, b=0.25, end=0.5)

    def nothing_after_the_end(logits: Tensor, words: Tensor, remaining: int) -> Tensor:
        return logits.masked_fill((words == EOS).any(dim=2)[:, :, None], -math.inf)

    rules = (BlockRepeats(1), nothing_after_the_end)
    drawn = sample(Known(one_early), pictures(3), 50, 4, rules=rules)
    captions = {said(h) for row in drawn.hypotheses() for h in row}
    assert captions == {"a.", "b.", "ab.", "ba."}
