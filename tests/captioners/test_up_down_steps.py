"""Up-Down, a word at a time: no step makes its weights anew."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words

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
