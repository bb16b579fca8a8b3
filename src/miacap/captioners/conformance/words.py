"""What every search relies on: words, pictures and hypotheses keep to themselves."""

import itertools
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from miacap.captioners.conformance.check import Check, batches, close
from miacap.captioners.conformance.drawing import (
    WORDS,
    some_pictures,
    some_words,
)
from miacap.captioners.contract import Captioner, Memory, State
from miacap.pictures import Pictures

__all__ = [
    "forward_equals_steps",
    "fulfils_the_contract",
    "hypotheses_reorder",
    "padding_holds_anything",
    "pictures_leave",
    "pictures_stand_alone",
    "the_picture_matters",
    "words_see_no_later_word",
]


def fulfils_the_contract(check: Check) -> None:
    """It has the methods, and they give what they should."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    complete = isinstance(captioner, Captioner)
    assert complete, "A method of the contract is missing."
    memory = captioner.encode(pictures)
    assert isinstance(memory, Memory) and len(memory) == 3, "len(memory) is the number of pictures."
    state = captioner.start(memory, 2)
    assert isinstance(state, State), "A State offers select and reorder."
    logits, _ = captioner.step(memory, state, words[:, :, 0])
    assert logits.shape == (3, 2, WORDS), f"step gives B K W, not {tuple(logits.shape)}."
    logits = captioner(pictures, words)
    assert logits.shape == (3, 2, 5, WORDS), f"forward gives B C T W, not {tuple(logits.shape)}."
    assert bool(logits.isfinite().all()), "Logits are finite."


def forward_equals_steps(check: Check) -> None:
    """Teacher forcing is the same as word after word."""
    captioner = check.build()
    for pictures in batches(captioner):
        for captions, length in ((2, 5), (1, 1)):
            words = some_words(len(pictures), captions, length)
            stepped = _stepped(captioner, captioner.encode(pictures), words)
            close(captioner(pictures, words), stepped, "forward equals repeated step.")


def words_see_no_later_word(check: Check) -> None:
    """A word knows those before it in its own caption alone."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    other = words.clone()
    other[0, 0, 3:] = (other[0, 0, 3:] + 1) % 4
    other[:, 1] = some_words(3, seed=9)[:, 1]
    one, two = captioner(pictures, words), captioner(pictures, other)
    close(one[:, 0, :3], two[:, 0, :3], "Logits depend on no later word and no other caption.")
    close(one[1:, 0], two[1:, 0], "Logits depend on no other picture's words.")
    assert not torch.equal(one[0, 0, 3:], two[0, 0, 3:]), "Logits depend on the words so far."


def pictures_stand_alone(check: Check) -> None:
    """A batch changes nothing for any of its pictures."""
    captioner = check.build()
    for pictures in batches(captioner):
        words = some_words(3)
        together = captioner(pictures, words)
        for index in range(3):
            alone = captioner(_trimmed(pictures.select([index])), words[index : index + 1])
            close(alone[0], together[index], "A picture's logits need no padding and no company.")


def padding_holds_anything(check: Check) -> None:
    """What padded rows hold changes nothing."""
    captioner, words = check.build(), some_words(3)
    for pictures in batches(captioner):
        dirty = replace(
            pictures,
            regions=pictures.regions.masked_fill(~pictures.region_mask[..., None], 1e6),
            concepts=pictures.concepts.masked_fill(~pictures.concept_mask, 7),
        )
        close(captioner(dirty, words), captioner(pictures, words), "Padded rows change nothing.")


def the_picture_matters(check: Check) -> None:
    """Other pictures give other logits."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(1).expand(3, -1, -1)
    logits = captioner(pictures, words)
    gaps = [(logits[a] - logits[b]).abs().max() for a, b in itertools.combinations(range(3), 2)]
    assert min(gaps) > 1e-3, "Another picture gives other logits."


def hypotheses_reorder(check: Check) -> None:
    """A hypothesis goes on from the one that it names."""
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
            close(logits[picture, hypothesis], whole[0, 0, 2], sentence)


def pictures_leave(check: Check) -> None:
    """Pictures may leave the batch, and their gradients stay."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    memory = captioner.encode(pictures)
    _, state = captioner.step(memory, captioner.start(memory, 2), words[:, :, 0])
    rows = torch.tensor([2, 0])
    kept, _ = captioner.step(memory.select(rows), state.select(rows), words[rows, :, 1])
    every, _ = captioner.step(memory, state, words[:, :, 1])
    close(kept, every[rows], "select keeps the pictures that it names, in that order.")
    assert kept.requires_grad, "select keeps gradients."


def _stepped(captioner: Captioner[Any, Any], memory: Any, words: Tensor) -> Tensor:
    state, logits_so_far = captioner.start(memory, words.shape[1]), []
    for time in range(words.shape[2]):
        logits, state = captioner.step(memory, state, words[:, :, time])
        logits_so_far.append(logits)
    return torch.stack(logits_so_far, dim=2)


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
