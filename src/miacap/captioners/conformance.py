"""What every captioner must do, as a stream of checks that anyone can run over theirs.

    @pytest.mark.parametrize("check", conformance.checks("mine", width=16), ids=str)
    def test_mine_conforms(check):
        check()

A check raises AssertionError with a sentence. Captioners are built tiny and, so that sums in
another order do not matter, in double precision; the pictures have unequal numbers of rows.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from miacap.captioners.contract import Captioner, Memory, State, Trace
from miacap.captioners.registry import build, reads, regulariser, sources
from miacap.pictures import Pictures, collate
from miacap.settings import to_json
from miacap.text.vocabulary import BOS, PAD

__all__ = ["Check", "checks", "some_pictures", "some_words"]

WORDS, REGION_WIDTH, CONCEPTS = 23, 6, 15
CLOSE = {"atol": 1e-9, "rtol": 0.0}


@dataclass(frozen=True)
class Check:
    """One promise, for one captioner and one source."""

    captioner: str
    source: str
    what: str
    test: "Callable[[Check], None]"
    sizes: tuple[tuple[str, Any], ...]

    def __call__(self) -> None:
        """Check it; raises AssertionError."""
        self.test(self)

    def __str__(self) -> str:
        return f"{self.captioner}-{self.source}-{self.what}"

    def build(self) -> Any:
        """Build the captioner in eval mode, the same each time."""
        module = self.fresh().eval()
        with torch.no_grad():  # no parameter at a value (0 or 1) that would hide a mistake
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        return module

    def fresh(self) -> Any:
        """Build the captioner as training begins with it, the same each time."""
        torch.manual_seed(1)
        settings = {"words": WORDS, "region_width": REGION_WIDTH, **dict(self.sizes)}
        return build(self.captioner, self.source, **settings).double()


def checks(name: str, **sizes: Any) -> Iterator[Check]:
    """Give every check of a registered captioner, source by source.

    Args:
        name: a registered name.
        sizes: small ones, e.g. width=16, for speed.
    """
    for source in sources(name):
        for what, test in _CHECKS.items():
            yield Check(name, source, what, test, tuple(sizes.items()))


def some_pictures(count: int = 3, seed: int = 0, aligned: bool = False) -> Pictures:
    """Draw pictures of unequal rows; with ``aligned`` as many concepts each, whatever the rows."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [2 + (place * 2 + seed) % 4 for place in range(count)]
    return collate(
        [f"{seed}-{place}" for place in range(count)],
        [torch.randn(size, REGION_WIDTH, generator=generator) for size in sizes],
        scores=[torch.rand(CONCEPTS, generator=generator) for _ in sizes],
        concept_words=torch.arange(5, 5 + CONCEPTS),
        rows="aligned" if aligned else "match",
        concepts=4 if aligned else None,
    )


