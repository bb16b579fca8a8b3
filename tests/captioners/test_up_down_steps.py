"""Up-Down, a word at a time: no weights made anew, and the results of joined ones."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.captioners.recurrence import LstmState
from miacap.captioners.up_down import UpDownState
from miacap.decoding import beam, greedy

WIDTH = 40


class _Largest(TorchDispatchMode):
    """Notes the most numbers of any tensor that is no view of the module's own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        self.numbers = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        result = function(*arguments, **(options or {}))
        if isinstance(result, Tensor) and result.untyped_storage().data_ptr() not in self.own:
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("hypotheses", [1, 2])
def test_a_step_makes_nothing_as_large_as_its_weights(hypotheses: int) -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"words": WORDS, "region_width": REGION_WIDTH, "width": WIDTH}
    module = captioners.build("up-down", "plain", scorer=8, **sizes).eval()
    pictures, words = some_pictures(), some_words(len(some_pictures()), captions=hypotheses)
    with torch.no_grad():
        memory = module.encode(pictures)
        state = module.start(memory, hypotheses)
        with _Largest(module) as largest:
            module.step(memory, state, words[:, :, 0])
    # The smallest of the recurrent weights, far above what a few words need.
    assert 0 < largest.numbers < 4 * WIDTH * WIDTH


class Joined(nn.Module):
    """Up-Down, whose step is written out: W and U of both LSTMs side by side, one product each."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module
        self.encode, self.start = module.encode, module.start

    def step(self, memory: Any, state: Any, words: Tensor) -> tuple[Tensor, Any]:
        module = self.module
        attend, language = module.attend, module.language
        read = memory.rows * memory.mask.unsqueeze(2)
        mean = (read.sum(1) / memory.mask.sum(1, keepdim=True)).unsqueeze(1)
        h1, c1 = state.attend.hidden, state.attend.cell
        h2, c2 = state.language.hidden, state.language.cell
        x1 = torch.cat([module.embedding(words), mean.expand_as(h2), h2, h1], dim=2)
        h1, c1 = cell(x1 @ torch.cat([attend.inputs, attend.hidden], 1).T + attend.bias, c1)
        scores = module.attention.weigh(h1, memory.keys, memory.mask)
        x2 = torch.cat([scores @ memory.rows, h1, h2], dim=2)
        h2, c2 = cell(x2 @ torch.cat([language.inputs, language.hidden], 1).T + language.bias, c2)
        logits = h2 @ module.output.weight.T + module.output.bias
        return logits, UpDownState(LstmState(h1, c1), LstmState(h2, c2))


def cell(gates: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    i, f, o, g = gates.chunk(4, dim=2)
    after = f.sigmoid() * before + i.sigmoid() * g.tanh()
    return o.sigmoid() * after.tanh(), after


def test_a_step_gives_what_the_joined_weights_give() -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"words": WORDS, "region_width": REGION_WIDTH, "width": WIDTH}
    module = captioners.build("up-down", "plain", scorer=8, **sizes).double().eval()
    joined = Joined(module)
    pictures = some_pictures()
    words = some_words(len(pictures), captions=3)
    with torch.no_grad():
        memory = module.encode(pictures)
        ours = theirs = module.start(memory, 3)
        for time in range(words.shape[2]):
            found, ours = module.step(memory, ours, words[:, :, time])
            wanted, theirs = joined.step(memory, theirs, words[:, :, time])
            assert torch.allclose(found, wanted, atol=1e-12)
            for layer in ("attend", "language"):
                for part in ("hidden", "cell"):
                    one, other = (getattr(getattr(s, layer), part) for s in (ours, theirs))
                    assert torch.allclose(one, other, atol=1e-12)
    said, expected = (greedy(captioner, pictures, 8) for captioner in (module, joined))
    assert [h.words for h in said] == [h.words for h in expected]
    assert len({h.words for h in said}) > 1
    for wide in (2, 5):
        found, wanted = (beam(captioner, pictures, wide, 8) for captioner in (module, joined))
        for one, other in zip(found, wanted, strict=True):
            assert [h.words for h in one] == [h.words for h in other]
