"""Self-critical steps in bfloat16: captions are searched first, and gradients arrive all the same.

torch before 2.11 keeps the weights that a search cast, without a history, for what follows in the
same autocast; no weight would have a gradient there. What torch is installed here may not do so,
and so it is asked too whether that memory was cleared.
"""

from typing import Any

import pytest
import torch

from miacap import runs
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.data.batches import Batch
from miacap.decoding import SearchSettings, beam, greedy, sample
from miacap.pictures import collate
from miacap.runs import SelfCritical
from miacap.runs.folder import build

from .small import WIDTH, settings

WORDS = 12
ROWS = torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(3))
PICTURES = collate(["a", "b"], list(ROWS.unbind()))
SEARCHES = {
    "greedy": lambda module: greedy(module, PICTURES, 4),
    "sample": lambda module: sample(module, PICTURES, 2, 4),
    "beam": lambda module: beam(module, PICTURES, 2, 4),
}


def captioner(name: str, **sizes: object) -> Any:
    torch.manual_seed(1)
    run = runs.RunSettings(**{**vars(settings(name, "plain", **sizes)), "region_width": WIDTH})
    return build(run, WORDS)


@pytest.mark.parametrize("search", list(SEARCHES))
def test_no_search_leaves_weights_behind_that_autocast_would_use_again(
    search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, cleared = captioner("up-down"), []
    clear = torch.clear_autocast_cache
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: (clear(), cleared.append(True)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        SEARCHES[search](module)
        assert cleared


class Worth:
    """Stands for `Reward`."""

    def scores(self, names: Any, words: Any) -> Any:
        return {"worth": words.double().mean(dim=2).numpy()}

    def total(self, scores: Any) -> Any:
        return scores["worth"]

    def told(self, *arguments: Any) -> dict[str, tuple[float, float]]:
        return {}


@pytest.mark.parametrize("name", ["up-down", "transformer"])
@pytest.mark.parametrize("baseline", ["mean", "greedy", "beam"])
def test_every_parameter_has_the_gradient_that_it_has_in_single_precision(
    name: str, baseline: str
) -> None:
    found: dict[bool, dict[str, torch.Tensor]] = {}
    none: Any = None
    search = SearchSettings(beam=1, maximum_words=4, minimum_words=4)
    objective = SelfCritical(baseline=baseline, samples=3)  # type: ignore[arg-type]
    empty = torch.zeros(2, 0, 0, dtype=torch.long)
    words = torch.randint(4, WORDS, (2, 3, 4), generator=torch.Generator().manual_seed(2))
    for half in (True, False):
        module = captioner(name, dropout=0.0)
        task = SelfCriticalTask(module, none, Worth(), none, search, objective)  # type: ignore[arg-type]
        drawn = task._hypotheses

        def same(pictures: Any, drawn: Any = drawn) -> torch.Tensor:
            drawn(pictures)  # draws, and then both learn from the same words
            return words

        task._hypotheses = same  # type: ignore[method-assign]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss, _ = task.loss(module.train(), Batch(PICTURES, empty, empty))
        loss.backward()
        found[half] = {key: value.grad for key, value in module.named_parameters()}
    whole = max(float(wanted.norm()) for wanted in found[False].values() if wanted is not None)
    for key, wanted in found[False].items():
        gradient = found[True][key]
        assert (gradient is None) == (wanted is None), key
        if wanted is not None and float(wanted.norm()) > 1e-5:
            # bfloat16 has 8 bits, and small gradients are sums of large ones.
            assert float((gradient - wanted).norm()) < 0.05 * whole, key
            assert float(gradient.norm()) > 0.5 * float(wanted.norm()), key
