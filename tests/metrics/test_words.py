"""BLEU, ROUGE-L and CIDEr-D against the official scores, plain loops and hand examples."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.metrics import cider, score
from miacap.metrics.corpus import intern, intern_at_blanks
from miacap.metrics.rouge import longest_common

WORDS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def words_only(references: Any, candidates: Any, **options: Any) -> Any:
    return score(references, candidates, WORDS, **options)


@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_official_scores_from_official_tokens(golden: Callable[[str], Any], name: str) -> None:
    data = golden(name)
    scores = words_only(data.tokenized_references, data.tokenized_candidates, tokenized=True)
    assert set(scores) == set(WORDS)
    data.check(scores)


@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_official_scores_from_raw_strings(golden: Callable[[str], Any], name: str) -> None:
    data = golden(name)
    data.check(words_only(data.references, data.candidates, count_empty=True))


@pytest.mark.slow
def test_official_scores_of_five_thousand_pictures(golden: Callable[[str], Any]) -> None:
    data = golden("val5k_model")
    data.check(words_only(data.references, data.candidates))


@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_bleu_lengths_are_the_official_ones(golden: Callable[[str], Any], name: str) -> None:
    data = golden(name)
    scores = score(data.references, data.candidates, ["BLEU-4"])
    words, nearest = scores.statistics[0].rows[:, -2:].sum(axis=0)
    lengths = data.content["bleu_lengths"]
    assert (words, nearest) == (lengths["testlen"], lengths["reflen"])


# ---- plain loops, written from the equations ----


def plain_bleu(references: list[str], candidate: str, k: int) -> float:
    words = candidate.split()
    product = 1.0
    for n in range(1, k + 1):
        counts = plain_grams(words, n)
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= plain_grams(reference.split(), n)
        correct = sum(min(count, most[gram]) for gram, count in counts.items())
        product *= (correct + 1e-15) / (max(0, len(words) - n + 1) + 1e-9)
    nearest = min((abs(len(r.split()) - len(words)), len(r.split())) for r in references)[1]
    ratio = (len(words) + 1e-15) / (nearest + 1e-9)
    return product ** (1 / k) * (math.exp(1 - 1 / ratio) if ratio < 1 else 1)


def plain_grams(words: list[str], n: int) -> "Counter[tuple[str, ...]]":
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def plain_cider(references: list[list[str]], candidates: list[str]) -> list[float]:
    total = len(references)
    result = []
    for own, candidate in zip(references, candidates, strict=True):
        value = 0.0
        for reference in own:
            a, b = candidate.split(), reference.split()
            pairs = max(len(a) - 1, 0) - max(len(b) - 1, 0)
            for n in range(1, 5):

                def weights(words: list[str], n: int = n) -> dict[tuple[str, ...], float]:
                    found = {}
                    for gram, count in plain_grams(words, n).items():
                        df = sum(
                            any(gram in plain_grams(r.split(), n) for r in p) for p in references
                        )
                        found[gram] = count * (math.log(total) - math.log(max(1, df)))
                    return found

                left, right = weights(a), weights(b)
                dot = sum(min(w, right[g]) * right[g] for g, w in left.items() if g in right)
                norms = math.sqrt(sum(w * w for w in left.values())) * math.sqrt(
                    sum(w * w for w in right.values())
                )
                value += (dot / norms if norms else dot) * math.exp(-(pairs**2) / 72)
        result.append(10 * value / 4 / len(own))
    return result


def plain_common(left: list[str], right: list[str]) -> int:
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


sentence = st.lists(st.sampled_from("abcde"), max_size=9).map(" ".join)
pictures = st.lists(
    st.tuples(sentence, st.lists(sentence, min_size=1, max_size=3)), min_size=1, max_size=5
)


@given(pictures)
def test_scores_equal_plain_loops(drawn: list[tuple[str, list[str]]]) -> None:
    candidates = [candidate for candidate, _ in drawn]
    references = [some for _, some in drawn]
    scores = words_only(references, candidates, tokenized=True)
    for k in range(1, 5):
        expected = [plain_bleu(r, c, k) for r, c in zip(references, candidates, strict=True)]
        assert scores.per_picture[f"BLEU-{k}"] == pytest.approx(expected, abs=1e-12)
    assert scores.per_picture["CIDEr-D"] == pytest.approx(
        plain_cider(references, candidates), abs=1e-12
    )
    expected = []
    for own, candidate in zip(references, candidates, strict=True):
        c = candidate.split(" ")
        common = [(plain_common(c, r.split(" ")), len(r.split(" "))) for r in own]
        p, r = max(n / len(c) for n, _ in common), max(n / length for n, length in common)
        expected.append((1 + 1.2**2) * p * r / (r + 1.2**2 * p) if p and r else 0.0)
    assert scores.per_picture["ROUGE-L"] == pytest.approx(expected, abs=1e-12)


@given(
    st.lists(st.sampled_from("abc"), min_size=50, max_size=90),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=90),
)
def test_common_subsequence_of_long_sentences(left: list[str], right: list[str]) -> None:
    corpus = intern([" ".join(left)], [[" ".join(right)]])
    assert longest_common(corpus).tolist() == [plain_common(left, right)]


# ---- the examples of the docstrings, by hand ----


def test_bleu_worked_example() -> None:
    scores = words_only([["a cat sat down"]], ["a cat sat"])
    assert scores["BLEU-1"] == pytest.approx(math.exp(1 - 4 / 3), abs=1e-8)
    assert scores["BLEU-2"] == pytest.approx(0.7165, abs=1e-4)


def test_bleu_takes_the_shorter_of_two_equally_near_references() -> None:
    scores = words_only([["a b c d e", "a b c"]], ["a b c d"], tokenized=True)
    assert scores["BLEU-1"] == pytest.approx(1, abs=1e-8)  # 5 words would cost exp(-1/4)


def test_bleu_of_a_perfect_single_word() -> None:
    assert words_only([["cat"]], ["cat"])["BLEU-4"] == pytest.approx(3.16e-5, rel=1e-2)


def test_rouge_worked_example() -> None:
    assert words_only([["a cat sat on a mat", "cat sat"]], ["a cat sat"])["ROUGE-L"] == 1.0


def test_rouge_of_nothing_against_nothing_is_one() -> None:
    scores = words_only([["..."], ["a cat"], ["!"]], ["", "", "a cat"])
    assert scores.per_picture["ROUGE-L"] == [1.0, 0.0, 0.0]


def test_rouge_keeps_a_word_with_a_hard_blank_whole() -> None:
    candidates, references = ["1\u00a01/2 cups"], [["1\u00a01/2 cups", "1\u00a01/2"]]
    split = intern(candidates, references)
    whole = intern_at_blanks(candidates, references, split)
    assert split.lengths.tolist() == [3, 3, 2]
    assert whole.lengths.tolist() == [2, 2, 1]


def test_cider_worked_example() -> None:
    scores = words_only([["a red cat sat"], ["a blue dog ran"]], ["a red cat sat", "a dog"])
    assert scores.per_picture["CIDEr-D"][0] == pytest.approx(10, abs=1e-12)


def test_cider_of_one_picture_is_zero_and_says_so() -> None:
    scores = words_only([["a red cat sat on a mat"]], ["a red cat sat on a mat"])
    assert scores["CIDEr-D"] == 0
    assert any("--df FILE" in warning for warning in scores.warnings)


def test_long_captions_are_counted_too() -> None:
    long = " ".join(f"w{i % 700}" for i in range(10_000))
    scores = words_only([[long], ["a b c d"]], [long, "a b c d"], tokenized=True)
    assert scores.per_picture["ROUGE-L"] == [1.0, 1.0]
    assert np.allclose(scores.per_picture["CIDEr-D"], 10, atol=1e-12)


def test_an_empty_sentence_in_cider() -> None:
    """It has no word pair, as a one-word sentence; it counts among the references all the same."""
    corpus = intern(["", "a", "a b c"], [["a", "a b c"], [""], ["", "a"]])
    pairs = [0, 0, 2, 0, 0, 2, 0, 0]
    own = [0, 0, 0, 0, 0, 2, 2, 2]
    expected = [math.exp(-((x - y) ** 2) / 72) for x, y in zip(pairs, own, strict=True)]
    assert cider.penalties(corpus).tolist() == pytest.approx(expected)
    one, two = (
        score(
            [first, ["two red buses stand"]],
            ["a dog runs home", "a bus"],
            ["CIDEr-D"],
            tokenized=True,
            count_empty=True,
        ).per_picture["CIDEr-D"]
        for first in (["a dog runs home"], ["a dog runs home", ""])
    )
    assert one[0] == pytest.approx(10) and two[0] == pytest.approx(5)
    empty = score([["a dog"], ["a cat"]], ["", "a cat"], ["CIDEr-D"], tokenized=True)
    assert empty.per_picture["CIDEr-D"][0] == 0
