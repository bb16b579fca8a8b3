"""What must hold of any refiner: counts, symmetries, masks, refusals (paper, section 2.2)."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import miacap.refiner
from miacap.refiner import REGIONS_FIRST, SELF_ATTENTION, IterativeRefiner, MutualIterativeAttention


def build(**changes) -> MutualIterativeAttention:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return MutualIterativeAttention(16, **({"heads": 4, "inner": 24} | changes)).eval()


def pair(rows: int = 5, others: int | None = None) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, rows, 16), torch.randn(2, others or rows, 16)


@pytest.mark.parametrize(
    ("width", "changes", "expected"),
    [
        (512, {}, 6_305_792),
        (512, {"preset": "released"}, 6_306_816),
        (512, {"bias": False}, 6_302_720),
        (512, {"preset": "released", "outer_residual": "none"}, 6_305_792),
        (512, {"outer_residual": "visual"}, 6_306_816),
        (512, {"iterations": 5}, 6_305_792),
        (512, {"steps": SELF_ATTENTION}, 6_305_792),
        (1000, {}, 16_216_096),
        (1024, {}, 16_801_792),
    ],
)
def test_number_of_parameters(width: int, changes: dict[str, object], expected: int) -> None:
    with torch.device("meta"):
        module = MutualIterativeAttention(width, **changes)  # type: ignore[arg-type]
    assert sum(parameter.numel() for parameter in module.parameters()) == expected
    # By hand: q, k, v, o; the feed-forward layer; its two norms; both directions and Eq. 5.
    direction = 4 * (width**2 + width) + (2 * width * 2048 + 2048 + width) + 4 * width
    total = 2 * direction + 2 * width
    assert total == {512: 6_305_792, 1000: 16_216_096, 1024: 16_801_792}[width]


def test_initial_values_are_those_of_the_released_code() -> None:
    torch.manual_seed(0)
    attention = MutualIterativeAttention(512).refiner.refine["regions"].attention  # type: ignore[union-attr]
    for part in (attention.query, attention.key, attention.value):  # type: ignore[union-attr]
        assert part.weight.std().item() == pytest.approx((2 / (512 + 64)) ** 0.5, rel=0.02)  # type: ignore[union-attr]
    assert attention.output.weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.02)  # type: ignore[union-attr]


def test_no_iteration_gives_back_what_came_in() -> None:
    module, (regions, concepts) = build(), pair()
    refined = module(regions, concepts, iterations=0)
    assert torch.equal(refined.regions, regions)
    assert torch.equal(refined.concepts, concepts)
    assert torch.equal(refined.combined, module.norm(regions + concepts))


def test_no_iteration_has_no_sum_where_rows_need_not_match() -> None:
    # Even where the numbers of rows happen to be the same: padding would decide otherwise.
    refined = build(rows="aligned")(*pair(), iterations=0)
    assert refined.combined is None
    assert build(rows="aligned", steps=SELF_ATTENTION)(*pair(4, 7)).combined is None


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_permuting_both_permutes_all(preset: str) -> None:
    module, (regions, concepts) = build(preset=preset), pair()
    order = torch.tensor([3, 0, 4, 1, 2])
    straight = module(regions, concepts)
    permuted = module(regions[:, order], concepts[:, order])
    for name in ("regions", "concepts", "combined"):
        one, other = getattr(straight, name)[:, order], getattr(permuted, name)
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0.0)


def test_the_value_residual_ties_rows_and_none_does_not() -> None:
    regions, concepts = pair()
    order = torch.tensor([3, 0, 4, 1, 2])
    tied, free = build(iterations=1), build(iterations=1, residual="none")
    change = tied(regions[:, order], concepts).regions - tied(regions, concepts).regions
    assert change.abs().max() > 0.1
    one, other = free(regions[:, order], concepts).regions, free(regions, concepts).regions
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("rows", ["match", "aligned"])
def test_padding_changes_nothing(rows: str) -> None:
    module = build(rows=rows)
    regions, concepts = pair(5, 5 if rows == "match" else 3)
    plain = module(regions, concepts)

    def padded(matrix: Tensor, to: int) -> tuple[Tensor, Tensor]:
        extra = torch.full((2, to - matrix.shape[1], 16), torch.inf)
        return torch.cat([matrix, extra], 1), (torch.arange(to) < matrix.shape[1]).expand(2, to)

    first, first_mask = padded(regions, 8)
    second, second_mask = padded(concepts, 8)
    got = module(first, second, first_mask, second_mask)
    for name in ("regions", "concepts", "combined"):
        one, other = getattr(plain, name), getattr(got, name)
        torch.testing.assert_close(other[:, : one.shape[1]], one, atol=1e-5, rtol=0.0)
        assert not other[:, one.shape[1] :].any()


def test_regions_stay_homogeneous() -> None:
    # Without values and feed-forward output, I_1 depends on I_0 alone.
    module, (regions, concepts) = build(iterations=1), pair()
    step = module.refiner.refine["regions"]
    with torch.no_grad():
        for part in (step.attention.value, step.attention.output, step.narrow):  # type: ignore[union-attr]
            part.bias.zero_()  # type: ignore[union-attr]
        step.attention.value.weight.zero_()  # type: ignore[union-attr]
        step.narrow.weight.zero_()  # type: ignore[union-attr]
    one = module(regions, concepts).regions
    assert torch.equal(one, module(regions, concepts.flip(1)).regions)
    assert not torch.equal(one, module(regions.flip(1), concepts).regions)


def test_dropout_acts_in_training_alone() -> None:
    module, (regions, concepts) = build(), pair()
    assert torch.equal(module(regions, concepts).regions, module(regions, concepts).regions)
    module.train()
    one, other = module(regions, concepts).regions, module(regions, concepts).regions
    assert not torch.equal(one, other)
    quiet = build(dropout=0.0).train()
    torch.testing.assert_close(quiet(regions, concepts).regions, build()(regions, concepts).regions)


def test_half_precision_is_close() -> None:
    regions, concepts = pair(6)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    module = build()
    exact = module(regions, concepts, mask, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = module(regions, concepts, mask, mask, trace=True)
    assert (rough.combined.float() - exact.combined).abs().max() < 0.1
    assert not rough.trace[0].weights[1, :, :, 4:].any()


def test_trace_is_complete_and_changes_nothing() -> None:
    module, (regions, concepts) = build(iterations=3, preset="released"), pair()
    silent, traced = module(regions, concepts), module(regions, concepts, trace=True)
    assert torch.equal(silent.combined, traced.combined)
    assert silent.trace == ()
    assert [(s.iteration, s.stream, s.guide, s.residuals) for s in traced.trace] == [
        (n, *rest)
        for n in (1, 2, 3)
        for rest in (("regions", "concepts", 2), ("concepts", "regions", 1))
    ]
    for step in traced.trace:
        torch.testing.assert_close(step.weights.sum(-1), torch.ones(2, 4, 5))
        assert step.weights.requires_grad


def test_every_parameter_gets_a_gradient() -> None:
    for changes in ({}, {"preset": "released"}, {"steps": REGIONS_FIRST}, {"rows": "aligned"}):
        module, (regions, concepts) = build(**changes), pair()
        module(regions, concepts).combined.square().mul(torch.rand(16)).sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            # A key's bias adds one number to a whole row of scores: softmax ignores it.
            if not name.endswith("key.bias"):
                assert parameter.grad.abs().max() > 1e-7, name


@pytest.mark.parametrize("iterations", [1, 2])
def test_steps_that_nothing_needs_are_skipped(iterations: int) -> None:
    module, (regions, concepts) = build(iterations=iterations), pair()
    inner: IterativeRefiner = module.refiner
    features = {"regions": regions, "concepts": concepts}
    some = inner(features, wanted=("regions",), trace=True)
    assert torch.equal(some.features["regions"], inner(features).features["regions"])
    assert set(some.features) == {"regions"}
    assert len(some.trace) == 2 * iterations - 1
    some.features["regions"].sum().backward()
    idle = [parameter for parameter in inner.parameters() if parameter.grad is None]
    assert {id(p) for p in idle} == {id(p) for p in inner.unused(("regions",))}
    assert bool(idle) == (iterations == 1)
    assert inner.unused(("regions", "concepts")) == []


@pytest.fixture(scope="module")
def lifted() -> ModuleType:
    """The file as a stranger has it: copied into another project, no shape checker around."""
    path = Path(miacap.refiner.__file__)
    spec = importlib.util.spec_from_file_location("lifted_refiner", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lifted_refiner"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "3 heads do not divide a width of 16"),
        ({"iterations": -1}, "iterations is 0 or more, not -1"),
        ({"inner": 0}, "feed-forward"),
        ({"preset": "official"}, "preset is 'paper' or 'released', not 'official'"),
        ({"rows": "equal"}, "rows is 'match', 'aligned' or 'none', not 'equal'"),
        ({"residual": "key"}, "residual is 'value', 'query' or 'none', not 'key'"),
        ({"outer_residual": "both"}, "outer_residual is 'none' or 'visual', not 'both'"),
        ({"steps": (("regions", "words"),)}, "No stream is named 'words'"),
    ],
)
def test_settings_that_make_no_refiner(
    lifted: ModuleType, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lifted.MutualIterativeAttention(16, **({"heads": 4} | changes))


@pytest.mark.parametrize(
    ("regions", "concepts", "masks", "message"),
    [
        ((2, 5, 16), (2, 4, 16), (), "5 rows of 'regions' cannot meet 4 .*rows='aligned'"),
        ((2, 5, 16), (3, 5, 16), (), r"'concepts' has shape \(3, 5, 16\); expected \(2, rows, 16"),
        ((2, 5, 12), (2, 5, 16), (), r"'regions' has shape \(2, 5, 12\)"),
        ((2, 5, 16), (2, 0, 16), (), "at least one row"),
        ((2, 5, 16), (2, 5, 16), ((2, 5), (2, 4)), r"mask of 'concepts' .*\(2, 4\)"),
    ],
)
def test_tensors_that_do_not_fit(lifted, regions, concepts, masks, message) -> None:  # type: ignore[no-untyped-def]
    module = lifted.MutualIterativeAttention(16, heads=4)
    given = [None if shape is None else torch.zeros(shape) > 0 for shape in masks]
    with pytest.raises(ValueError, match=message):
        module(torch.zeros(regions), torch.zeros(concepts), *given)


def test_streams_that_do_not_fit(lifted: ModuleType) -> None:
    refiner = lifted.IterativeRefiner(16, ("a", "b"), (("a", "b"),), heads=4)
    with pytest.raises(ValueError, match="'b' is missing"):
        refiner({"a": torch.zeros(1, 2, 16)})
    with pytest.raises(ValueError, match="No stream is named 'c'"):
        refiner({name: torch.zeros(1, 2, 16) for name in "abc"})
    with pytest.raises(ValueError, match="No stream is named 'd'"):
        refiner({name: torch.zeros(1, 2, 16) for name in "ab"}, wanted=("d",))
    with pytest.raises(ValueError, match="different names"):
        lifted.IterativeRefiner(16, ("a", "a"), (), heads=4)
    with pytest.raises(ValueError, match="no step of a stream named 'c'"):
        lifted.accumulate((), "c")
    with pytest.raises(ValueError, match="share from 0 to 1"):
        lifted.accumulate((), "c", residual=2.0)


def test_the_file_needs_torch_and_jaxtyping_alone(lifted: ModuleType) -> None:
    source = Path(miacap.refiner.__file__).read_text(encoding="utf-8")
    lines = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    packages = {line.split()[1].split(".")[0] for line in lines}
    assert packages - set(sys.stdlib_module_names) == {"torch", "jaxtyping"}
    refined = lifted.MutualIterativeAttention(16, heads=4)(*pair())
    assert refined.combined.shape == (2, 5, 16)


def test_the_file_works_alone_in_another_folder(tmp_path: Path) -> None:
    """Copied, in a process of its own: it learns, and nothing of ours is loaded with it."""
    shutil.copyfile(miacap.refiner.__file__, tmp_path / "mutual.py")
    (tmp_path / "use.py").write_text(
        "import sys, torch\n"
        "from mutual import MutualIterativeAttention, accumulate\n"
        "refine = MutualIterativeAttention(width=16, heads=4, inner=24)\n"
        "refined = refine(torch.randn(2, 5, 16), torch.randn(2, 5, 16), trace=True)\n"
        "refined.combined.square().mean().backward()\n"
        "rolled = accumulate(refined.trace, 'regions')\n"
        "ours = [name for name in sys.modules if name.split('.')[0] == 'miacap']\n"
        "print(tuple(refined.combined.shape), len(rolled), ours)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("(2, 5, 16) 2 []\n", 0), done.stderr
