"""`torchrun -m miacap` and `accelerate launch -m miacap`: the main job in two processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from miacap.data import scenes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

TRAIN = (
    "--captioner", "up-down", "--source", "plain", "--set", "sizes.width=16",
    "--set", "minimum_count=1", "--set", "training.epochs=2", "--set", "training.warmup_steps=1",
    "--set", "pictures_per_batch=5", "--set", "sizes.dropout=0",
)  # fmt: skip


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def command(world: int, *arguments: str) -> list[str]:
    several = [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world), "--module",
        "--",
    ]  # fmt: skip
    return [sys.executable, *(several if world > 1 else ["-m"]), "miacap", *arguments]


def said(world: int, folder: Path, *arguments: str) -> str:
    found = subprocess.run(
        command(world, *arguments), cwd=folder, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("launched")
    scenes.draw(root / "scenes", 22, seed=3, size=48)
    (root / "scenes" / "scene-000002.png").write_bytes(b"no photo")
    for world in (1, 2):
        where = (
            "scenes",
            "-o",
            f"f{world}",
            "--backbone",
            "efficientnet-lite0",
            "--set",
            "size=64",
        )
        assert "21 photos" in said(world, root, "features", *where, "--batch-size", "4")
        made = ("train", "scenes", "--features", "f1", "-o", f"r{world}", *TRAIN)
        assert said(world, root, *made).count("best on dev") == 1
    return root


def test_two_processes_do_the_work_of_one(root: Path) -> None:
    first, second = (sorted((root / name).iterdir()) for name in ("f1", "f2"))
    assert [path.name for path in first] == [path.name for path in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))
    one, two = (
        [json.loads(line) for line in (root / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("r1", "r2")
    )
    for ours, theirs in zip(one, two, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert {path.name for path in (root / "r1").iterdir()} == {
        path.name for path in (root / "r2").iterdir()
    }
    for verb in (
        ("evaluate", "r1", "scenes", "--features", "f1", "-o"),
        ("caption", "scenes", "--run", "r1", "--format", "jsonl", "--batch-size", "4", "-o"),
    ):
        for world in (1, 2):
            said(world, root, *verb, f"{verb[0]}-{world}.jsonl")
        text = (root / f"{verb[0]}-1.jsonl").read_text()
        assert text and text == (root / f"{verb[0]}-2.jsonl").read_text()


def test_accelerate_launch_does_as_torchrun(root: Path) -> None:
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
        "--main_process_port", "0", "-m", "miacap",
    ]  # fmt: skip
    found = subprocess.run(
        [*launch, "evaluate", "r1", "scenes", "--features", "f1", "-o", "launched.jsonl"],
        cwd=root, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    said(1, root, "evaluate", "r1", "scenes", "--features", "f1", "-o", "plain.jsonl")
    assert (root / "launched.jsonl").read_text() == (root / "plain.jsonl").read_text()


def test_a_signal_to_the_launcher_leaves_a_checkpoint(root: Path) -> None:
    shutil.rmtree(root / "stopped", ignore_errors=True)
    long = [*TRAIN, "--set", "training.epochs=500"]
    made = command(2, "train", "scenes", "--features", "f1", "-o", "stopped", *long)
    with subprocess.Popen(
        made, cwd=root, env=environment(), stderr=subprocess.PIPE, text=True
    ) as launcher:
        deadline = time.monotonic() + 600
        while not list((root / "stopped" / "checkpoints").glob("step-*.json")):
            assert time.monotonic() < deadline and launcher.poll() is None
            time.sleep(0.1)
        launcher.send_signal(signal.SIGTERM)
        _, errors = launcher.communicate(timeout=300)
    assert launcher.returncode != 0
    assert "stopped; the same command goes on from here" in errors
    assert not list((root / "stopped").rglob("*.part"))
