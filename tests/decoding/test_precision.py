"""Softmax in single precision whatever the captioner computes in; sums over time in double."""

import math

import pytest
import torch
from decoding_toys import Known, pictures, said
from torch import Tensor

from miacap.decoding import (
    Hypothesis,
    MinimumLength,
    beam,
    greedy,
    policy_log_probabilities,
    sample,
)
from miacap.text.vocabulary import BOS, EOS, UNK

A, B = 4, 5


def searched(captioner: Known, maximum: int) -> list[Hypothesis]:
    return [
        greedy(captioner, pictures(1), maximum)[0],
        beam(captioner, pictures(1), 1, maximum)[0][0],
        beam(captioner, pictures(1), 3, maximum)[0][0],
    ]


def in_single(row: list[float], dtype: torch.dtype) -> Tensor:
    """Log-softmax in single precision of what is left of a row in another one."""
    return torch.tensor(row).to(dtype).float().log_softmax(dim=-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_softmax_is_taken_in_single_precision(dtype: torch.dtype) -> None:
    row = [0.3, 0.2, 0.9, 0.1, 2.3, 1.9, 1.1]  # three words more probable than EOS
    captioner = Known(lambda picture, words: row)
    captioner.dtype = dtype
    expected = in_single(row, dtype)
    coarse = torch.tensor(row).to(dtype).log_softmax(dim=-1)
    assert abs(float(coarse[A]) - float(expected[A])) > 1e-4  # it matters here
    for hypothesis in searched(captioner, 1):
        assert hypothesis.words == (A,)
        assert hypothesis.log_probability == pytest.approx(float(expected[A]), abs=1e-6)
    drawn = sample(captioner, pictures(1), 50, 1, generator=torch.Generator().manual_seed(0))
    policy = in_single([-math.inf if w in (0, 1, 3) else x for w, x in enumerate(row)], dtype)
    for word, gain in zip(drawn.words.flatten(), drawn.log_probabilities.flatten(), strict=True):
        assert float(gain) == pytest.approx(float(policy[word]), abs=1e-6)
    logits = torch.tensor(row).to(dtype).view(1, 1, 1, -1)
    again = policy_log_probabilities(logits, torch.tensor([[[A]]]))
    assert again.dtype == torch.float32
    assert float(again) == pytest.approx(float(policy[A]), abs=1e-6)


def test_double_precision_stays_double() -> None:
    row = [-9.0, -9.0, 0.1, -9.0, 0.4, 0.3, 0.2]
    captioner = Known(lambda picture, words: row)
    expected = torch.tensor(row, dtype=torch.float64).log_softmax(dim=-1)[A]
    for hypothesis in searched(captioner, 1):
        assert hypothesis.log_probability == pytest.approx(float(expected), abs=1e-15)


@pytest.mark.parametrize("better", [A, B])
def test_sums_over_time_are_taken_in_double_precision(better: int) -> None:
    """At -10 single precision knows steps of 1e-6; the captions below differ by 2e-7."""

    def nearly(picture: int, words: tuple[int, ...]) -> list[float]:
        row = [-math.inf] * 6
        if len(words) == 0:
            row[UNK], row[A], row[B] = 0.0, -10.0, -10.0
        else:
            row[EOS], row[UNK] = 0.0, -16.0 if words[0] == better else -15.0
        return row

    captioner = Known(nearly)
    captioner.dtype = torch.float32
    ranked = beam(captioner, pictures(1), 2, 3, 2)[0]
    assert [h.words for h in ranked] == [(better,), (A + B - better,)]
    first = float(torch.tensor(nearly(0, ())).log_softmax(-1)[A])
    for hypothesis in (*ranked, greedy(captioner, pictures(1), 3)[0]):
        second = float(torch.tensor(nearly(0, hypothesis.words)).log_softmax(-1)[EOS])
        assert hypothesis.log_probability == pytest.approx(first + second, abs=1e-12)


def test_a_sample_sums_up_in_double_precision() -> None:
    row = [-9.0, -9.0, 0.123, -9.0, 0.3]
    captioner = Known(lambda picture, words: row)
    captioner.dtype = torch.float32
    drawn = sample(captioner, pictures(1), 1, 50, (MinimumLength(50),))
    assert drawn.hypotheses()[0][0].log_probability == 0.0  # one word alone is allowed
    free = sample(captioner, pictures(1), 8, 50, generator=torch.Generator().manual_seed(1))
    for hypothesis, gains in zip(free.hypotheses()[0], free.log_probabilities[0], strict=True):
        assert said(hypothesis).strip(".") == "a" * len(hypothesis.words)
        assert hypothesis.log_probability == pytest.approx(math.fsum(gains.tolist()), abs=1e-13)


def test_words_begin_after_bos() -> None:
    heard: list[tuple[int, ...]] = []

    class Listening(Known):
        def step(self, memory, state, words):  # type: ignore[no-untyped-def]
            if state.words.shape[2] == 0:
                assert (words == BOS).all()
            return super().step(memory, state, words)

    captioner = Listening(lambda picture, words: heard.append(words) or [0.0] * 5 + [1.0])
    searched(captioner, 2)
    sample(captioner, pictures(1), 2, 2)
    assert {words for words in heard if len(words) < 1} == {()}
