"""Sampling: which distribution is drawn from, which log-probability comes back."""

import dataclasses
import math

import pytest
import torch
from decoding_toys import Known, Toy, log_probabilities, logs, pictures, said

from miacap.decoding import (
    BANNED,
    BlockRepeats,
    ForbidWords,
    MinimumLength,
    NoBadEndings,
    Rule,
    Temperature,
    TopK,
    TopP,
    policy_log_probabilities,
    sample,
)
from miacap.errors import SettingsError
from miacap.text.vocabulary import BOS, EOS, PAD

A, B, C = 4, 5, 6


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def steady(picture: int, words: tuple[int, ...]) -> list[float]:
    return logs(a=0.4, b=0.3, c=0.2, end=0.1)


@pytest.mark.parametrize(
    ("rules", "shares"),
    [
        ((), dict(a=0.4, b=0.3, c=0.2, end=0.1)),
        ((ForbidWords((A,)),), dict(b=3 / 6, c=2 / 6, end=1 / 6)),
        ((MinimumLength(1),), dict(a=4 / 9, b=3 / 9, c=2 / 9)),
        ((Temperature(0.5),), dict(a=16 / 30, b=9 / 30, c=4 / 30, end=1 / 30)),
        ((TopK(2),), dict(a=4 / 7, b=3 / 7)),
        ((TopP(0.65),), dict(a=4 / 7, b=3 / 7)),
        ((Temperature(0.5), TopP(0.9)), dict(a=16 / 29, b=9 / 29, c=4 / 29)),
    ],
)
def test_words_are_drawn_from_the_policy(rules: tuple[Rule, ...], shares: dict[str, float]) -> None:
    count = 20_000
    drawn = sample(Known(steady), pictures(1), count, 1, rules, seeded(1))
    for name in ("a", "b", "c", "end"):
        word = EOS if name == "end" else 4 + ord(name) - ord("a")
        here = drawn.words[0, :, 0] == word
        share = shares.get(name, 0.0)
        assert abs(float(here.double().mean()) - share) <= 4 * math.sqrt(
            share * (1 - share) / count
        )
        if share:
            gains = drawn.log_probabilities[0, here, 0]
            assert torch.allclose(gains, gains.new_tensor(math.log(share)), atol=1e-9)


def test_samples_follow_a_captioner_that_makes_much_of_banned_words() -> None:
    toy = Toy(7, seed=6, sharpness=1.0)
    drawn = sample(toy, pictures(1), 20_000, 1, generator=seeded(1))
    gains = log_probabilities(toy.table("0").tolist(), ())
    allowed = {word: math.exp(gains[word]) for word in range(7) if word not in BANNED}
    for word, share in allowed.items():
        wanted = share / sum(allowed.values())
        here = drawn.words[0, :, 0] == word
        seen = float(here.double().mean())
        assert abs(seen - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 20_000)
        assert float(drawn.log_probabilities[0, here, 0][0]) == pytest.approx(math.log(wanted))


def test_hypotheses_are_drawn_independently() -> None:
    drawn = sample(Known(steady), pictures(2), 400, 2, generator=seeded(3))
    first, second = drawn.words[0, :, 0], drawn.words[1, :, 0]
    assert not torch.equal(first, second)
    both = ((first == A) & (second == A)).double().mean()
    assert abs(float(both) - 0.16) < 0.08
    assert len(set(first.tolist())) == 4


def test_samples_are_one_tensor_record() -> None:
    drawn = sample(Known(steady), pictures(3), 5, 7, generator=seeded(2))
    for part in (drawn.words, drawn.log_probabilities, drawn.mask):
        assert part.shape == (3, 5, 7)
    assert drawn.mask.dtype == torch.bool
    assert drawn.log_probabilities.dtype == torch.float64
    assert not drawn.log_probabilities.requires_grad
    shares = {A: 0.4, B: 0.3, C: 0.2, EOS: 0.1}
    lengths = set()
    for words, gains, mask, hypothesis in zip(
        drawn.words.flatten(0, 1).tolist(),
        drawn.log_probabilities.flatten(0, 1).tolist(),
        drawn.mask.flatten(0, 1).tolist(),
        [h for row in drawn.hypotheses() for h in row],
        strict=True,
    ):
        # EOS is the last that counts, or the limit cut the caption off.
        length = words.index(EOS) + 1 if EOS in words else 7
        lengths.add(length)
        assert mask == [True] * length + [False] * (7 - length)
        assert words[length:] == [PAD] * (7 - length)
        assert gains[length:] == [0.0] * (7 - length)
        expected = [math.log(shares[word]) for word in words[:length]]
        assert gains[:length] == pytest.approx(expected, abs=1e-7)
        assert hypothesis.ended == (EOS in words)
        assert hypothesis.words == tuple(word for word in words[:length] if word != EOS)
        assert hypothesis.log_probability == pytest.approx(sum(expected), abs=1e-7)
    assert len(lengths) > 2 and 7 in lengths


