"""The refiner against plain loops written from the paper's equations 1 to 5."""

import math

import pytest
import torch
from torch import Tensor

from miacap.refiner import (
    CONCEPTS_FIRST,
    REGIONS_FIRST,
    SELF_ATTENTION,
    IterativeRefiner,
    MutualIterativeAttention,
    StepTrace,
    accumulate,
)

D, H, INNER = 8, 2, 6
TOLERANCE = {"atol": 1e-10, "rtol": 0.0}

Rows = list[list[float]]


def affine(state: dict[str, Tensor], name: str, row: list[float]) -> list[float]:
    weight, bias = state[f"{name}.weight"].tolist(), state.get(f"{name}.bias")
    offsets = [0.0] * len(weight) if bias is None else bias.tolist()
    return [
        sum(w * x for w, x in zip(line, row, strict=True)) + offset
        for line, offset in zip(weight, offsets, strict=True)
    ]


def norm(state: dict[str, Tensor], name: str, row: list[float]) -> list[float]:
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + 1e-5)
    gain, shift = state[f"{name}.weight"].tolist(), state[f"{name}.bias"].tolist()
    return [g * (x - mean) / deviation + s for x, g, s in zip(row, gain, shift, strict=True)]


def plus(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


def plain_step(
    state: dict[str, Tensor],
    name: str,
    guide: Rows,
    stream: Rows,
    residual: str,
    outer: str | None,
) -> tuple[Rows, Rows]:
    """One picture, valid rows only. Returns new rows and the head-mean attention."""
    size = D // H
    queries = [affine(state, f"{name}.attention.query", row) for row in guide]
    keys = [affine(state, f"{name}.attention.key", row) for row in stream]
    values = [affine(state, f"{name}.attention.value", row) for row in stream]
    refined: Rows = []
    means: Rows = []
    for place, query in enumerate(queries):
        read: list[float] = []
        mean = [0.0] * len(stream)
        for head in range(H):
            span = range(head * size, (head + 1) * size)
            scores = [sum(query[i] * key[i] for i in span) / math.sqrt(size) for key in keys]
            powers = [math.exp(score) for score in scores]
            weights = [power / sum(powers) for power in powers]
            mean = [m + w / H for m, w in zip(mean, weights, strict=True)]
            read += [sum(w * v[i] for w, v in zip(weights, values, strict=True)) for i in span]
        means.append(mean)
        mixture = [sum(m * row[i] for m, row in zip(mean, stream, strict=True)) for i in range(D)]
        choices = {"aligned": mixture, "query": guide[place], "none": [0.0] * D}
        if place < len(stream):
            choices["own"] = stream[place]
        u = affine(state, f"{name}.attention.output", read)
        u = norm(state, f"{name}.norm", plus(choices[residual], u))
        wide = [max(0.0, x) for x in affine(state, f"{name}.widen", u)]
        z = norm(state, f"{name}.feed_norm", plus(u, affine(state, f"{name}.narrow", wide)))
        if outer is not None:
            z = norm(state, f"{name}.outer_norm", plus(choices[outer], z))
        refined.append(z)
    return refined, means


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Double precision, and no parameter at a value (0 or 1) that would hide a mistake."""
    torch.manual_seed(3)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def numbered(module: torch.nn.Module, prefix: str) -> dict[str, Tensor]:
    state = module.state_dict()
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def random_rows(*counts: int) -> tuple[Tensor, Tensor]:
    """Padded rows and their mask; what is padded is garbage."""
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    rows = torch.randn(len(counts), max(counts), D, dtype=torch.float64)
    return rows.masked_fill(~mask[..., None], torch.nan), mask


@pytest.mark.parametrize("steps", [CONCEPTS_FIRST, REGIONS_FIRST, SELF_ATTENTION])
@pytest.mark.parametrize("preset", ["paper", "released"])
@pytest.mark.parametrize("residual", ["value", "query", "none"])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_matching_rows_equal_plain_loops(steps, preset, residual, iterations) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(1)
    module = MutualIterativeAttention(D, H, INNER, 2, preset, steps=steps, residual=residual)
    shaken(module)
    regions, mask = random_rows(3, 2)
    concepts, _ = random_rows(3, 2)
    refined = module(regions, concepts, mask, mask, iterations=iterations)  # type: ignore[operator]
    parts = numbered(module, "refiner.refine.")
    for picture, count in enumerate((3, 2)):
        rows = {
            "regions": regions[picture, :count].tolist(),
            "concepts": concepts[picture, :count].tolist(),
        }
        for _ in range(iterations):
            for stream, guide in steps:
                outer = "own" if (preset, stream) == ("released", "regions") else None
                kind = {"value": "own"}.get(residual, residual)
                rows[stream], _ = plain_step(parts, stream, rows[guide], rows[stream], kind, outer)
        combined = [
            norm(numbered(module, ""), "norm", plus(one, other))
            for one, other in zip(rows["regions"], rows["concepts"], strict=True)
        ]
        for got, expected in (
            (refined.regions, rows["regions"]),
            (refined.concepts, rows["concepts"]),
            (refined.combined, combined),
        ):
            wanted = torch.tensor(expected, dtype=torch.float64)
            torch.testing.assert_close(got[picture, :count], wanted, **TOLERANCE)
            assert not got[picture, count:].any()
    assert torch.equal(refined.mask, mask)


@pytest.mark.parametrize("steps", [CONCEPTS_FIRST, REGIONS_FIRST])
@pytest.mark.parametrize("preset", ["paper", "released"])
@pytest.mark.parametrize("rows", ["aligned", "none"])
# Equal numbers of padded rows must not be mistaken for equal rows: (4, 2) beside (2, 4).
@pytest.mark.parametrize("counts", [((4, 2), (3, 5)), ((4, 2), (2, 4)), ((3, 3), (3, 3))])
def test_unequal_rows_equal_plain_loops(steps, preset, rows, counts) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(2)
    module = MutualIterativeAttention(D, H, INNER, 2, preset, steps=steps, rows=rows)
    shaken(module)
    regions, region_mask = random_rows(*counts[0])
    concepts, concept_mask = random_rows(*counts[1])
    refined = module(regions, concepts, region_mask, concept_mask, trace=True)
    parts = numbered(module, "refiner.refine.")
    for picture in range(2):
        state = {
            "regions": regions[picture, : counts[0][picture]].tolist(),
            "concepts": concepts[picture, : counts[1][picture]].tolist(),
        }
        first = True
        for iteration in range(2):
            for place, (stream, guide) in enumerate(steps):
                kind = rows if first else "own"
                outer = kind if (preset, stream) == ("released", "regions") else None
                state[stream], means = plain_step(
                    parts, stream, state[guide], state[stream], kind, outer
                )
                traced = refined.trace[2 * iteration + place]
                assert (traced.stream, traced.guide) == (stream, guide)
                assert traced.residuals == (0 if first else 1 + (outer is not None))
                mean = traced.weights[picture].mean(0)[: len(means), : len(means[0])]
                expected = torch.tensor(means, dtype=torch.float64)
                torch.testing.assert_close(mean, expected, **TOLERANCE)
                first = False
        mask = concept_mask if steps == CONCEPTS_FIRST else region_mask
        assert torch.equal(refined.mask, mask)
        assert torch.equal(refined.concept_mask, mask)
        count = int(mask[picture].sum())
        for got, name in ((refined.regions, "regions"), (refined.concepts, "concepts")):
            wanted = torch.tensor(state[name], dtype=torch.float64)
            torch.testing.assert_close(got[picture, :count], wanted, **TOLERANCE)
        assert refined.combined is not None
        assert not refined.combined[picture, count:].any()


def test_three_streams_follow_the_same_equations() -> None:
    torch.manual_seed(4)
    steps = (("seen", "said"), ("said", "heard"), ("heard", "seen"))
    module = IterativeRefiner(
        D, ("seen", "said", "heard"), steps, heads=H, inner=INNER, outer=("said",), rows="aligned"
    )
    shaken(module)
    sizes = {"seen": 4, "said": 3, "heard": 2}
    features = {name: torch.randn(1, size, D, dtype=torch.float64) for name, size in sizes.items()}
    streams = module(features)
    state = {name: rows[0].tolist() for name, rows in features.items()}
    parts = numbered(module, "refine.")
    # Row orders: seen takes said's rows, said takes heard's, heard takes seen's (= said's).
    order = {name: name for name in sizes}
    for stream, guide in steps * 2:
        kind = "own" if order[stream] == order[guide] else "aligned"
        outer = kind if stream == "said" else None
        state[stream], _ = plain_step(parts, stream, state[guide], state[stream], kind, outer)
        order[stream] = order[guide]
    for name, rows in state.items():
        expected = torch.tensor(rows, dtype=torch.float64)
        torch.testing.assert_close(streams.features[name][0], expected, **TOLERANCE)
        assert streams.orders[name] == order[name]


def plain_product(one: Rows, other: Rows) -> Rows:
    return [
        [sum(a * other[k][j] for k, a in enumerate(row)) for j in range(len(other[0]))]
        for row in one
    ]


@pytest.mark.parametrize("residual", [0.5, 0.0, 0.25])
def test_accumulation_equals_plain_loops(residual: float) -> None:
    torch.manual_seed(5)
    trace = tuple(
        StepTrace(n + 1, name, "guide", torch.rand(1, H, *shape).softmax(-1), residuals)
        for n, shape, residuals in ((0, (3, 4), 0), (1, (3, 3), 1), (2, (3, 3), 2))
        for name in ("regions", "concepts")
    )
    rolled = accumulate(trace, "regions", residual)
    assert len(rolled) == 3
    expected: Rows = [[float(i == j) for j in range(4)] for i in range(4)]
    for got, step in zip(rolled, trace[::2], strict=True):
        matrix = step.weights[0].mean(0).tolist()
        for _ in range(step.residuals):
            matrix = [
                [(1 - residual) * x + residual * (i == j) for j, x in enumerate(row)]
                for i, row in enumerate(matrix)
            ]
        expected = plain_product(matrix, expected)
        torch.testing.assert_close(got[0], torch.tensor(expected), atol=1e-6, rtol=0.0)
        torch.testing.assert_close(got.sum(-1), torch.ones(1, 3), atol=1e-6, rtol=0.0)
