"""Extractors against their equations, written as plain loops (Fang et al. 2015, Wu et al. 2016)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miacap.concepts.networks import (
    KINDS,
    Beliefs,
    Head,
    Kind,
    MultipleInstance,
    build,
    concept_loss,
    log_one_minus_exp,
)


def awake(kind: Kind, hidden: int = 0) -> torch.nn.Module:
    """An extractor with weights worth looking at, V = 5, A = 3."""
    torch.manual_seed(4)
    module = build(kind, 5, 3, hidden, dropout=0.0).eval()
    torch.nn.init.normal_(module.head.output.weight)
    module.head.standardise(torch.randn(5), torch.rand(5) + 0.5)
    return module


@pytest.mark.parametrize("hidden", [0, 7])
def test_noisy_or_is_one_minus_the_product(hidden: int) -> None:
    module = awake("multiple-instance", hidden)
    rows, mask = torch.randn(2, 4, 5), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    with torch.no_grad():
        yes, no = (part.exp() for part in module(rows, mask))
        cells = module.cells(rows, mask)
    head = module.head
    for b in range(2):
        for w in range(3):
            product = 1.0
            for n in range(4):
                if not mask[b, n]:
                    assert cells[b, n, w] == 0
                    continue
                x = (rows[b, n] - head.mean) * head.scale
                if hidden:
                    x = torch.relu(head.hidden.weight @ x + head.hidden.bias)
                z = float((head.output.weight[w] @ x + head.output.bias[w]).detach())
                p = 1 / (1 + math.exp(-z))
                assert float(cells[b, n, w]) == pytest.approx(p, abs=1e-5)
                product *= 1 - p
            assert float(yes[b, w]) == pytest.approx(1 - product, abs=1e-5)
            assert float(no[b, w]) == pytest.approx(product, abs=1e-5)


def test_one_region_is_a_sigmoid() -> None:
    module = awake("multiple-instance")
    rows = torch.randn(6, 1, 5)
    with torch.no_grad():
        yes, _ = module(rows, torch.ones(6, 1).bool())
        torch.testing.assert_close(yes.exp(), torch.sigmoid(module.head(rows)[:, 0]))


@pytest.mark.parametrize("score", [-math.inf, -200.0, -20.0, 0.0, 20.0, 200.0])
def test_the_ends_are_finite(score: float) -> None:
    head = Head(1, 1)
    head.output.weight.data.zero_()
    head.output.bias.data.fill_(score)
    rows = torch.zeros(1, 49, 1)
    beliefs = MultipleInstance(head)(rows, torch.ones(1, 49).bool())
    for named in (True, False):
        loss = concept_loss(beliefs, torch.tensor([[named]]))
        assert torch.isfinite(loss)
        head.output.bias.grad = None
        loss.backward(retain_graph=True)
        assert not head.output.bias.grad.isnan().any()
    if score == -math.inf:
        assert float(beliefs.log_yes.detach().exp()) == pytest.approx(0, abs=1e-6)


def test_multi_label_is_the_best_row_or_the_mean() -> None:
    module = awake("multi-label")
    rows, mask = torch.randn(2, 4, 5), torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]).bool()
    with torch.no_grad():
        yes, no = module(rows, mask)
        for b in range(2):
            valid = rows[b, mask[b]]
            every = [module.head(row) for row in valid] + [module.head(valid.mean(0))]
            for w in range(3):
                p = 1 / (1 + math.exp(-max(float(z[w]) for z in every)))
                assert float(yes[b, w].exp()) == pytest.approx(p, abs=1e-5)
                assert float(no[b, w].exp()) == pytest.approx(1 - p, abs=1e-5)


def test_pooled_is_a_sigmoid_of_the_mean() -> None:
    module = awake("pooled", hidden=7)
    rows, mask = torch.randn(2, 4, 5), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool()
    with torch.no_grad():
        yes, _ = module(rows, mask)
        means = torch.stack([rows[0].mean(0), rows[1, :3].mean(0)])
        torch.testing.assert_close(yes.exp(), torch.sigmoid(module.head(means)))


@pytest.mark.parametrize("kind", KINDS)
def test_masked_rows_change_nothing(kind: Kind) -> None:
    module = awake(kind, hidden=6)
    rows = torch.randn(3, 4, 5)
    padded = torch.cat((rows, torch.full((3, 2, 5), 1e3)), dim=1)
    mask = torch.tensor([[True] * 4 + [False] * 2] * 3)
    with torch.no_grad():
        for one, other in zip(
            module(rows, torch.ones(3, 4).bool()), module(padded, mask), strict=True
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("kind", "rows"), [("multiple-instance", 49.0), ("pooled", 1.0)])
def test_an_untrained_extractor_says_the_prior(kind: Kind, rows: float) -> None:
    module = build(kind, 5, 3, hidden=0, dropout=0.0)
    module.head.output.weight.data.zero_()
    prior = torch.tensor([0.02, 0.5, 0.9])
    module.head.begin_at(prior, rows)
    with torch.no_grad():
        yes, _ = module(torch.zeros(1, 49, 5), torch.ones(1, 49).bool())
    torch.testing.assert_close(yes.exp()[0], prior)
    if rows == 49.0:  # sigmoid(b) = 1 - .98 ** (1 / 49)
        assert float(module.head.output.bias[0].detach()) == pytest.approx(-7.79, abs=0.005)


def test_a_column_that_never_changes_is_ignored() -> None:
    head = Head(2, 1)
    head.standardise(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0]))
    assert head.scale.tolist() == [0.5, 0.0]


def test_the_loss_is_the_cross_entropy() -> None:
    yes = torch.tensor([[0.25, 0.5]])
    targets = torch.tensor([[True, False]])
    loss = concept_loss(Beliefs(yes.log(), (1 - yes).log()), targets)
    assert float(loss) == pytest.approx(-math.log(0.25) - math.log(0.5))


@given(st.floats(min_value=-80, max_value=-1e-7))
def test_log_one_minus_exp_keeps_its_digits(x: float) -> None:
    value = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    found = log_one_minus_exp(value)
    exact = math.log(-math.expm1(x)) if x > -0.7 else math.log1p(-math.exp(x))
    assert float(found.detach()) == pytest.approx(exact, rel=1e-12)
    found.sum().backward()
    assert value.grad is not None
    assert float(value.grad) == pytest.approx(-1 / math.expm1(-x), rel=1e-9)


def test_how_an_extractor_begins() -> None:
    """Nearly silent at the output, torch's own scale in the hidden layer."""
    torch.manual_seed(0)
    module = build("multiple-instance", 400, 300, hidden=200, dropout=0.25)
    head = module.head
    output, hidden = head.output.weight.detach(), head.hidden.weight.detach()
    assert float(output.std()) == pytest.approx(0.001, rel=0.05)
    assert abs(float(output.mean())) < 1e-5
    bound = 1 / math.sqrt(400)
    assert float(hidden.abs().max()) == pytest.approx(bound, rel=0.01)
    assert float(hidden.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert (head.mean.tolist(), head.scale.tolist()) == ([0.0] * 400, [1.0] * 400)


class Recorded(torch.nn.Module):
    """In place of dropout: notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[torch.Tensor] = []

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.given.append(rows)
        return rows


@pytest.mark.parametrize("hidden", [0, 7])
def test_where_dropout_acts(hidden: int) -> None:
    """On the hidden layer after its ReLU, or on the standardised rows where there is none."""
    module = awake("multiple-instance", hidden=hidden)
    assert build("multiple-instance", 5, 3, hidden, 0.25).head.dropout.p == 0.25
    module.head.standardise(torch.full((5,), 0.5), torch.full((5,), 2.0))
    module.head.dropout = recorded = Recorded()
    rows = torch.randn(2, 4, 5)
    module(rows, torch.ones(2, 4).bool())
    expected = (rows - 0.5) / 2
    if hidden:
        expected = torch.relu(module.head.hidden(expected))
    (given,) = recorded.given
    torch.testing.assert_close(given, expected)


def test_doubts_are_summed_in_single_precision() -> None:
    """In bfloat16 a sum of many small doubts stands still."""

    class Half(Head):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return torch.full((*rows.shape[:-1], 2), -4.0, dtype=torch.bfloat16)

    module = MultipleInstance(Half(3, 2))
    _, log_no = module(torch.zeros(1, 2000, 3), torch.ones(1, 2000).bool())
    doubt = float(torch.nn.functional.softplus(torch.tensor(-4.0, dtype=torch.bfloat16)))
    assert log_no.dtype == torch.float32
    assert log_no[0].tolist() == pytest.approx([-2000 * doubt] * 2, rel=1e-5)
