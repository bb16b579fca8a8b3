"""Training steps of captioners beside the toolkits' usual loops: forward, backward, Adam.

    python benchmarks/captioners.py [--json bench/captioners.json] [--rounds 5]

The usual form, written out below: an ``nn.LSTMCell`` loop over words, regions projected once
and each picture then repeated five times, the output layer once a word. Up-Down is at its
paper's sizes, the others at MIA's: 10 pictures of 49 regions, 2,048 wide, 5 captions each of 17
input words (BOS and 16), 9,487 words, float32, no dropout on either side, the same Adam.
Beside it ours under bfloat16's autocast, against the same float32 loop. All sides take
turns on one thread.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from miacap import captioners
from miacap.pictures import Pictures, collate
from miacap.training import optimisers
from miacap.training.settings import TrainingSettings
from pairs import Row, in_turns, save

PICTURES, CAPTIONS, LENGTH, REGIONS, RAW, WORDS = 10, 5, 17, 49, 2048, 9487


def repeated(x: Tensor) -> Tensor:
    """Repeat each picture's tensor for each of its captions."""
    return x.repeat_interleave(CAPTIONS, dim=0)


class LoopUpDown(nn.Module):
    """Up-Down, a word at a time."""

    def __init__(self, width: int = 1000, scorer: int = 512) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(WORDS, width)
        self.project = nn.Linear(RAW, width)
        self.key = nn.Linear(width, scorer)
        self.query = nn.Linear(width, scorer)
        self.score = nn.Linear(scorer, 1)
        self.attend = nn.LSTMCell(3 * width, width)
        self.language = nn.LSTMCell(2 * width, width)
        self.output = nn.Linear(width, WORDS)

    def forward(self, pictures: Pictures, words: Tensor) -> Tensor:
        """Give logits, B C T W."""
        rows = torch.relu(self.project(pictures.regions))
        keys, pooled = repeated(self.key(rows)), repeated(rows.mean(dim=1))
        rows = repeated(rows)
        zeros = rows.new_zeros(len(rows), self.width)
        one, two, found = (zeros, zeros), (zeros, zeros), []
        for word in words.flatten(0, 1).unbind(1):
            x = torch.cat([two[0], pooled, self.embedding(word)], dim=1)
            one = self.attend(x, one)
            mixed = torch.tanh(keys + self.query(one[0]).unsqueeze(1))
            weights = self.score(mixed).squeeze(2).softmax(dim=1)
            context = torch.bmm(weights.unsqueeze(1), rows).squeeze(1)
            two = self.language(torch.cat([context, one[0]], dim=1), two)
            found.append(self.output(two[0]))
        return torch.stack(found, dim=1).unflatten(0, words.shape[:2])


class LoopOnce(nn.Module):
    """NIC (``concepts`` False) and LSTM-A5 (True): the picture before BOS."""

    def __init__(self, width: int, concepts: bool) -> None:
        super().__init__()
        self.width, self.concepts = width, concepts
        self.embedding = nn.Embedding(WORDS, width)
        self.project = nn.Linear(RAW, width)
        self.image = nn.Linear(width, width)
        self.always = nn.Linear(width, width) if concepts else None
        self.cell = nn.LSTMCell(width, width)
        self.output = nn.Linear(width, WORDS)

    def forward(self, pictures: Pictures, words: Tensor) -> Tensor:
        """Give logits, B C T W."""
        image = self.image(torch.relu(self.project(pictures.regions)).mean(dim=1))
        zeros = image.new_zeros(PICTURES * CAPTIONS, self.width)
        state, found = self.cell(repeated(image), (zeros, zeros)), []
        added: Tensor | float = 0.0
        if self.always is not None:
            added = repeated(self.always(self.embedding(pictures.concepts).mean(dim=1)))
        for word in words.flatten(0, 1).unbind(1):
            state = self.cell(self.embedding(word) + added, state)
            found.append(self.output(state[0]))
        return torch.stack(found, dim=1).unflatten(0, words.shape[:2])


