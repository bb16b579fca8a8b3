"""Each word's log-probability equals what plain loops add up; several captions, cut and ended."""

import sys

import pytest
import torch
from torch import Tensor

from miacap.decoding import Hypothesis, SearchSettings, n_best, search, word_log_probabilities
from miacap.decoding import word_scores as module
from miacap.errors import SettingsError
from miacap.pictures import Pictures
from miacap.text.vocabulary import EOS

toys = sys.modules["decoding_toys"]
WORDS = 12


class Toy(toys.Toy):
    """One that reads whole captions too: `forward` is repeated `step`."""

    def forward(self, pictures: Pictures, words: Tensor, trace: bool = False) -> Tensor:
        self.read = [*getattr(self, "read", []), words.shape[1]]
        memory = self.encode(pictures)
        state = self.start(memory, words.shape[1])
        rows = []
        for time in range(words.shape[2]):
            logits, state = self.step(memory, state, words[:, :, time])
            rows.append(logits)
        return torch.stack(rows, dim=2)


def plain(toy: Toy, name: str, caption: Hypothesis) -> list[float]:
    table = toy.table(name).tolist()
    steps = (*caption.words, EOS) if caption.ended else caption.words
    return [toys.log_probabilities(table, steps[:t])[word] for t, word in enumerate(steps)]


@pytest.mark.parametrize("logits_at_once", [1, 1 << 25])
def test_words_have_the_log_probabilities_of_plain_loops(
    monkeypatch: pytest.MonkeyPatch, logits_at_once: int
) -> None:
    monkeypatch.setattr(module, "_LOGITS", logits_at_once)
    toy, pictures = Toy(WORDS, seed=3).train(), toys.pictures(3)
    captions = [
        [Hypothesis((4, 5, 6), -1.0, True), Hypothesis((7,), -1.0, True)],
        [Hypothesis((8, 9, 10, 11, 4), -1.0, False)],
        [Hypothesis((), -1.0, True), Hypothesis((5, 5), 0.0, True), Hypothesis((4,), 0.0, False)],
    ]
    found = word_log_probabilities(toy, pictures, captions)
    assert toy.training  # as it was, and no dropout inside
    for name, row, numbers in zip("012", captions, found, strict=True):
        assert len(row) == len(numbers)
        for caption, gains in zip(row, numbers, strict=True):
            assert list(gains) == pytest.approx(plain(toy, name, caption), abs=1e-12)
    assert toy.read == ([1, 1, 1] if logits_at_once == 1 else [1, 2])


def test_nothing_to_read_is_nothing() -> None:
    toy = Toy(WORDS)
    assert word_log_probabilities(toy, toys.pictures(2), [[], []]) == [[], []]
    cut = Hypothesis((), 0.0, False)
    assert word_log_probabilities(toy, toys.pictures(1), [[cut]]) == [[()]]


def test_the_sum_over_words_is_what_searches_added_up() -> None:
    toy, pictures = Toy(WORDS, seed=1, end=1.0), toys.pictures(4)
    for settings in (SearchSettings(beam=1), SearchSettings(beam=3, length_penalty=0.7)):
        best = search(toy, pictures, settings)
        numbers = word_log_probabilities(toy, pictures, [[caption] for caption in best])
        for caption, (gains,) in zip(best, numbers, strict=True):
            assert sum(gains) == pytest.approx(caption.log_probability, abs=1e-9)


def test_the_n_best_widen_a_narrow_beam_and_obey_the_settings() -> None:
    toy, pictures = Toy(WORDS, seed=2, end=1.0), toys.pictures(3)
    settings = SearchSettings(beam=2, maximum_words=6, minimum_words=2, length_penalty=1.0)
    ranked = n_best(toy, pictures, 4, settings)
    for name, row in zip("012", ranked, strict=True):
        table = toy.table(name).tolist()

        def minimum(left: list[float], prefix: tuple[int, ...], remaining: int) -> list[float]:
            short = len(prefix) < 2
            return [-float("inf") if short and w == EOS else g for w, g in enumerate(left)]

        wanted = toys.plain_beam(table, 4, 6, 4, (minimum,), 1.0)
        assert [h.words for h in row] == [h.words for h in wanted]
        scores = [h.score(1.0) for h in row]
        assert scores == sorted(scores, reverse=True)
    assert [row[0] for row in n_best(toy, pictures, 1, settings)] == search(toy, pictures, settings)
    with pytest.raises(SettingsError):
        n_best(toy, pictures, 0, settings)
