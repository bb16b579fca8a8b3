"""How often captions are wrong: people's ratings, the fit by plain loops, and what is refused."""

import gzip
import json
import math
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import miacap
from miacap import captioning
from miacap.captioning import Evaluation, Row, calibrate, calibrating
from miacap.captioning.calibrating import reliability
from miacap.captioning.ratings import JUDGED, PEOPLE, called_wrong, rating_shares
from miacap.data import Dataset
from miacap.data.dataset import Entry
from miacap.errors import DataError, RunError
from miacap.metrics import DocumentFrequencies, score
from miacap.pictures import collate
from miacap.runs import Calibration, Confidence
from miacap.runs.confidence import FILE, calibration_of, likeness

RATINGS = (0.2, 0.3, 0.4, 0.1)


def plain_fit(x: list[float], y: list[float], rounds: int = 60) -> tuple[float, float]:
    """Slope and intercept of a logistic regression, by Newton's way in plain loops."""
    a = b = 0.0
    for _ in range(rounds):
        ga = gb = haa = hab = hbb = 0.0
        for xi, yi in zip(x, y, strict=True):
            p = 1 / (1 + math.exp(-(a + b * xi)))
            ga, gb = ga + yi - p, gb + (yi - p) * xi
            w = p * (1 - p)
            haa, hab, hbb = haa + w, hab + w * xi, hbb + w * xi * xi
        scale = haa * hbb - hab * hab
        a, b = a + (hbb * ga - hab * gb) / scale, b + (haa * gb - hab * ga) / scale
    return b, a


