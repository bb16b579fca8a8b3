"""Steps that no wanted stream needs are skipped, and no other step is."""

import itertools

import pytest
import torch

from miacap import refiner as lifted

STREAMS = ("a", "b", "c")
PAIRS = [(one, two) for one, two in itertools.product(STREAMS, STREAMS)]


@pytest.mark.parametrize("rows", ["match", "aligned"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_wanted_streams_are_those_of_the_whole(seed: int, count: int, rows: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randint(len(PAIRS), (4,), generator=generator).tolist()
    steps = tuple(PAIRS[index] for index in order)
    torch.manual_seed(seed)
    refiner = lifted.IterativeRefiner(8, STREAMS, steps, heads=2, inner=6, rows=rows).eval()
    lengths = (4, 4, 4) if rows == "match" else (3, 4, 5)
    features = {
        name: torch.randn(2, length, 8, generator=generator)
        for name, length in zip(STREAMS, lengths, strict=True)
    }
    whole = refiner(features, iterations=count, trace=True)
    assert len(whole.trace) == 4 * count
    for size in (1, 2):
        for wanted in itertools.combinations(STREAMS, size):
            read = lifted.origins(steps, count, wanted)
            given = {name: features[name] for name in STREAMS if name in read}
            part = refiner(given, iterations=count, wanted=wanted, trace=True)
            assert set(part.features) == set(part.masks) == set(part.orders) == set(wanted)
            for name in wanted:
                assert torch.equal(part.features[name], whole.features[name])
                assert part.orders[name] == whole.orders[name]
            _no_step_is_idle(part.trace, wanted)
            # What is left out changes nothing; what is read does.
            for name in STREAMS:
                other = {**features, name: features[name] + 1.0}
                changed = refiner(other, iterations=count, wanted=wanted)
                same = all(torch.equal(changed.features[n], part.features[n]) for n in wanted)
                assert same == (name not in read), (steps, wanted, name)


def _no_step_is_idle(trace, wanted) -> None:  # type: ignore[no-untyped-def]
    needed = set(wanted)
    for step in reversed(trace):
        assert step.stream in needed
        needed.add(step.guide)


def test_an_absent_stream_that_is_needed_is_missed() -> None:
    refiner = lifted.IterativeRefiner(8, ("a", "b"), (("a", "b"),), heads=2, inner=6)
    with pytest.raises(ValueError, match="'b' is missing"):
        refiner({"a": torch.zeros(1, 2, 8)}, wanted=("a",))
    alone = refiner({"b": torch.ones(1, 2, 8)}, wanted=("b",))
    assert list(alone.features) == ["b"]
    refiner({"a": torch.zeros(1, 2, 8)}, wanted=("a",), iterations=0)
