"""The search against plain loops, on made-up options and on captions of many repeated words."""

import random
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.metrics.meteor import Meteor
from miacap.metrics.meteor.matches import Options, option
from miacap.metrics.meteor.search import align

# candidate start, candidate length, reference length, module
Entry = tuple[int, int, int, int]
Entries = list[list[Entry]]


def plain_align(options: Sequence[Sequence[Entry]]) -> tuple[list[list[int]], int]:
    """METEOR's search as plain loops, written from its rules."""
    certain = _certain(options)
    # points, chunks, distance, candidate word that continues, taken on both sides, matches
    paths = [(0, 0, 0, -1, frozenset[int](), frozenset[int](), list[list[int]]())]
    for position, here in enumerate(options):
        paths = sorted(paths, key=lambda path: (-path[0], path[1], path[2]))[:40]
        extended = []
        for points, chunks, distance, following, ours, theirs, matches in paths:
            if position in theirs:
                extended.append((points, chunks, distance, following, ours, theirs, matches))
                continue
            for start, length, reach, module in here:
                words = frozenset(range(start, start + length))
                others = frozenset(range(position, position + reach))
                if words & ours or others & theirs:
                    continue
                weight = 1.0 if module == 0 else 0.5
                own = distance + (abs(start - position) if position in certain else 0)
                extended.append(
                    (
                        points + int(weight * length) + int(weight * reach),
                        chunks + (following not in (-1, start)),
                        own,
                        start + length,
                        ours | words,
                        theirs | others,
                        [*matches, [start, length, position, reach, module]],
                    )
                )
                distance += abs(start - position)
            if position not in certain:
                open_chunk = following != -1
                extended.append((points, chunks + open_chunk, distance, -1, ours, theirs, matches))
        paths = extended
    paths = sorted(paths, key=lambda path: (-path[0], path[1], path[2]))[:40]
    closed = [(-p, c + (f != -1), d, m) for p, c, d, f, _, _, m in paths]
    best = min(closed, key=lambda path: path[:3])
    return best[3], best[1]


def _certain(options: Sequence[Sequence[Entry]]) -> set[int]:
    """Find the positions whose one option alone covers its words on both sides."""
    ours: list[int] = []
    theirs: list[int] = []
    for position, here in enumerate(options):
        for start, length, reach, _ in here:
            ours += range(start, start + length)
            theirs += range(position, position + reach)
    certain = set()
    for position, here in enumerate(options):
        if len(here) == 1:
            start, length, reach, _ = here[0]
            if all(ours.count(i) == 1 for i in range(start, start + length)) and all(
                theirs.count(i) == 1 for i in range(position, position + reach)
            ):
                certain.add(position)
    return certain


def _both(entries: Entries) -> None:
    made = [Options([option(*entry) for entry in here]) for here in entries]
    matches, chunks = align(made)
    assert ([list(match) for match in matches], chunks) == plain_align(entries)


@st.composite
def some_options(draw: st.DrawFn) -> Entries:
    words, length = draw(st.integers(1, 7)), draw(st.integers(0, 7))
    entries: Entries = []
    for position in range(length):
        here = []
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, words - 1))
            module = draw(st.integers(0, 3))
            if module < 3:
                here.append((start, 1, 1, module))
            else:
                own = draw(st.integers(1, min(4, words - start)))
                here.append((start, own, draw(st.integers(1, min(4, length - position))), 3))
        entries.append(here)
    return entries


@given(some_options())
def test_equals_plain_loops(entries: Entries) -> None:
    _both(entries)


@pytest.mark.parametrize("seed", range(12))
def test_equals_plain_loops_with_more_options_than_the_beam(seed: int) -> None:
    """Above 40 options a position goes the short way; a stride of modules, lengths, duplicates."""
    rng = random.Random(seed)
    words, length = rng.randint(30, 60), rng.randint(6, 14)
    spoken = [rng.randrange(rng.choice([1, 2])) for _ in range(words)]
    entries: Entries = []
    for position in range(length):
        wanted = rng.randrange(2)
        here = [(i, 1, 1, 0) for i in range(words) if spoken[i] == wanted]
        if seed % 3:
            here += [(i, 1, 1, m) for m in (1, 2) for i in range(words) if spoken[i] != wanted]
        if seed % 4 == 3:
            here += [
                (i, k, n, 3)
                for k in (1, 2, 3)
                for n in (1, 2)
                for i in range(0, words - k, seed % 3 + 1)
                if position + n <= length
            ]
        entries.append(here)
    _both(entries)


def test_nothing_to_match() -> None:
    assert align([]) == ([], 0)
    assert align([Options(())] * 3) == ([], 0)


def _few(length: int) -> list[str]:
    words = ["a", "the", "dog", "dogs", "runs", "big", "large", "in", "front", "of", "before"]
    return random.Random(length).choices(words, k=length)


@pytest.mark.parametrize(
    ("caption", "length"),
    [
        (lambda n: [f"word{number}" for number in range(n)], 4000),
        pytest.param(lambda n: ["dog"] * n, 1000, marks=pytest.mark.slow),
        pytest.param(_few, 1000, marks=pytest.mark.slow),
    ],
    ids=["different words", "one word", "few words"],
)
def test_time_grows_with_the_length(
    meteor: Meteor, caption: Callable[[int], list[str]], length: int
) -> None:
    """Four times the words take four to ten times as long; a square would be sixteen times."""

    def seconds(words: int) -> float:
        candidate, reference = caption(words), [*caption(words)[1:], "other"]
        start = time.process_time()
        meteor.align(" ".join(reference), " ".join(candidate))
        return time.process_time() - start

    seconds(4 * length)  # stems and synonyms are looked up once
    # The least of several: this process is disturbed by others, and by Python's collector.
    assert min(seconds(4 * length) for _ in range(2)) < 11 * min(seconds(length) for _ in range(2))


LONG = [
    ("dog ", "dog "),
    ("dogs ", "dog "),
    ("big ", "large "),
    ("in front of ", "before in front "),
    ("a the dog of ", "the dog a in "),
    ("x", "xx"),
    (".", "-'"),
]


@pytest.mark.parametrize(
    ("characters", "candidate", "reference"),
    [(2_000, *pair) for pair in LONG]
    + [pytest.param(10_000, *pair, marks=pytest.mark.slow) for pair in LONG],
)
def test_long_captions_end(meteor: Meteor, characters: int, candidate: str, reference: str) -> None:
    """Few words, very often: seconds, where every path with every option took minutes."""
    start = time.process_time()
    found = meteor.align(
        (reference * characters)[:characters], (candidate * characters)[:characters]
    )
    assert time.process_time() - start < 30
    assert 0 <= found.score <= 1
    used = [i for start, length, *_ in found.matches for i in range(start, start + length)]
    assert len(used) == len(set(used))
