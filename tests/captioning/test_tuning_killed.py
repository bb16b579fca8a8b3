"""A captioner that learns with its backbone, killed again and again, ends as if left alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from miacap import captioning, runs, visual
from miacap.data import read, scenes
from miacap.runs import CrossEntropy, Objective, RunSettings, SelfCritical

from ..kills import contents, kill_after, kill_inside, kill_often, last_tensors, left_alone, newest
from ..records import evaluations

INSIDE = (".step-000000004.safetensors", ".step-000000005.json", ".best-")
"""What is half written when the process kills itself."""

ENDING = ("backbone.safetensors", "settings.json", "dev.json")
"""It is killed a little after each of these is there, where that is in time."""

OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": CrossEntropy(label_smoothing=0.1),
    "self-critical": SelfCritical(samples=2, rewards={"CIDEr-D": 1.0, "BLEU-4": 0.5}),
}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_killed_by_sigkill_anywhere(tmp_path: Path, name: str) -> None:
    """Three times inside a checkpoint, twenty times anywhere, then while the run is made of it."""
    scenes.draw(tmp_path / "scenes", 14, seed=3, size=32)
    dataset = read(tmp_path / "scenes")
    network = visual.load("efficientnet-lite0", "cpu")
    grid = visual.Grid(network, visual.preprocessing_for(network, size=32))
    regions = visual.extract(dataset, tmp_path / "features", regions=grid, quiet=True)
    plain = RunSettings(
        captioner="nic", source="plain", minimum_count=1, pictures_per_batch=4, maximum_words=6,
        beam=1, sizes={"width": 8},
    )  # fmt: skip
    once = replace(plain.training, epochs=1, warmup_steps=0, device="cpu", threads=1)
    captioning.train(
        dataset, regions, tmp_path / "plain", replace(plain, training=once), quiet=True
    )
    start = runs.load(tmp_path / "plain")
    wanted = runs.tuned(start)
    training = replace(
        wanted.training, epochs=16, warmup_steps=1, evaluate_every=4, patience=0, device="cpu",
        checkpoint_every=1, threads=1,
    )  # fmt: skip
    assert wanted.tuning is not None
    wanted = replace(
        wanted, objective=OBJECTIVES[name], training=training,
        tuning=replace(wanted.tuning, stages=1),
    )  # fmt: skip
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"

    def work(folder: Path) -> None:
        captioning.tune(dataset, folder, start, wanted, quiet=True)

    left_alone(lambda: work(whole))
    kill_inside(lambda: work(killed), killed, INSIDE)
    kill_often(lambda: work(killed), lambda: newest(killed / "tuning"), seed=name)
    kill_after(lambda: work(killed), killed, ENDING, seed=5)
    left_alone(lambda: work(killed))
    for folder in ("", "tuning"):
        assert evaluations(killed / folder / "metrics.jsonl") == evaluations(
            whole / folder / "metrics.jsonl"
        )
    assert (
        last_tensors(killed / "tuning").read_bytes() == last_tensors(whole / "tuning").read_bytes()
    )
    assert kept(killed) == kept(whole)


def kept(folder: Path) -> dict[str, str]:
    """Checksums of all files without times in them: weights, backbone, dev scores, card, ..."""
    every = contents(folder, ["metrics.jsonl"])
    return {name: sum for name, sum in every.items() if "/step-" not in name}
