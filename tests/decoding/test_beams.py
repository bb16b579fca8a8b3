"""Beam search step by step: how it begins, what leaves, when it stops, ties and the limit."""

import dataclasses
import math

import pytest
import torch
from decoding_toys import Known, Toy, pictures, said
from torch import Tensor, nn

from miacap.decoding import Hypothesis, MinimumLength, beam, greedy, sample
from miacap.text.vocabulary import EOS

A, B = 4, 5


def row(**logits: float) -> list[float]:
    """Logits as they are; what is not named cannot come."""
    given = [-math.inf] * 7
    for name, logit in logits.items():
        given[EOS if name == "end" else 4 + ord(name) - ord("a")] = logit
    return given


def captions(captioner: Known, width: int, maximum: int, best: int = 1) -> list[str]:
    return [said(h) for h in beam(captioner, pictures(1), width, maximum, best)[0]]


def test_a_beam_begins_with_one_hypothesis_and_different_words() -> None:
    captioner = Known(lambda picture, words: row(a=0.0, b=-0.1, c=-0.2))
    assert captions(captioner, 3, 1, 3) == ["a", "b", "c"]
    assert captioner.widths == [1]
    captions(captioner, 3, 3)
    assert captioner.widths == [1, 1, 3, 3]


def test_the_end_counts_in_the_log_probability() -> None:
    captioner = Known(lambda picture, words: row(a=math.log(0.3), end=math.log(0.7)))
    for results in (greedy(captioner, pictures(1), 5), beam(captioner, pictures(1), 2, 5)[0]):
        assert said(results[0]) == "."
        assert results[0].log_probability == pytest.approx(math.log(0.7), abs=1e-12)
    cut = beam(captioner, pictures(1), 2, 2, rules=(MinimumLength(2),))[0][0]
    assert said(cut) == "aa"
    assert cut.log_probability == pytest.approx(2 * math.log(0.3), abs=1e-12)
    ended = beam(captioner, pictures(1), 2, 3, rules=(MinimumLength(2),))[0][0]
    assert said(ended) == "aa."
    assert ended.log_probability == pytest.approx(2 * math.log(0.3) + math.log(0.7), abs=1e-12)


def test_an_end_below_the_best_continuations_does_not_leave_the_beam() -> None:
    def late(picture: int, words: tuple[int, ...]) -> list[float]:
        if len(words) == 2:
            return row(end=0.0)
        if len(words) == 1:
            return row(a=math.log(0.6), b=math.log(0.3), end=math.log(0.1))
        return row(a=math.log(0.5), b=math.log(0.3), end=math.log(0.2))

    # At the first step the end is third: it is in a beam of three, not in one of two.
    assert captions(Known(late), 3, 3, 3) == ["aa.", ".", "ba."]
    assert captions(Known(late), 2, 3, 2) == ["aa.", "ba."]


def test_a_finished_caption_keeps_its_words_while_others_go_on() -> None:
    def two(picture: int, words: tuple[int, ...]) -> list[float]:
        if not words:
            return row(a=math.log(0.6), b=math.log(0.4))
        if words == (B,):
            return row(end=0.0)
        return row(a=math.log(0.9), end=math.log(0.1))

    # "b." ends from the second place while "a" goes on in the first.
    assert captions(Known(two), 2, 3, 2) == ["b.", "aa."]


def test_an_unfinished_caption_counts_only_where_none_has_finished() -> None:
    def unlikely_end(picture: int, words: tuple[int, ...]) -> list[float]:
        return row(a=math.log(0.9), end=math.log(0.1))

    assert captions(Known(unlikely_end), 2, 3, 2) == [".", "a."]
    assert captions(Known(unlikely_end), 1, 3) == ["aaa"]
    assert captions(Known(lambda p, w: row(a=0.0, b=-1.0)), 2, 3) == ["aaa"]