def test_a_generator_gives_the_same_captions_again_and_then_others() -> None:
    toy, source = Toy(9, seed=7), seeded(5)
    one, other = (sample(toy, pictures(3), 4, generator=source) for _ in range(2))
    again = sample(toy, pictures(3), 4, generator=seeded(5))
    assert torch.equal(one.words, again.words)
    assert torch.equal(one.log_probabilities, again.log_probabilities)
    assert not torch.equal(one.words, other.words)


def test_without_a_generator_chance_is_torchs_own() -> None:
    toy = Toy(9, seed=7)
    torch.manual_seed(1)
    one, other = (sample(toy, pictures(3), 4).words for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(sample(toy, pictures(3), 4).words, one)
    assert not torch.equal(one, other)
    # A generator leaves the global one alone.
    torch.manual_seed(1)
    sample(toy, pictures(3), 4, generator=seeded(0))
    assert torch.equal(sample(toy, pictures(3), 4).words, one)


def test_a_generator_of_another_device_is_refused() -> None:
    batch = pictures(1)
    elsewhere = dataclasses.replace(batch, regions=batch.regions.to("meta"))
    with pytest.raises(
        SettingsError, match=r"on cpu, the pictures are on meta.*Generator\('meta'\)"
    ):
        sample(Toy(9), elsewhere, generator=seeded(0))


def test_the_first_step_is_taken_once_a_picture() -> None:
    captioner = Known(steady)
    sample(captioner, pictures(2), 6, 3, (MinimumLength(3),), seeded(0))
    assert captioner.widths == [1, 6, 6]


def test_pictures_whose_samples_have_ended_leave_the_batch() -> None:
    toy = Toy(9, seed=2, end=1.5)
    drawn = sample(toy, pictures(40), 2, 20, generator=seeded(0))
    alive = [40]
    for time in range(19):
        ended = (drawn.words[:, :, : time + 1] == EOS).any(dim=2).all(dim=1)
        alive.append(int((~ended).sum()))
    assert toy.busy == [count for count in alive if count]
    assert toy.busy[-1] < 20


RULES = [
    (),
    (MinimumLength(2), NoBadEndings((A, B))),
    (BlockRepeats(2), Temperature(0.6), TopP(0.8)),
    (TopK(2), ForbidWords((C,))),
]


@pytest.mark.parametrize("rules", RULES)
def test_the_policy_gives_drawn_words_the_log_probabilities_they_were_drawn_with(
    rules: tuple[Rule, ...],
) -> None:
    toy = Known(lambda picture, words: logs(a=0.3, b=0.2, c=0.1 + 0.1 * picture, end=0.3))
    drawn = sample(toy, pictures(3), 6, 5, rules, seeded(4))
    first = torch.full_like(drawn.words[:, :, :1], BOS)
    logits = toy.forward(pictures(3), torch.cat([first, drawn.words[:, :, :-1]], dim=2))
    logits.requires_grad_()
    gains = policy_log_probabilities(logits, drawn.words, rules)
    assert torch.allclose(gains, drawn.log_probabilities, atol=1e-12)
    gains.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    # d log p / d logits sums to 0 over the words that may follow; nothing comes after the end.
    assert torch.allclose(logits.grad.sum(-1), torch.zeros(()).double(), atol=1e-9)
    assert (logits.grad[~drawn.mask] == 0).all()
    assert (logits.grad[drawn.mask].abs().sum(-1) > 0).any()
    assert (logits.grad[..., list(BANNED)] == 0).all()


def test_the_policy_knows_what_rules_forbid() -> None:
    logits = torch.tensor([steady(0, ())]).view(1, 1, 1, -1)
    gains = [
        float(policy_log_probabilities(logits, torch.tensor([[[word]]]), (ForbidWords((B,)),)))
        for word in (A, B)
    ]
    assert gains == pytest.approx([math.log(4 / 7), -math.inf])


def test_the_limit_is_the_last_step_of_the_policy_too() -> None:
    rules = (NoBadEndings((A, B, C)),)
    drawn = sample(Known(steady), pictures(1), 30, 1, rules, seeded(0))
    assert {said(h) for row in drawn.hypotheses() for h in row} == {"."}
    logits = torch.tensor([steady(0, ())]).view(1, 1, 1, -1)
    gains = policy_log_probabilities(logits, torch.tensor([[[EOS]]]), rules)
    assert float(gains) == pytest.approx(0.0, abs=1e-12)