def some_words(pictures: int, captions: int = 2, length: int = 5, seed: int = 0) -> Tensor:
    """Draw captions that start with BOS: B x C x T."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(4, WORDS, (pictures, captions, length), generator=generator)
    words[:, :, 0] = BOS
    return words


def _close(one: Tensor, other: Tensor, sentence: str) -> None:
    assert one.shape == other.shape, f"{sentence} Shapes are {one.shape} and {other.shape}."
    gap = (one - other).abs().max().item() if one.numel() else 0.0
    assert gap < 1e-9, f"{sentence} They differ by {gap:.3g}."


def _stepped(captioner: Captioner[Any, Any], memory: Any, words: Tensor) -> Tensor:
    state, found = captioner.start(memory, words.shape[1]), []
    for time in range(words.shape[2]):
        logits, state = captioner.step(memory, state, words[:, :, time])
        found.append(logits)
    return torch.stack(found, dim=2)


def _batches(captioner: Any) -> Iterator[Pictures]:
    yield some_pictures()
    if captioner.sizes.rows == "aligned":
        yield some_pictures(aligned=True)


def _fulfils_the_contract(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    assert isinstance(captioner, nn.Module), "A captioner is an nn.Module."
    assert isinstance(captioner, Captioner), "A method of the contract is missing."
    memory = captioner.encode(pictures)
    assert isinstance(memory, Memory) and len(memory) == 3, "len(memory) is the number of pictures."
    state = captioner.start(memory, 2)
    assert isinstance(state, State), "A State offers select and reorder."
    logits, _ = captioner.step(memory, state, words[:, :, 0])
    assert logits.shape == (3, 2, WORDS), f"step gives B K W, not {tuple(logits.shape)}."
    logits = captioner(pictures, words)
    assert logits.shape == (3, 2, 5, WORDS), f"forward gives B C T W, not {tuple(logits.shape)}."
    assert bool(logits.isfinite().all()), "Logits are finite."


def _forward_equals_steps(check: Check) -> None:
    captioner = check.build()
    for pictures in _batches(captioner):
        for captions, length in ((2, 5), (1, 1)):
            words = some_words(len(pictures), captions, length)
            stepped = _stepped(captioner, captioner.encode(pictures), words)
            _close(captioner(pictures, words), stepped, "forward equals repeated step.")


def _words_see_no_later_word(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    other = words.clone()
    other[0, 0, 3:] = (other[0, 0, 3:] + 1) % 4
    other[:, 1] = some_words(3, seed=9)[:, 1]
    one, two = captioner(pictures, words), captioner(pictures, other)
    _close(one[:, 0, :3], two[:, 0, :3], "Logits depend on no later word and no other caption.")
    _close(one[1:, 0], two[1:, 0], "Logits depend on no other picture's words.")
    assert not torch.equal(one[0, 0, 3:], two[0, 0, 3:]), "Logits depend on the words so far."


def _pictures_stand_alone(check: Check) -> None:
    captioner = check.build()
    for pictures in _batches(captioner):
        words = some_words(3)
        together = captioner(pictures, words)
        for place in range(3):
            alone = captioner(_trimmed(pictures.select([place])), words[place : place + 1])
            _close(alone[0], together[place], "A picture's logits need no padding and no company.")


def _trimmed(pictures: Pictures) -> Pictures:
    regions, concepts = int(pictures.region_mask.sum()), int(pictures.concept_mask.sum())
    return Pictures(
        regions=pictures.regions[:, :regions],
        region_mask=pictures.region_mask[:, :regions],
        concepts=pictures.concepts[:, :concepts],
        concept_mask=pictures.concept_mask[:, :concepts],
        names=pictures.names,
        concept_scores=pictures.concept_scores,
    )


def _padding_holds_anything(check: Check) -> None:
    captioner, words = check.build(), some_words(3)
    for pictures in _batches(captioner):
        dirty = replace(
            pictures,
            regions=pictures.regions.masked_fill(~pictures.region_mask[..., None], 1e6),
            concepts=pictures.concepts.masked_fill(~pictures.concept_mask, 7),
        )
        _close(captioner(dirty, words), captioner(pictures, words), "Padded rows change nothing.")


def _the_picture_matters(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(1).expand(3, -1, -1)
    logits = captioner(pictures, words)
    gaps = [(logits[a] - logits[b]).abs().max() for a, b in itertools.combinations(range(3), 2)]
    assert min(gaps) > 1e-3, "Another picture gives other logits."


def _hypotheses_reorder(check: Check) -> None:
    captioner, pictures = check.build(), some_pictures()
    memory, words = captioner.encode(pictures), some_words(3, captions=3)
    with torch.no_grad():
        _, state = captioner.step(memory, captioner.start(memory), words[:, :1, 0])
        state = state.reorder(torch.zeros(3, 3, dtype=torch.long))
        _, state = captioner.step(memory, state, words[:, :, 1])
        parents = torch.tensor([[2, 0], [1, 1], [0, 2]])
        logits, _ = captioner.step(memory, state.reorder(parents), words[:, :2, 2])
        for picture, hypothesis in itertools.product(range(3), range(2)):
            history = words[picture, parents[picture, hypothesis], 1]
            caption = torch.stack([words[picture, 0, 0], history, words[picture, hypothesis, 2]])
            whole = captioner(pictures.select([picture]), caption.view(1, 1, 3))
            sentence = "reorder lets each hypothesis continue the one that it names."
            _close(logits[picture, hypothesis], whole[0, 0, 2], sentence)


def _pictures_leave(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    memory = captioner.encode(pictures)
    _, state = captioner.step(memory, captioner.start(memory, 2), words[:, :, 0])
    rows = torch.tensor([2, 0])
    kept, _ = captioner.step(memory.select(rows), state.select(rows), words[rows, :, 1])
    every, _ = captioner.step(memory, state, words[:, :, 1])
    _close(kept, every[rows], "select keeps the pictures that it names, in that order.")
    assert kept.requires_grad, "select keeps gradients."


def _gradients_arrive(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    logits = captioner(pictures, words)
    torch.manual_seed(2)
    (logits.log_softmax(-1) * torch.rand_like(logits)).sum().backward()
    for name, parameter in captioner.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} gets a gradient, or is frozen."
            assert bool(parameter.grad.isfinite().all()), f"The gradient of {name} is finite."
            # Softmax ignores what it adds to a whole row of scores: a key's bias.
            live = name.endswith("key.bias") or bool(parameter.grad.abs().max() > 0)
            assert live, f"The gradient of {name} is not zero everywhere."


def _dropout_is_for_training(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    one, two = captioner(pictures, words), captioner(pictures, words)
    assert torch.equal(one, two), "In eval mode the same input gives the same logits."
    captioner.train()
    torch.manual_seed(3)
    one = captioner(pictures, words)
    torch.manual_seed(3)
    two = captioner(pictures, words)
    assert torch.equal(one, two), "Under a seed training is repeatable."


def _saved_is_loaded(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    again = build(**to_json(captioner.sizes)).double().eval()
    again.load_state_dict(captioner.state_dict())
    one, two = captioner(pictures, words), again(pictures, words)
    assert torch.equal(one, two), "build(**sizes) and the weights give the same captioner."


def _traces_are_shares(check: Check) -> None:
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    logits, trace = captioner(pictures, words, trace=True)
    assert isinstance(trace, Trace), "trace=True gives logits and a Trace."
    _close(logits, captioner(pictures, words), "A trace changes no logits.")
    for name, attention in trace.attentions.items():
        weights = attention.weights
        assert weights.shape[:3] == words.shape, f"Attention {name!r} is B C T R."
        _close(weights.sum(-1), torch.ones_like(weights[..., 0]), f"Rows of {name!r} sum to 1.")
        masks = {
            "regions": pictures.region_mask,
            "concepts": pictures.concept_mask,
            "pairs": pictures.concept_mask,
            "both": torch.cat([pictures.region_mask, pictures.concept_mask], 1),
        }
        padded = ~masks[attention.over][:, None, None].expand_as(weights)
        assert not weights[padded].any(), f"Attention {name!r} leaves padded rows out."
        if padded.shape[-1] > 1:
            assert weights.requires_grad, f"Attention {name!r} keeps gradients."
    for name, gate in trace.gates.items():
        assert gate.shape == words.shape, f"Gate {name!r} is B C T."
        assert bool(((gate >= 0) & (gate <= 1)).all()), f"Gate {name!r} is a share."
    sizes = to_json(captioner.sizes)
    refined = sizes["source"] in ("regions", "concepts", "combined", "both")
    refined = refined and sizes.get("iterations") != 0
    assert bool(trace.refiner) == refined, "The refiner's steps are in the trace."


def _half_precision_is_close(check: Check) -> None:
    captioner, pictures, words = check.build().float(), some_pictures(), some_words(3)
    exact = captioner(pictures, words)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = captioner(pictures, words)
    rough.float().square().sum().backward()
    gap = (rough.float() - exact).abs().max().item()
    assert gap < 0.1 * (1 + exact.abs().max().item()), f"bfloat16 is close; it is off by {gap:.2g}."
    for name, parameter in captioner.named_parameters():
        if parameter.grad is not None:
            assert bool(parameter.grad.isfinite().all()), (
                f"In bfloat16 {name} gets finite gradients."
            )


def _what_is_read_moves_the_logits(check: Check) -> None:
    said = reads(check.captioner, check.source, **dict(check.sizes))
    unknown = sorted(said - set(_OTHERS))
    assert not unknown, f"reads names {', '.join(_OTHERS)} alone, not {', '.join(unknown)}."
    captioner, words = check.fresh().eval(), some_words(3)
    for pictures in _batches(captioner):
        _unread_rows_change_nothing(captioner, pictures, words, said)
        _train_a_step(captioner, pictures, words)  # a gate may begin at exactly 0
        _unread_rows_change_nothing(captioner, pictures, words, said)
        logits = captioner(pictures, words)
        for what in said:
            gap = (captioner(_OTHERS[what](pictures), words) - logits).abs().max()
            assert gap > 1e-9, f"reads names {what!r}: after a step, others give other logits."


def _unread_rows_change_nothing(
    captioner: Any, pictures: Pictures, words: Tensor, said: frozenset[str]
) -> None:
    logits = captioner(pictures, words)
    for what, changed in _OTHERS.items():
        if what not in said:
            same = torch.equal(captioner(changed(pictures), words), logits)
            assert same, f"reads does not name {what!r}: others change nothing."
    bare = pictures
    if "concepts" not in said:
        none = pictures.concepts[:, :0]
        bare = replace(bare, concepts=none, concept_mask=none.bool())
    if "scores" not in said:
        bare = replace(bare, concept_scores=None)
    same = torch.equal(captioner(bare, words), logits)
    assert same, "What reads does not name may be absent."


def _other_regions(pictures: Pictures) -> Pictures:
    rows = (pictures.regions + 1.0).masked_fill(~pictures.region_mask[..., None], 0.0)
    return replace(pictures, regions=rows)


def _other_concepts(pictures: Pictures) -> Pictures:
    words = 5 + (pictures.concepts - 5 + 1) % CONCEPTS
    return replace(pictures, concepts=words.masked_fill(~pictures.concept_mask, PAD))


def _other_scores(pictures: Pictures) -> Pictures:
    assert pictures.concept_scores is not None
    return replace(pictures, concept_scores=1.0 - pictures.concept_scores)


_OTHERS: dict[str, Callable[[Pictures], Pictures]] = {
    "regions": _other_regions,
    "concepts": _other_concepts,
    "scores": _other_scores,
}


def _train_a_step(captioner: Any, pictures: Pictures, words: Tensor) -> None:
    optimiser = torch.optim.Adam(captioner.parameters(), lr=0.01)
    optimiser.zero_grad()
    shares = captioner(pictures, words)[:, :, :-1].log_softmax(-1)
    (-shares.gather(3, words[:, :, 1:, None])).mean().backward()
    optimiser.step()


def _a_regulariser_costs_what_is_predicted(check: Check) -> None:
    cost = regulariser(check.captioner)
    if cost is None:
        return
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    real = torch.ones_like(words, dtype=torch.bool)
    real[0, 1, 3:] = False
    real[2, 1] = False
    _, trace = captioner(pictures, words, trace=True)
    costs = cost(trace, real)
    assert costs.shape == words.shape[:2], f"A regulariser gives B C, not {tuple(costs.shape)}."
    assert bool(costs.isfinite().all()), "A regulariser is finite."
    assert costs[2, 1] == 0, "A regulariser of a caption without words is 0."
    other = words.clone()
    other[0, 1, 3:] = (other[0, 1, 3:] + 1) % 4
    _, changed = captioner(pictures, other, trace=True)
    _close(cost(changed, real)[0, 1], costs[0, 1], "A regulariser leaves masked words out.")
    costs.sum().backward()  # type: ignore[no-untyped-call]
    slopes = [p.grad for p in captioner.parameters() if p.grad is not None]
    assert all(bool(slope.isfinite().all()) for slope in slopes), "Its gradients are finite."
    assert any(bool(slope.any()) for slope in slopes), "Its gradients reach the captioner."


_CHECKS: dict[str, Callable[[Check], None]] = {
    "contract": _fulfils_the_contract,
    "forward-is-steps": _forward_equals_steps,
    "no-later-word": _words_see_no_later_word,
    "alone": _pictures_stand_alone,
    "padding": _padding_holds_anything,
    "picture-matters": _the_picture_matters,
    "reorder": _hypotheses_reorder,
    "select": _pictures_leave,
    "gradients": _gradients_arrive,
    "dropout": _dropout_is_for_training,
    "saved": _saved_is_loaded,
    "trace": _traces_are_shares,
    "half-precision": _half_precision_is_close,
    "reads": _what_is_read_moves_the_logits,
    "regulariser": _a_regulariser_costs_what_is_predicted,
}