class LoopAttFcn(nn.Module):
    """ATT-FCN, both attentions a word at a time; its output layer is the word table."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(WORDS, width)
        self.project = nn.Linear(RAW, width)
        self.image = nn.Linear(width, width)
        names = ("input_key", "output_key", "input", "output")
        self.maps = nn.ModuleDict({n: nn.Linear(width, width, bias=False) for n in names})
        self.shares = nn.ParameterList(torch.ones(width) for _ in range(2))
        self.cell = nn.LSTMCell(width, width)

    def forward(self, pictures: Pictures, words: Tensor) -> Tensor:
        """Give logits, B C T W."""
        image = self.image(torch.relu(self.project(pictures.regions)).mean(dim=1))
        rows = self.embedding(pictures.concepts)
        ends = rows.tanh()
        keys, end_keys = self.maps["input_key"](rows), self.maps["output_key"](ends)
        rows, ends, keys, end_keys = (repeated(x) for x in (rows, ends, keys, end_keys))
        zeros = image.new_zeros(PICTURES * CAPTIONS, self.width)
        state, found = self.cell(repeated(image), (zeros, zeros)), []
        for word in words.flatten(0, 1).unbind(1):
            x = self.embedding(word)
            x = self.maps["input"](x + self.shares[0] * _read(x, keys, rows))
            state = self.cell(x, state)
            mixed = state[0] + self.shares[1] * _read(state[0], end_keys, ends)
            found.append(nn.functional.linear(self.maps["output"](mixed), self.embedding.weight))
        return torch.stack(found, dim=1).unflatten(0, words.shape[:2])


def _read(query: Tensor, keys: Tensor, rows: Tensor) -> Tensor:
    weights = torch.bmm(keys, query.unsqueeze(2)).squeeze(2).softmax(dim=1)
    return torch.bmm(weights.unsqueeze(1), rows).squeeze(1)


class LoopTransformer(nn.Module):
    """Our Transformer's own layers as a loop: every picture repeated, ``step`` a word."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build("transformer", 512)

    def forward(self, pictures: Pictures, words: Tensor) -> Tensor:
        """Give logits, B C T W."""
        flat = words.flatten(0, 1).unsqueeze(1)
        places = [place for place in range(PICTURES) for _ in range(CAPTIONS)]
        memory, found = self.inner.encode(pictures).select(places), []
        state = self.inner.start(memory)
        for word in flat.unbind(2):
            logits, state = self.inner.step(memory, state, word)
            found.append(logits)
        return torch.stack(found, dim=2).view(*words.shape, -1)


def build(name: str, width: int) -> nn.Module:
    """Build ours, plain and without dropout."""
    sizes: dict[str, Any] = {"width": width, "dropout": 0.0}
    if name == "transformer":
        sizes["layer_dropout"] = 0.0
    module: nn.Module = captioners.build(name, "plain", words=WORDS, region_width=RAW, **sizes)
    return module


SIDES: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "up-down": (1000, LoopUpDown),
    "nic": (512, lambda: LoopOnce(512, concepts=False)),
    "att-fcn": (512, LoopAttFcn),
    "lstm-a5": (1024, lambda: LoopOnce(1024, concepts=True)),
    "transformer": (512, LoopTransformer),
}


def drawn() -> tuple[Pictures, Tensor, Tensor]:
    """Draw pictures, input words and targets, all of full length."""
    generator = torch.Generator().manual_seed(0)
    pictures = collate(
        [str(place) for place in range(PICTURES)],
        [torch.randn(REGIONS, RAW, generator=generator).relu() for _ in range(PICTURES)],
        scores=[torch.rand(1000, generator=generator) for _ in range(PICTURES)],
        concept_words=torch.arange(4, 1004),
    )
    drawn_words = torch.randint(4, WORDS, (2, PICTURES, CAPTIONS, LENGTH), generator=generator)
    return pictures, drawn_words[0], drawn_words[1]


def stepper(module: nn.Module, low: bool = False) -> Callable[[], None]:
    """A call that trains one step, `low` under bfloat16."""
    optimiser = optimisers.build(module, TrainingSettings())
    pictures, words, targets = drawn()

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            logits = module(pictures, words)
            loss = cross_entropy(logits.flatten(0, 2), targets.flatten())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def measure(name: str, rounds: int) -> list[Row]:
    """Time a step of the loop form, of ours, and of ours under bfloat16."""
    width, loop = SIDES[name]
    torch.manual_seed(0)
    sides = {
        "loop": stepper(loop()),
        "float32": stepper(build(name, width)),
        "bfloat16": stepper(build(name, width), low=True),
    }
    times = in_turns(sides, rounds)
    bars = {"float32": "2.0", "bfloat16": "3.5"} if name == "up-down" else {}
    work = f"training step of {name}, {PICTURES} x {CAPTIONS} captions"
    peer = "the usual loop over words, float32"
    return [
        Row(work, peer, times[kind], times["loop"], bar=bars.get(kind, ""), note=kind)
        for kind in ("float32", "bfloat16")
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/captioners.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", default=list(SIDES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for name in options.names for row in measure(name, options.rounds)]
    save(options.json, rows)


if __name__ == "__main__":
    main()
