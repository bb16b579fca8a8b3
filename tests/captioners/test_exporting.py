"""What torch.export and torch.compile make of the refiner and of every captioner.

They run in a process of their own: the shape checker of the tests wraps every function, and
that is nothing to trace.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.pictures import Pictures
from miacap.refiner import MutualIterativeAttention

EVERY = [f"{name} {source}" for name in captioners.names() for source in captioners.sources(name)]
TINY: dict[str, Any] = {"width": 8, "heads": 2, "inner": 12}
FEW = ["refiner", "nic combined", "up-down plain"]


def run(*cases: str) -> None:
    """Run cases in a process; raises AssertionError that shows what it wrote."""
    source = Path(captioners.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, *cases],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
    )
    said = done.stdout.splitlines()
    assert said == [f"{case}: same" for case in cases], done.stdout + done.stderr[-3000:]


def test_the_refiner_and_some_captioners_can_be_exported_and_compiled() -> None:
    run(*FEW)


@pytest.mark.parametrize("case", EVERY)
def test_nothing_asks_a_tensor_for_its_numbers(case: str) -> None:
    """On the meta device there are shapes alone: what needs a number cannot be exported."""
    name, source = case.split()
    with torch.device("meta"):
        module = captioners.build(name, source, words=WORDS, region_width=REGION_WIDTH, **TINY)
    words = some_words(3)
    logits, trace = module(some_pictures().to("meta"), words.to("meta"), trace=True)
    assert logits.shape == (*words.shape, WORDS) and logits.device.type == "meta"
    assert all(step.weights.device.type == "meta" for step in trace.refiner)
    memory = module.encode(some_pictures().to("meta"))
    logits, _ = module.step(memory, module.start(memory, 2), words[:, :, 0].to("meta"))
    assert logits.shape == (3, 2, WORDS) and logits.device.type == "meta"


@pytest.mark.slow
def test_a_refiner_of_unequal_rows_can_be_exported_and_compiled() -> None:
    run("refiner aligned")


@pytest.mark.slow
@pytest.mark.parametrize("name", captioners.names())
def test_every_captioner_and_source_can_be_exported_and_compiled(name: str) -> None:
    run(*(case for case in EVERY if case.split()[0] == name))


def _refiner(rows: str) -> tuple[Any, tuple[Any, ...]]:
    module = MutualIterativeAttention(8, 2, 12, rows=rows)  # type: ignore[arg-type]
    concepts = 4 if rows == "match" else 5
    masks = [torch.arange(n) < torch.tensor([[n], [n - 1]]) for n in (4, concepts)]
    features = (torch.randn(2, 4, 8), torch.randn(2, concepts, 8))
    return module, (*features, *masks, None, True)


def _captioner(name: str, source: str) -> tuple[Any, tuple[Any, ...]]:
    pictures, words = some_pictures(), some_words(3, length=3)

    class OfTensors(torch.nn.Module):
        """A captioner that takes a batch's tensors, and gives logits and the trace."""

        def __init__(self) -> None:
            super().__init__()
            self.captioner = captioners.build(
                name, source, words=WORDS, region_width=REGION_WIDTH, **TINY
            )

        def forward(self, *tensors: torch.Tensor) -> Any:
            seen = Pictures(*tensors[:4], names=pictures.names)
            return self.captioner(seen, tensors[4], trace=True)

    tensors = (
        pictures.regions,
        pictures.region_mask,
        pictures.concepts,
        pictures.concept_mask,
        words,
    )
    return OfTensors(), tensors


def _check(case: str) -> None:
    """See that exported (both ways) and compiled results are those of the module, kind by kind."""
    torch.manual_seed(0)
    name, *rest = case.split()
    if name == "refiner":
        module, inputs = _refiner(rest[0] if rest else "match")
    else:
        module, inputs = _captioner(name, rest[0])
    module.eval()
    wanted = module(*inputs)
    for strict in (False, True) if name == "refiner" else (False,):
        exported = torch.export.export(module, inputs, strict=strict).module()
        _same(wanted, exported(*inputs))
    _same(wanted, torch.compile(module, fullgraph=True, backend="eager")(*inputs))
    print(f"{case}: same", flush=True)


def _same(wanted: Any, result: Any) -> None:
    assert type(result) is type(wanted), type(result)
    for one, other in zip(tree_leaves(wanted), tree_leaves(result), strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(other, one, atol=1e-5, rtol=0.0)
        else:
            assert one == other, (one, other)


if __name__ == "__main__":
    for case in sys.argv[1:]:
        _check(case)