def test_of_equal_scores_the_caption_that_ended_first_wins() -> None:
    def even(picture: int, words: tuple[int, ...]) -> list[float]:
        return row(end=0.0) if words else row(a=0.0, end=0.0)

    ranked = beam(Known(even), pictures(1), 2, 4, 2)[0]
    assert ranked[0].log_probability == ranked[1].log_probability
    assert [said(h) for h in ranked] == [".", "a."]


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 3.0])
def test_captions_come_back_in_the_order_of_their_scores(penalty: float) -> None:
    ranked = beam(Toy(9, seed=8), pictures(3), 5, 8, 5, length_penalty=penalty)
    for hypotheses in ranked:
        scores = [hypothesis.score(penalty) for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({len(hypothesis.words) for hypothesis in hypotheses}) > 1


def test_a_score_is_divided_by_words_and_end() -> None:
    assert Hypothesis((4, 5, 6), -8.0, True).score(1.0) == -2.0
    assert Hypothesis((4, 5, 6), -9.0, False).score(1.0) == -3.0
    assert Hypothesis((4, 5, 6), -8.0, True).score(0.5) == -4.0
    assert Hypothesis((4, 5, 6), -8.0, True).score() == -8.0


def test_a_search_stops_when_nothing_better_can_come() -> None:
    def halves(picture: int, words: tuple[int, ...]) -> list[float]:
        return row(a=0.0, end=0.0)

    captioner = Known(halves)
    captions(captioner, 1, 9)  # ends at once, or the live one is no better
    assert len(captioner.widths) <= 2
    # "." and "a." have finished, and "aa" has what "a." has: no more than a tie can come.
    captioner = Known(halves)
    assert captions(captioner, 2, 9, 2) == [".", "a."]
    assert len(captioner.widths) == 2
    # A length penalty may lift what is longer: the search goes on.
    captioner = Known(halves)
    beam(captioner, pictures(1), 2, 9, 2, length_penalty=1.0)
    assert len(captioner.widths) == 9


def test_a_search_ends_where_nothing_lives() -> None:
    captioner = Known(lambda picture, words: row(end=0.0))
    assert captions(captioner, 5, 9, 5) == ["."]
    assert len(captioner.widths) == 1


def test_no_more_steps_than_the_limit() -> None:
    captioner = Known(lambda picture, words: row(a=0.0, b=-1.0))
    for search in (greedy, lambda *given: beam(*given[:2], 3, given[2])):
        captioner.widths.clear()
        search(captioner, pictures(2), 4)
        assert len(captioner.widths) == 4
    captioner.widths.clear()
    sample(captioner, pictures(2), 3, 4)
    assert len(captioner.widths) == 4


def test_as_many_captions_come_back_as_were_asked_for() -> None:
    captioner = Known(lambda picture, words: row(a=0.0, b=-0.5, c=-0.7, end=0.1))
    for best in (1, 2, 4):
        assert len(captions(captioner, 4, 6, best)) == best


def lengths(picture: int, words: tuple[int, ...]) -> list[float]:
    """Picture n says n words, one of them its own, and ends."""
    if len(words) == picture:
        return row(end=0.0)
    if len(words) % 3 == picture % 3:
        return row(b=-0.3, a=-0.9, c=-1.3)
    return row(c=-0.2, a=-1.0, b=-1.5)


def expected(picture: int) -> str:
    return "".join("b" if k % 3 == picture % 3 else "c" for k in range(picture)) + "."


@pytest.mark.parametrize("order", [range(12), range(11, -1, -1), [5, 0, 7, 0, 3, 11]])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_pictures_that_leave_take_their_own_rows_with_them(order: list[int], width: int) -> None:
    batch = pictures(12).select(list(order))
    captioner = Known(lengths)  # refuses where memory and states come apart
    assert [said(row[0]) for row in beam(captioner, batch, width, 12)] == [
        expected(picture) for picture in order
    ]
    assert [said(h) for h in greedy(captioner, batch, 12)] == [expected(p) for p in order]
    drawn = sample(captioner, batch, 3, 13).hypotheses()
    for picture, hypotheses in zip(order, drawn, strict=True):
        assert all(len(h.words) == picture and h.ended for h in hypotheses)


def test_pictures_wait_until_one_in_eight_is_done() -> None:
    def early(picture: int, words: tuple[int, ...]) -> list[float]:
        return row(end=0.0) if picture == 0 or len(words) == 3 else row(a=0.0)

    for count, busy in ((8, [8, 7, 7, 7]), (9, [9, 9, 9, 9])):
        captioner = Known(early)
        beam(captioner, pictures(count), 1, 9)
        assert captioner.busy == busy


class Learning(nn.Module):
    """A captioner with a parameter, that fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.inner, self.fails = Toy(9), False

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return (
            getattr(super().__getattr__("inner"), name)
            if name in ("encode", "start")
            else (super().__getattr__(name))
        )

    def step(self, memory, state, words):  # type: ignore[no-untyped-def]
        assert not self.training and not self.inner.training
        if self.fails:
            raise ZeroDivisionError
        logits, state = self.inner.step(memory, state, words)
        return logits * self.scale, state


def test_searches_keep_no_gradients() -> None:
    captioner = Learning()
    assert not sample(captioner, pictures(2)).log_probabilities.requires_grad
    logits: list[Tensor] = []

    def listening(given: Tensor, words: Tensor, remaining: int) -> Tensor:
        logits.append(given)
        return given

    for search in (greedy, beam, sample):
        search(captioner, pictures(2), rules=(listening,))
    assert logits and not any(part.requires_grad for part in logits)


def test_a_captioner_is_left_as_it_was_even_where_the_search_fails() -> None:
    captioner = Learning().train()
    captioner.inner.dropout.eval()
    captioner.fails = True
    for search in (greedy, beam, sample):
        with pytest.raises(ZeroDivisionError):
            search(captioner, pictures(1))
        assert captioner.training and captioner.inner.training
        assert not captioner.inner.dropout.training


def test_a_captioner_need_not_be_a_module() -> None:
    @dataclasses.dataclass
    class Bare:
        inner: Toy

        def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
            return getattr(self.inner, name)

    toy = Toy(9, seed=1).eval()
    assert greedy(Bare(toy), pictures(2)) == greedy(toy, pictures(2))
