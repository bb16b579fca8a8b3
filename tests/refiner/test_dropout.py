"""The refiner's own dropout on a CPU, and what it and masks do under transforms and tracing."""

from typing import Any

import pytest
import torch
from torch import Tensor

from miacap.refiner import MutualIterativeAttention, _Dropout


def build(**changes: Any) -> MutualIterativeAttention:
    torch.manual_seed(0)
    return MutualIterativeAttention(8, **({"heads": 2, "inner": 12} | changes)).double()


def pictures(count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    mask = torch.arange(5) < torch.tensor([5, 2, 4][:count])[:, None]
    return torch.randn(count, 5, 8).double(), torch.randn(count, 5, 8).double(), mask


@pytest.mark.parametrize(
    ("p", "dropped"),
    [(0.1, 6554), (0.5, 32768), (0.9, 58982), (1e-9, 1), (1 - 1e-9, 65535), (3 / 65536, 3)],
)
def test_the_share_that_is_kept_is_exact(p: float, dropped: int) -> None:
    torch.manual_seed(2)
    count = 400_003
    found = _Dropout(p)(torch.ones(count, dtype=torch.float64))
    scale = 65536 / (65536 - dropped)
    assert set(found.unique().tolist()) <= {0.0, scale}
    share = dropped / 65536
    noise = 5 * (count * share * (1 - share)) ** 0.5 + 1
    assert abs(int((found == 0).sum()) - count * share) < noise


def test_each_of_four_neighbours_is_dropped_by_itself() -> None:
    """Four numbers share one random word."""
    torch.manual_seed(3)
    gone = (_Dropout(0.25)(torch.ones(100_000, 4)) == 0).double()
    apart = torch.eye(4).double() * 0.25 * 0.75
    torch.testing.assert_close(gone.mean(0), torch.full((4,), 0.25).double(), atol=0.008, rtol=0.0)
    torch.testing.assert_close(gone.T.cov(), apart, atol=0.004, rtol=0.0)


def test_dropout_has_the_slopes_of_what_it_drops() -> None:
    def dropped(x: Tensor) -> Tensor:
        torch.manual_seed(4)
        result: Tensor = _Dropout(0.4)(x)
        return result

    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dropped, x)
    kept = dropped(torch.ones(3, 7, dtype=torch.float64))
    assert 0 < int((kept == 0).sum()) < 21
    assert torch.equal(dropped(x), x * kept)


def test_dropout_follows_the_seed_and_the_kept_state() -> None:
    x = torch.ones(50, 3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, other = _Dropout(0.5)(x), _Dropout(0.5)(x)
    assert not torch.equal(one, other)
    torch.set_rng_state(state)
    assert torch.equal(_Dropout(0.5)(x), one)
    torch.manual_seed(5)
    assert torch.equal(_Dropout(0.5)(x.bfloat16()).float() == 0, one == 0)


@pytest.mark.parametrize("name", ["_are_functorch_transforms_active", "_len_torch_dispatch_stack"])
def test_torch_drops_where_it_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Under other names in some torch to come, nothing says that the numbers may be looked at."""
    x = torch.ones(50, 3)
    monkeypatch.delattr(torch._C, name)
    torch.manual_seed(5)
    found = _Dropout(0.5)(x)
    torch.manual_seed(5)
    assert torch.equal(found, torch.nn.Dropout(0.5)(x))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ends_and_kinds_of_number_are_those_of_torch(kind: torch.dtype) -> None:
    x = torch.ones(4, 5, dtype=kind)
    assert _Dropout(0.3)(x).dtype == kind
    assert _Dropout(0.3)(x[:0]).shape == (0, 5)
    assert torch.equal(_Dropout(0.0)(x), x)
    assert torch.equal(_Dropout(0.3).eval()(x), x)
    assert not _Dropout(1.0)(x).any()


def test_a_step_trained_with_dropout_has_the_slopes_of_its_numbers() -> None:
    module, (regions, concepts, mask) = build(dropout=0.3).train(), pictures(2)

    def refined(regions: Tensor, concepts: Tensor) -> Tensor:
        torch.manual_seed(6)
        result: Tensor = module(regions, concepts, mask, mask).combined
        return result

    inputs = regions.requires_grad_(), concepts.requires_grad_()
    assert torch.autograd.gradcheck(refined, inputs, fast_mode=True)


def test_masks_that_leave_nothing_out_change_no_bit() -> None:
    regions, concepts, mask = pictures()
    for module in (build().eval(), build(dropout=0.0).train()):
        plain = module(regions, concepts)
        masked = module(regions, concepts, mask | True, mask | True)
        for name in ("regions", "concepts", "combined", "region_mask"):
            assert torch.equal(getattr(plain, name), getattr(masked, name)), name


def test_pictures_can_be_mapped_one_by_one() -> None:
    module, (regions, concepts, mask) = build().eval(), pictures()

    def one(regions: Tensor, concepts: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = module(regions[None], concepts[None], mask[None], mask[None]).combined[0]
        return result

    whole = module(regions, concepts, mask, mask).combined
    torch.testing.assert_close(torch.vmap(one)(regions, concepts, mask), whole)
    module.train()
    drawn = torch.vmap(one, randomness="different")(regions, concepts, mask)
    assert not torch.allclose(drawn, whole)


@pytest.mark.filterwarnings("ignore")
def test_a_trace_of_full_pictures_fits_pictures_with_padding() -> None:
    module, (regions, concepts, mask) = build().eval().requires_grad_(False), pictures()

    def combined(regions: Tensor, concepts: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = module(regions, concepts, mask, mask).combined
        return result

    wanted = combined(regions, concepts, mask)
    assert not wanted[1, 2:].any()
    full = (regions, concepts, mask | True)
    for traced in (
        torch.jit.trace(combined, full),  # type: ignore[no-untyped-call]
        torch.fx.experimental.proxy_tensor.make_fx(combined)(*full),
    ):
        torch.testing.assert_close(traced(regions, concepts, mask), wanted)
