"""Searches with Up-Down beside the toolkits' usual form: one photo, and a batch, beam 5.

    python benchmarks/searches.py [--json bench/searches.json] [--rounds 5]

The usual form: two ``nn.LSTMCell``, whose first reads word, picture and the other's state side by
side, and a memory that is repeated for each hypothesis. Both sides have the same weights (Up-Down
at its paper's sizes, 49 regions, 9,487 words, 20 words a caption) and the same beam; captions
must be equal. Both sides take turns on one thread.
"""

import argparse
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioners import LoopUpDown, build, drawn
from miacap.captioners.records import StateRecord
from miacap.captioners.recurrence import Recurrence
from miacap.decoding import beam
from miacap.pictures import Pictures
from pairs import Row, in_turns, save

BEAM, MAXIMUM, WIDTH = 5, 20, 1000


@dataclass
class Repeated:
    """A memory, and its rows repeated for each hypothesis, once a search."""

    tensors: tuple[Tensor, ...]
    wide: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def select(self, rows: Any) -> "Repeated":
        """Keep these pictures."""
        return Repeated(tuple(tensor[rows] for tensor in self.tensors))

    def times(self, hypotheses: int) -> tuple[Tensor, ...]:
        """Give each picture's rows as often as it has hypotheses."""
        if hypotheses not in self.wide:
            self.wide[hypotheses] = tuple(
                tensor.repeat_interleave(hypotheses, dim=0) for tensor in self.tensors
            )
        return self.wide[hypotheses]


@dataclass(frozen=True)
class Cells(StateRecord):
    """h and c of both cells."""

    attend: tuple[Tensor, Tensor]
    language: tuple[Tensor, Tensor]


class UsualUpDown(nn.Module):
    """The loop form, as a captioner that the beam can ask."""

    def __init__(self, inner: LoopUpDown) -> None:
        super().__init__()
        self.inner = inner

    def encode(self, pictures: Pictures) -> Repeated:
        """Project once a picture."""
        rows = torch.relu(self.inner.project(pictures.regions))
        return Repeated((self.inner.key(rows), rows.mean(dim=1), rows))

    def start(self, memory: Repeated, hypotheses: int = 1) -> Cells:
        """Zero states."""
        zeros = memory.tensors[2].new_zeros(len(memory), hypotheses, self.inner.width)
        return Cells((zeros, zeros), (zeros, zeros))

    def step(self, memory: Repeated, state: Cells, words: Tensor) -> tuple[Tensor, Cells]:
        """Read one word a hypothesis."""
        keys, pooled, rows = memory.times(words.shape[1])
        inner = self.inner
        one, two = (tuple(x.flatten(0, 1) for x in s) for s in (state.attend, state.language))
        x = torch.cat([two[0], pooled, inner.embedding(words.flatten())], dim=1)
        one = inner.attend(x, one)
        mixed = torch.tanh(keys + inner.query(one[0]).unsqueeze(1))
        weights = inner.score(mixed).squeeze(2).softmax(dim=1)
        context = torch.bmm(weights.unsqueeze(1), rows).squeeze(1)
        two = inner.language(torch.cat([context, one[0]], dim=1), two)
        first, second = (tuple(x.unflatten(0, words.shape) for x in s) for s in (one, two))
        return inner.output(two[0]).unflatten(0, words.shape), Cells(first, second)


def same_weights(ours: Any) -> LoopUpDown:
    """Give the loop form our weights."""
    loop = LoopUpDown(WIDTH)
    attention = ours.attention
    pairs = [
        (loop.embedding, ours.embedding, False),
        (loop.project, ours.feed.project, True),
        (loop.key, attention.key, False),
        (loop.query, attention.query, False),
        (loop.score, attention.score, False),
        (loop.output, ours.output, True),
    ]
    with torch.no_grad():
        for usual, own, has_bias in pairs:
            usual.weight.copy_(own.weight)
            if isinstance(usual, nn.Linear):
                usual.bias.copy_(own.bias) if has_bias else usual.bias.zero_()
        word, pooled, state = ours.attend.inputs.split(ours.attend.parts, dim=1)
        _fill(loop.attend, torch.cat([state, pooled, word], dim=1), ours.attend)
        _fill(loop.language, ours.language.inputs, ours.language)
    return loop


def _fill(cell: nn.LSTMCell, inputs: Tensor, own: Recurrence) -> None:
    """Ours are i, f, o, g; the cell's i, f, g, o."""
    cell.weight_ih.copy_(_gates(inputs))
    cell.weight_hh.copy_(_gates(own.hidden))
    cell.bias_ih.copy_(_gates(own.bias))
    cell.bias_hh.zero_()


def _gates(rows: Tensor) -> Tensor:
    i, f, o, g = rows.chunk(4)
    return torch.cat([i, f, g, o])


def searched(module: Any, pictures: Pictures) -> list[Any]:
    """The words of each picture's best caption."""
    found = beam(module, pictures, width=BEAM, maximum=MAXIMUM)
    return [best[0].words for best in found]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/searches.json"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours: Any = build("up-down", WIDTH).eval()
    usual = UsualUpDown(same_weights(ours)).eval()
    pictures, _, _ = drawn()
    rows = []
    for label, batch in (("1 photo", pictures.select([0])), (f"{len(pictures)} photos", pictures)):
        assert searched(usual, batch) == searched(ours, batch), "captions differ"
        sides = {
            "loop": partial(searched, usual, batch),
            "ours": partial(searched, ours, batch),
        }
        times = in_turns(sides, options.rounds)
        work = f"search with Up-Down, {label}, beam {BEAM}, {MAXIMUM} words"
        peer = "the usual loop, memory repeated"
        rows.append(Row(work, peer, times["ours"], times["loop"], note="equal captions"))
    save(options.json, rows)


if __name__ == "__main__":
    main()
