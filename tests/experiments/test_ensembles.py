"""Ensembles: one member changes nothing, two are averaged, and what disagrees is refused."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from miacap import captioning, runs
from miacap.captioners import Ensemble, conformance
from miacap.captioners.contract import Captioner, Memory, State
from miacap.captioning.inputs import Inputs
from miacap.decoding import beam, greedy
from miacap.errors import RunError
from miacap.files import read_json, write_json
from miacap.runs import join

from .conftest import MadeUp, make_up, settings, train


@pytest.fixture(scope="module")
def folders(made_up: MadeUp, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    wanted = {
        "combined": settings("spatial-attention", "combined"),
        "plain": settings("nic", "plain"),
        "transformer": settings("transformer", "regions", layers=1, layer_heads=2, layer_inner=8),
    }
    return {name: train(made_up, root / name, run) for name, run in wanted.items()}


def pictures(world: MadeUp, run: runs.Run):
    return Inputs.of_run(run, world.regions).stored(world.dataset.split("test").ids)


def test_an_ensemble_of_one_is_the_run(made_up: MadeUp, folders) -> None:
    run = runs.load(folders["combined"])
    alone, one = run.captioner(), join([run]).captioner()
    seen = pictures(made_up, run)
    for a, b in zip(beam(alone, seen, maximum=6), beam(one, seen, maximum=6), strict=True):
        assert a[0].words == b[0].words
        assert a[0].log_probability == pytest.approx(b[0].log_probability, abs=1e-5)
    first = captioning.evaluate(run, made_up.dataset, "test", made_up.regions, quiet=True)
    second = captioning.evaluate(join([run]), made_up.dataset, "test", made_up.regions, quiet=True)
    assert [row.caption for row in first.rows] == [row.caption for row in second.rows]
    assert dict(first.scores) == dict(second.scores)


def test_two_are_averaged_as_in_a_plain_loop(made_up: MadeUp, folders) -> None:
    """Greedy words, and the probability of each, from a loop over pictures, steps and members."""
    members = [runs.load(folders[name]) for name in ("combined", "plain", "transformer")]
    joined = join(members)
    seen = pictures(made_up, joined)
    found = greedy(joined.captioner(), seen, maximum=6)
    captioners = [run.captioner() for run in members]
    for place, best in enumerate(found):
        alone, words, total = seen.select([place]), [1], 0.0
        for _ in range(6):
            shares = [
                c(alone, torch.tensor([[words]])).detach()[0, 0, -1].double().softmax(0)
                for c in captioners
            ]
            mean = [math.fsum(float(s[w]) for s in shares) / 3 for w in range(len(shares[0]))]
            word = max((w for w in range(len(mean)) if w not in (0, 1, 3)), key=mean.__getitem__)
            total += math.log(mean[word])
            if word == 2:
                break
            words.append(word)
        assert best.words == tuple(words[1:])
        assert best.log_probability == pytest.approx(total, abs=1e-4)


def test_an_ensemble_fulfils_the_contract(made_up: MadeUp, folders) -> None:
    captioner = join([runs.load(folders[n]) for n in ("combined", "transformer")]).captioner()
    captioner.double()
    run = runs.load(folders["combined"])
    seen = pictures(made_up, run)
    seen = replace(seen, regions=seen.regions.double())
    words = conformance.some_words(3, captions=2, length=4) % len(run.vocabulary)
    memory = captioner.encode(seen)
    state = captioner.start(memory, 2)
    assert isinstance(captioner, Captioner)
    assert isinstance(memory, Memory) and isinstance(state, State) and len(memory) == 3
    whole = captioner(seen, words)
    stepped = []
    for time in range(4):
        logits, state = captioner.step(memory, state, words[:, :, time])
        stepped.append(logits)
    assert torch.allclose(whole, torch.stack(stepped, 2), atol=1e-9)
    assert torch.allclose(whole.logsumexp(-1), torch.zeros(3, 2, 4).double(), atol=1e-9)
    # Two other hypotheses of two of the pictures go on as they would have.
    parents = torch.tensor([[1, 0, 1], [0, 0, 1]])
    part = state.select([2, 0]).reorder(parents)
    after, _ = captioner.step(memory.select([2, 0]), part, torch.full((2, 3), 5))
    before, _ = captioner.step(memory, state, torch.full((3, 2), 5))
    for row, picture in enumerate((2, 0)):
        for place, parent in enumerate(parents[row].tolist()):
            assert torch.allclose(after[row, place], before[picture, parent], atol=1e-9)
    logits, trace = captioner(seen, words, trace=True)
    assert torch.allclose(logits, whole, atol=1e-9)
    assert {name.split(": ")[0] for name in trace.attentions} == {"1", "2"}


def test_nothing_is_no_ensemble() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Ensemble([])
    with pytest.raises(RunError, match="at least one run folder"):
        join([])


def test_other_words_are_refused(made_up: MadeUp, folders, tmp_path: Path) -> None:
    fewer = replace(settings("nic", "plain"), minimum_count=5)
    other = tmp_path / "r"
    captioning.train(made_up.dataset, made_up.regions, other, fewer, quiet=True)
    with pytest.raises(
        RunError, match=r"vocabularies differ \(10 and 4 words; word 4 is '\w+' and none"
    ):
        join([runs.load(folders["plain"]), runs.load(other)])


def test_other_pictures_are_refused(folders, tmp_path: Path) -> None:
    shutil.copytree(folders["plain"], tmp_path / "r")
    prepared = read_json(tmp_path / "r" / "preprocessing.json")
    write_json(tmp_path / "r" / "preprocessing.json", {**prepared, "size": 320})
    with pytest.raises(RunError, match=r"prepared differently \(size 224 and 320\)"):
        join([runs.load(folders["plain"]), runs.load(tmp_path / "r")])


def test_other_concepts_are_refused(made_up: MadeUp, folders, tmp_path: Path) -> None:
    world = make_up(tmp_path / "world", seed=1)
    world = replace(world, dataset=made_up.dataset)
    other = train(world, tmp_path / "r", settings("spatial-attention", "combined"))
    with pytest.raises(RunError, match=r"their extractors \(SHA-256 \w{12} and \w{12}\) differ"):
        join([runs.load(folders["combined"]), runs.load(other)])
    # A run without concepts does not look at them, and may join.
    bare = tmp_path / "bare"
    captioning.train(made_up.dataset, made_up.regions, bare, settings("nic", "plain"), quiet=True)
    joined = join([runs.load(bare), runs.load(other)])
    assert joined.extractor().checksum == runs.load(other).extractor().checksum


def test_another_number_of_concepts_is_refused(made_up: MadeUp, folders, tmp_path: Path) -> None:
    wanted = settings("spatial-attention", "combined", rows="aligned")
    other = train(made_up, tmp_path / "r", replace(wanted, concepts=3))
    with pytest.raises(RunError, match="rows=match, concepts=None and rows=aligned, concepts=3"):
        join([runs.load(folders["combined"]), runs.load(other)])


def test_the_pipeline_refuses_at_once_what_does_not_agree(folders, tmp_path: Path) -> None:
    assert len(captioning.load([folders["plain"], folders["combined"]]).run.members) == 2
    shutil.copytree(folders["plain"], tmp_path / "r")
    prepared = read_json(tmp_path / "r" / "preprocessing.json")
    write_json(tmp_path / "r" / "preprocessing.json", {**prepared, "backbone": "another"})
    with pytest.raises(RunError, match="backbone 'made-up' and 'another'"):
        captioning.load([folders["plain"], tmp_path / "r"])