def drawn(count: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Log-probabilities per word, and shares that fall with them."""
    chance = random.Random(seed)
    x = [-chance.uniform(0.3, 1.8) for _ in range(count)]
    y = [1 / (1 + math.exp(-(-3 - 4 * xi + chance.gauss(0, 1)))) for xi in x]
    return x, y


@pytest.fixture(scope="module")
def judged(shared: Path) -> dict[str, Any]:
    with gzip.open(shared / "metrics" / "expert_half.json.gz") as file:
        found: dict[str, Any] = json.load(file)
    return found


def ciders(
    judged: dict[str, Any], references: list[list[str]], candidates: list[str]
) -> torch.Tensor:
    frequencies = DocumentFrequencies.of_captions(list(judged["references"].values()), "judged")
    scores = score(references, candidates, metrics=("CIDEr-D",), frequencies=frequencies)
    return torch.tensor(scores.per_picture["CIDEr-D"]).double()


@pytest.fixture(scope="module")
def pairs(judged: dict[str, Any]) -> tuple[torch.Tensor, list[int]]:
    """CIDEr-D of the judged pairs, and the median of their three ratings."""
    pairs = judged["pairs"]
    against = [judged["references"][pair["picture"]] for pair in pairs]
    found = ciders(judged, against, [pair["candidate"] for pair in pairs])
    return found, [sorted(pair["ratings"])[1] for pair in pairs]


def plain_shares(cider: list[float], base: tuple[float, ...], rounds: int) -> list[float]:
    """EM of the ratings' shares in plain loops. [eq:shift]"""
    shares = [0.25] * 4
    for _ in range(rounds):
        sums = [0.0] * 4
        for value in cider:
            odds = [
                q / p * math.exp(a + b * math.sqrt(max(value, 0.0)))
                for q, p, (a, b) in zip(shares, base, PEOPLE, strict=True)
            ]
            for k in range(4):
                sums[k] += odds[k] / sum(odds)
        shares = [value / len(cider) for value in sums]
    return shares


def test_people_rate_captions_as_the_equation_says(pairs: tuple[torch.Tensor, list[int]]) -> None:
    """The numbers of [eq:people] are where the judgements are the most probable."""
    cider, rating = pairs
    root, k = cider.clamp(min=0).sqrt(), torch.tensor(rating) - 1
    assert tuple(float((k == n).double().mean()) for n in range(4)) == pytest.approx(JUDGED)
    constant = torch.zeros(1, 2, dtype=torch.float64)

    def surprise(numbers: torch.Tensor) -> torch.Tensor:
        each = torch.cat([constant, numbers.view(3, 2)])
        return torch.nn.functional.cross_entropy(each[:, 0] + root[:, None] * each[:, 1], k)

    numbers = torch.tensor(PEOPLE[1:], dtype=torch.float64).flatten()
    slope = torch.autograd.functional.jacobian(surprise, numbers)
    bend = torch.autograd.functional.hessian(surprise, numbers)
    assert PEOPLE[0] == (0.0, 0.0)
    assert torch.linalg.solve(bend, slope).abs().max() < 1e-3  # Newton has no step left


def fitted(root: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Constants and factors of [eq:people], by Newton's way from near its numbers."""
    x = torch.stack([torch.ones_like(root), root])
    numbers = torch.tensor(PEOPLE[1:], dtype=torch.float64).flatten()

    def surprise(numbers: torch.Tensor) -> torch.Tensor:
        told = numbers.view(3, 2) @ x
        return torch.nn.functional.cross_entropy(torch.cat([torch.zeros_like(told[:1]), told]).T, k)

    for _ in range(8):
        bend = torch.autograd.functional.hessian(surprise, numbers)
        numbers = numbers - torch.linalg.solve(
            bend, torch.autograd.functional.jacobian(surprise, numbers)
        )
    return numbers.view(3, 2)


def test_what_half_of_the_photos_say_holds_for_the_other_half(
    judged: dict[str, Any], pairs: tuple[torch.Tensor, list[int]]
) -> None:
    """Expected calibration error, split by photo: no photo is on both sides."""
    cider, rating = pairs
    root, k = cider.clamp(min=0).sqrt(), torch.tensor(rating) - 1
    photos = sorted({pair["picture"] for pair in judged["pairs"]})
    even = set(photos[::2])
    half = torch.tensor([pair["picture"] in even for pair in judged["pairs"]])
    predicted = torch.empty_like(root)
    for learned in (half, ~half):
        numbers = torch.cat([torch.zeros(1, 2).double(), fitted(root[learned], k[learned])])
        told = numbers[:, 0] + root[~learned][:, None] * numbers[:, 1]
        predicted[~learned] = torch.softmax(told, 1)[:, :2].sum(1)
    wrong = (k < 2).double()
    parts = predicted.argsort(stable=True).tensor_split(10)
    error = sum(float((predicted[p].mean() - wrong[p].mean()).abs()) * len(p) for p in parts)
    assert error / len(wrong) < 0.02, error / len(wrong)


def test_the_judged_captions_are_called_wrong_as_often_as_they_were(
    pairs: tuple[torch.Tensor, list[int]],
) -> None:
    cider, rating = pairs
    wrong = torch.tensor([float(k <= 2) for k in rating]).double()
    assert float(wrong.mean()) == pytest.approx(0.881, abs=1e-3)
    predicted = called_wrong(cider)
    assert float(predicted.mean()) == pytest.approx(float(wrong.mean()), abs=2e-3)
    assert rating_shares(cider) == pytest.approx(JUDGED, abs=5e-3)


def test_peoples_own_captions_come_out_right_and_shuffled_ones_wrong(
    judged: dict[str, Any],
) -> None:
    """Own references, each scored against the other four: 0 % wrong; of other photos: 99 %."""
    texts = list(judged["references"].values())
    own = [(own[:k] + own[k + 1 :], own[k]) for own in texts for k in range(5)]
    human = ciders(judged, [others for others, _ in own], [caption for _, caption in own])
    assert sum(rating_shares(human)[:2]) < 0.02
    # With the judged captions' shares, which are not theirs, 35 in 100 would be called wrong.
    assert float(called_wrong(human).mean()) > 0.3
    assert float(called_wrong(human, rating_shares(human)).mean()) < 0.02
    chance = random.Random(0)
    moved = chance.sample(texts, len(texts))
    shuffled = ciders(judged, texts, [other[0] for other in moved])
    assert sum(rating_shares(shuffled)[:2]) > 0.97
    assert float(called_wrong(shuffled, rating_shares(shuffled)).mean()) > 0.97


def test_shares_of_ratings_are_found_in_other_mixtures(
    pairs: tuple[torch.Tensor, list[int]],
) -> None:
    """As many near misses as good ones, out of the judged: 50 % wrong, found within 10."""
    cider, rating = pairs
    near = [n for n, k in enumerate(rating) if k == 2][:200]
    good = [n for n, k in enumerate(rating) if k == 3][:200]
    assert sum(rating_shares(cider[near + good])[:2]) == pytest.approx(0.5, abs=0.1)
    assert sum(rating_shares(cider[near])[:2]) > 0.9


def test_shares_of_ratings_equal_plain_loops() -> None:
    chance = random.Random(2)
    cider = [chance.expovariate(3) - 1e-9 for _ in range(60)]
    found = rating_shares(torch.tensor(cider, dtype=torch.float64))
    assert found == pytest.approx(plain_shares(cider, JUDGED, 3000), abs=1e-3)


def test_the_share_falls_from_people_to_nobody() -> None:
    values = torch.tensor([-1e-9, 0.0, 0.1, 0.5, 1.0, 3.0, 10.0])
    shares = called_wrong(values).tolist()
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == shares[1] == pytest.approx(0.990, abs=1e-3)


def test_reliability_equals_plain_loops() -> None:
    x, y = drawn(203)
    error, bins = reliability(torch.tensor(x).double(), torch.tensor(y).double())
    predicted = [0.0] * len(x)
    for learned in (0, 1):
        slope, intercept = plain_fit(x[learned::2], y[learned::2])
        for n in range(1 - learned, len(x), 2):
            predicted[n] = 1 / (1 + math.exp(-(intercept + slope * x[n])))
    order = sorted(range(len(x)), key=lambda n: predicted[n])
    sizes = [21, 21, 21, *[20] * 7]
    total, at = 0.0, 0
    for size, found in zip(sizes, bins, strict=True):
        part, at = order[at : at + size], at + size
        p, o = (sum(v[n] for n in part) / size for v in (predicted, y))
        assert (found.predicted, found.observed) == pytest.approx((p, o), abs=1e-5)
        assert found.captions == size
        total += size / len(x) * abs(p - o)
    assert error == pytest.approx(total, abs=1e-5) and 0 < error < 0.1


class Store:
    """Features that tell three pictures in a hundred from the others."""

    def rows(self, name: str) -> torch.Tensor:
        number = int(name)
        unlike = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
        alike = torch.tensor([[1.0, 0.0], [3.0, number * 1e-4]])
        return (unlike if number % 40 == 0 else alike).half()


def evaluated(count: int, references: int = 5, turned: bool = False) -> tuple[Any, Evaluation]:
    """Captions that are right where the log-probability is high, or where it is low."""
    chance = random.Random(1)
    words = [a + b for a in "bcdfghjk" for b in ("at", "en", "ill", "og", "un", "ay")]
    entries, rows = [], []
    for n in range(count):
        own = " ".join(chance.choices(words, k=7))
        right = chance.random() < 0.5
        sure = right if chance.random() < 0.8 else not right
        per_word = -0.5 - 0.3 * ((not sure) if not turned else sure) - 0.1 * chance.random()
        caption = own if right else " ".join(chance.choices(words, k=7))
        entries.append(Entry(str(n), (own,) * references, "dev"))
        rows.append(Row(str(n), caption, 8 * per_word, per_word=per_word))
    dataset = Dataset("d", tuple(entries), None)  # type: ignore[arg-type]
    scores = score(dataset.captions, {r.id: r.caption for r in rows}, metrics=("CIDEr-D",))
    aside = Row("broken", error="broken: no photo.")
    return dataset, Evaluation((*rows, aside), 1.0, scores)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    run = SimpleNamespace(folder=tmp_path)
    run.members = (run,)
    return run


def test_a_calibration_is_fitted_saved_and_read_again(run: Any, tmp_path: Path) -> None:
    dataset, result = evaluated(400)
    found = calibrate(run, result, dataset, Store(), "dev")  # type: ignore[arg-type]
    scored = dict(zip(result.scores.ids, result.scores.per_picture["CIDEr-D"], strict=True))
    x = [row.per_word for row in result.rows[:-1]]
    cider = torch.tensor([scored[row.id] for row in result.rows[:-1]]).double()
    assert found.ratings == pytest.approx(rating_shares(cider), abs=1e-6)
    y = called_wrong(cider, found.ratings).tolist()
    assert (found.slope, found.intercept) == pytest.approx(plain_fit(x, y), abs=1e-3)
    assert found.wrong == pytest.approx(sum(y) / 400) and found.pictures == 400
    assert found.share(-0.5) < 0.15 < 0.3 < found.share(-0.9)
    assert sum(b.captions for b in found.bins) == 400
    # Three of a hundred are 12 of 400: the ten that look the other way, and two at the edge.
    names = [str(n) for n in range(400)]
    alike = likeness(collate(names, [Store().rows(n) for n in names]), found.typical)
    below = [n for n in range(400) if alike[n] < found.least_likeness]
    assert len(below) == 12 and set(range(0, 400, 40)) < set(below)
    assert calibration_of(run) == (None, f"{tmp_path} is not calibrated")
    found.save(tmp_path)
    assert calibration_of(run) == (found, "")
    older = {**json.loads((tmp_path / FILE).read_text()), "format": 1}
    del older["ratings"]
    (tmp_path / FILE).write_text(json.dumps(older))
    read, why = calibration_of(run)
    assert read is None and "of an earlier miacap" in why
    found.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"other")
    read, why = calibration_of(run)
    assert read is None and "made with other weights" in why
    run.members = (run, run)
    assert calibration_of(run) == (None, "several runs together are not calibrated")


def test_damage_is_named(run: Any, tmp_path: Path) -> None:
    for text in ("{", "{}", '{"format": 9}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(RunError, match=r"Delete .*confidence\.json, or calibrate again"):
            calibration_of(run)


@pytest.mark.parametrize(
    ("made", "split", "message"),
    [
        ({"count": 400}, "train", "learned the captions of train by heart"),
        ({"count": 199}, "dev", "at least 200 pictures with references, not 199 pictures"),
        ({"count": 200, "references": 3}, "dev", r"at least 4, not 3\.0"),
        ({"count": 400, "turned": True}, "dev", "do not tell right captions from wrong ones"),
    ],
)
def test_what_cannot_be_calibrated_says_why(
    run: Any, made: dict[str, Any], split: str, message: str
) -> None:
    dataset, result = evaluated(**made)
    with pytest.raises(DataError, match=message):
        calibrate(run, result, dataset, Store(), split)  # type: ignore[arg-type]


def test_confidence_says_what_it_knows() -> None:
    one = Calibration(-3.0, -4.0, (1.0, 0.0), 0.5, "ab", "dev", 9, 0.5, RATINGS, 0.0, ())
    assert one.confidence(-0.75, 0.5) == Confidence(0.5, unsure=True, out_of_depth=False)
    assert not one.confidence(-0.7, 0.9).unsure and one.confidence(-0.8, 0.9).unsure
    for alike in (0.49, -1.0, math.nan):
        assert one.confidence(-0.1, alike) == Confidence(None, unsure=True, out_of_depth=True)
    assert one.share(-math.inf) == 1.0 and one.share(1e9) == pytest.approx(0.0, abs=1e-200)
    with pytest.raises(RunError, match="made for regions of width 2, not 3"):
        likeness(collate(["a"], [torch.zeros(1, 3)]), one.typical)


def test_likeness_is_the_cosine_of_means_of_rows_that_are_there() -> None:
    pictures = collate(["a", "b"], [torch.tensor([[1.0, 0], [1, 2]]), torch.tensor([[0.0, 2]])])
    alike = likeness(pictures, (3.0, 0.0)).tolist()
    assert alike == pytest.approx([1 / math.sqrt(2), 0.0])


def test_a_calibrated_run_tells_its_photos_from_others(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: evaluate, calibrate, caption; scores and captions stay what they were."""
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(world.run("plain"), folder)
    run = miacap.runs.load(folder)
    plain = captioning.evaluate(run, world.dataset, "train", world.regions, quiet=True)
    monkeypatch.setattr(calibrating, "FEWEST_PICTURES", 10)
    monkeypatch.setattr(calibrating, "_fitted", lambda x, y: (-4.0, -3.0))
    calibrate(run, plain, world.dataset, world.regions, "dev").save(folder)
    again = captioning.evaluate(run, world.dataset, "train", world.regions, quiet=True)
    assert dict(again.scores) == dict(plain.scores)
    sure = [row.confidence for row in again.rows]
    assert all(row.confidence is None for row in plain.rows) and None not in sure
    assert sum(one.out_of_depth for one in sure) == max(1, round(0.03 * len(sure)))
    name = world.dataset.split("train").ids[3]
    live = miacap.load(folder).row(world.dataset.photos.read(name))
    stored = next(row for row in again.rows if row.id == name)
    assert live.confidence.wrong == pytest.approx(stored.confidence.wrong, abs=1e-3)
    assert live.record()["confidence"]["out_of_depth"] is False
    black = miacap.load(folder).row(np.zeros((64, 64, 3), np.uint8))
    assert black.confidence == Confidence(None, unsure=True, out_of_depth=True)
    assert (
        miacap.load(folder, alt_text=125)
        .caption(np.zeros((64, 64, 3), np.uint8))
        .startswith("Perhaps: ")
    )


@pytest.mark.slow
def test_a_real_run_is_out_of_its_depth_on_noise_and_drawings() -> None:
    """With a calibrated run of photos: MIACAP_TEST_RUN names its folder."""
    named = os.environ.get("MIACAP_TEST_RUN")
    if not named:
        pytest.skip("MIACAP_TEST_RUN names no calibrated run of real photos")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    drawing = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(drawing)
    pen.ellipse((50, 50, 150, 150), fill="red")
    pen.rectangle((200, 80, 350, 200), fill="blue")
    pen.line((0, 280, 400, 280), fill="black", width=5)
    for odd in (noise, noise[:, :, :1].repeat(3, axis=2), noise * 0, drawing):
        confidence = miacap.load(named).row(odd).confidence
        assert confidence is not None and confidence.out_of_depth and confidence.unsure
