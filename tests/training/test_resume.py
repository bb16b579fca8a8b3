"""Stopped anywhere and started again, a run ends with the same bytes."""

import hashlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from miacap.errors import RunError
from miacap.settings import to_json
from miacap.training import TrainingSettings, fit, randomness
from miacap.training.interrupts import Interrupts
from miacap.training.state import check_settings

from ..records import evaluations

SETTINGS = TrainingSettings(epochs=3, warmup_steps=4, learning_rate=0.02, seed=7, patience=9)


def ending(folder: Path) -> tuple[bytes, dict[str, bytes], list[dict[str, object]]]:
    """Weights, the tensors of the last checkpoint, and the metrics without their seconds."""
    last = sorted((folder / "checkpoints").glob("step-*.safetensors"))[-1]
    lines = evaluations(folder / "metrics.jsonl")
    return (folder / "weights.safetensors").read_bytes(), {last.name: last.read_bytes()}, lines


@pytest.fixture(scope="module")
def undisturbed(toy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    torch.set_num_threads(1)
    fit(toy.Toy(), SETTINGS, folder, quiet=True)
    return folder


@pytest.mark.parametrize("sitting", [1, 3, 7, 10])
def test_stopped_after_so_many_steps_again_and_again(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, sitting: int
) -> None:
    done = 0
    while True:
        torch.rand(done)  # whatever the process drew before must not matter
        task = toy.Toy()
        result = fit(task, SETTINGS, tmp_path, quiet=True, stop_after=sitting)
        assert result.steps - done <= sitting
        assert task.given <= sitting  # skipped batches were not even read
        done = result.steps
        if result.finished:
            break
        assert result.reason == "stop_after"
    assert ending(tmp_path) == ending(undisturbed)


def test_with_accumulation_and_checkpoints_inside_an_epoch(toy: ModuleType, tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=2, accumulate=3, optimiser="sgd", checkpoint_every=1)
    fit(toy.Toy(), settings, tmp_path / "a", quiet=True)
    for _ in range(6):
        fit(toy.Toy(), settings, tmp_path / "b", quiet=True, stop_after=1)
    assert ending(tmp_path / "a") == ending(tmp_path / "b")


def test_more_epochs_go_on_from_a_finished_run(toy: ModuleType, tmp_path: Path) -> None:
    short, long = (
        TrainingSettings(epochs=n, schedule_epochs=4, checkpoint_every=n) for n in (2, 4)
    )
    fit(toy.Toy(), short, tmp_path / "a", quiet=True)
    grown = fit(toy.Toy(), long, tmp_path / "a", quiet=True)
    fit(toy.Toy(), long, tmp_path / "b", quiet=True)
    assert grown.epochs == 4
    assert ending(tmp_path / "a") == ending(tmp_path / "b")


def test_a_finished_run_does_nothing(toy: ModuleType, tmp_path: Path) -> None:
    first = fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    task = toy.Toy()
    assert fit(task, SETTINGS, tmp_path, quiet=True) == first
    assert task.given == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


class Stop(Exception):
    """Raised where a kill would strike."""


WRITES = [
    "miacap.training.checkpoints.write_tensors",
    "miacap.training.session.write_weights",
    "miacap.training.checkpoints.write_json",
    "miacap.training.checkpoints.prune",
    "miacap.training.checkpoints.publish",
    "miacap.training.logs.settle",
]


@pytest.mark.parametrize("place", WRITES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_killed_around_every_write(
    toy: ModuleType,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    when: str,
    call: int,
) -> None:
    name, _, attribute = place.rpartition(".")
    module = sys.modules[name]
    inner, calls = getattr(module, attribute), []

    def deadly(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == call and when == "before":
            raise Stop
        value = inner(*args, **kwargs)
        if len(calls) == call:
            raise Stop
        return value

    with monkeypatch.context() as patch:
        patch.setattr(module, attribute, deadly)
        with pytest.raises(Stop):
            fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)


def test_an_evaluation_that_fails_loses_no_training(
    toy: ModuleType, tmp_path: Path, undisturbed: Path
) -> None:
    task = toy.Toy()

    def evaluate() -> dict[str, float]:
        torch.rand(50)
        raise Stop

    task.evaluate = evaluate
    with pytest.raises(Stop):
        fit(task, SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    fit(task, SETTINGS, tmp_path, quiet=True)
    assert task.given == 14
    assert ending(tmp_path) == ending(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_a_checkpoint_after_the_step(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, number: signal.Signals
) -> None:
    task = toy.Toy()
    inner = task.loss

    def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
        if task.given == 10:
            os.kill(os.getpid(), number)
        return inner(module, batch)

    task.loss = loss
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as caught:
        fit(task, SETTINGS, tmp_path, quiet=True)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 143  # 128 + SIGTERM, as shells have it
    assert signal.getsignal(number) is before
    assert (tmp_path / "checkpoints" / "step-000000010.json").exists()
    task = toy.Toy()
    fit(task, SETTINGS, tmp_path, quiet=True)
    assert task.given == 11
    assert ending(tmp_path) == ending(undisturbed)


def test_a_signal_during_an_evaluation_acts_at_once(
    toy: ModuleType, tmp_path: Path, undisturbed: Path
) -> None:
    task = toy.Toy()

    def evaluate() -> dict[str, float]:
        torch.rand(2)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the signal came late")

    task.evaluate = evaluate
    with pytest.raises(KeyboardInterrupt):
        fit(task, SETTINGS, tmp_path, quiet=True)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    toy: ModuleType,
    tmp_path: Path,
    undisturbed: Path,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    damage: str,
) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=7)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=3)
    victim = tmp_path / "checkpoints" / f"step-000000010.{suffix}"
    match damage:
        case "bit":
            corrupt(victim)
        case "cut":
            victim.write_bytes(victim.read_bytes()[:-20])
        case "gone":
            victim.unlink()
        case "empty":
            victim.write_bytes(b"")
    fit(toy.Toy(), SETTINGS, tmp_path)
    if (suffix, damage) != ("json", "gone"):  # without its JSON it never was a checkpoint
        err = capsys.readouterr().err
        assert f"step-000000010.{suffix}" in err
        assert "Going back to the checkpoint before it." in err
    assert ending(tmp_path) == ending(undisturbed)


def test_all_checkpoints_damaged_is_an_error(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=10)
    for file in (tmp_path / "checkpoints").glob("step-*.safetensors"):
        corrupt(file)
    with pytest.raises(RunError, match=r"no checkpoint can be read\. .*its checksum differs"):
        fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)


def test_a_newer_format_is_refused(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    file = tmp_path / "checkpoints" / "step-000000002.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 3'))
    with pytest.raises(RunError, match=r"format 3, this miacap reads 2; install a newer"):
        fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)


def test_lost_and_foreign_files(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=15)
    weights, metrics = tmp_path / "weights.safetensors", tmp_path / "metrics.jsonl"
    kept, lines = weights.read_bytes(), metrics.read_text()
    weights.unlink()
    metrics.write_text(lines + '{"epoch": 3}\n{"ep')
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=1)
    assert weights.read_bytes() == kept
    assert metrics.read_text() == lines
    for file in (tmp_path / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(RunError, match=r"weights\.safetensors: there is no checkpoint beside it"):
        fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)


def abandoned(name: str) -> str:
    """Name the half-written file that a process of this machine, long gone, left of `name`."""
    node = re.sub(r"\W", "", platform.node())[:30]
    return f".{name}.{node}-{10**9}-1.part"  # no process has such a number


def test_debris_of_a_killed_process_is_swept_away(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=1)
    debris = tmp_path / "checkpoints" / abandoned("step-000000002.safetensors")
    debris.write_bytes(b"half")
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    names = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {
        "weights.safetensors", "metrics.jsonl", "best-000000021.safetensors",
        "best-000000014.safetensors", "step-000000014.json", "step-000000014.safetensors",
        "step-000000021.json", "step-000000021.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["checkpoints/step-000000002.json", "checkpoints/best-000000002.saf", "weights.safetensors",
     "metrics.jsonl"],
)  # fmt: skip
def test_every_kind_of_debris_is_swept_and_nothing_else(
    toy: ModuleType, tmp_path: Path, name: str
) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=1)
    debris = (tmp_path / name).with_name(abandoned(Path(name).name))
    debris.write_bytes(b"half")
    (tmp_path / abandoned("diary.txt")).write_bytes(b"dear diary")
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=1)
    assert not debris.exists()
    assert (tmp_path / abandoned("diary.txt")).exists()


def test_files_of_others_stay_whatever_they_are_called(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=8)
    strangers = [
        "checkpoints/.step-notes.part", ".metrics.jsonl.mine.part", "checkpoints/step-mine.json",
        ".weights.safetensors.backup.part", "checkpoints/step-mine.safetensors",
        "checkpoints/best-mine.safetensors", "checkpoints/best-000000001.safetensors.old",
    ]  # fmt: skip
    for name in strangers:
        (tmp_path / name).write_text("mine")
    folders = [".best-x.part", abandoned("step-000000001.json"), "step-000000001.json"]
    for name in folders:
        (tmp_path / "checkpoints" / name).mkdir()
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert {name: (tmp_path / name).read_text() for name in strangers} == dict.fromkeys(
        strangers, "mine"
    )
    assert all((tmp_path / "checkpoints" / name).is_dir() for name in folders)


LAST, BEFORE = "step-000000010", "step-000000007"


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a checkpoint's JSON by hand, and give it the checksum of what is in it then."""
    content = json.loads(file.read_text())
    change(content)
    del content["sha256"]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(content))


def in_place(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["state"]["place"].update(values)


def in_best(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["state"]["place"]["best"].update(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(x=float("nan")),
        lambda content: content.update(x=float("inf")),
        lambda content: content.pop("state"),
        lambda content: content.update(state=[]),
        lambda content: content.update(state={}),
        lambda content: content.update(tensors_sha256=["x"]),
        lambda content: content.pop("tensors_sha256"),
        lambda content: content["state"].update(random={}),
        lambda content: content["state"]["random"].update(python=[1]),
        lambda content: content["state"]["random"]["numpy"].__setitem__(2, 10**6),
        lambda content: content["state"].update(task=1),
        lambda content: content["state"]["settings"].update(epochs="x"),
        lambda content: content["state"]["place"].pop("history"),
        lambda content: content["state"]["place"].pop("best"),
        lambda content: content["state"]["place"]["best"].pop("sha256"),
        lambda content: content["state"]["place"]["history"][0].pop("loss"),
        *(in_place(step=value) for value in ("x", 10**200, True, -1, None, 9)),
        *(in_place(history=value) for value in ([1], {}, [], [{}], None)),
        *(in_place(best=value) for value in ([], {}, None, {"file": "../../x"})),
        in_place(extra=1), in_place(batch=7), in_place(loss="x"), in_place(reason="bored"),
        in_best(file="../../x"), in_best(file="best-000000007.safetensors/"), in_best(sha256=1),
        in_best(file="metrics.jsonl"), in_best(extra=1), in_best(value="x"), in_best(epoch=99),
    ],
)  # fmt: skip
def test_a_checkpoint_edited_by_hand_gives_way_to_the_one_before(
    toy: ModuleType,
    tmp_path: Path,
    undisturbed: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=7)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=3)
    edit(tmp_path / "checkpoints" / f"{LAST}.json", change)
    fit(toy.Toy(), SETTINGS, tmp_path)
    assert f"{LAST}." in (told := capsys.readouterr().err)
    assert "Going back to the checkpoint before it." in told
    assert ending(tmp_path) == ending(undisturbed)


def test_generators_that_cannot_be_end_in_a_sentence(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=8)
    edit(
        tmp_path / "checkpoints" / "step-000000008.json",
        lambda content: content["state"]["random"]["python"].__setitem__(1, ["x"]),
    )
    with pytest.raises(RunError, match=r"the checkpoint of step 8 does not fit this run \("):
        fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)


@pytest.mark.parametrize("kind", ["pipe", "zeros"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metrics.jsonl", r"metrics\.jsonl: a link, a pipe or a device"),
        ("weights.safetensors", r"weights\.safetensors: a link, a pipe or a device"),
        ("checkpoints/best-000000007.safetensors", ""),
        (f"checkpoints/{LAST}.safetensors", ""),
        (f"checkpoints/{LAST}.json", ""),
    ],
)
def test_what_is_no_file_is_not_waited_for(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, kind: str, name: str, message: str
) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=7)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=3)
    (tmp_path / name).unlink()
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waited for what has no end"))
    signal.alarm(20)
    try:
        if message:
            with pytest.raises(RunError, match=message):
                fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
        else:
            fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    finally:
        signal.alarm(0)
    if not message:
        assert ending(tmp_path) == ending(undisturbed)


def test_an_epoch_without_an_evaluation_leaves_a_checkpoint_too(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy()
    inner = task.loss

    def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
        if task.given == 9:
            raise Stop
        return inner(module, batch)

    task.loss = loss
    with pytest.raises(Stop):
        fit(task, replace(SETTINGS, evaluate_every=3), tmp_path, quiet=True)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"step-000000007.json", "step-000000007.safetensors"}


def test_how_often_is_evaluated_changes_nothing_of_what_is_trained(
    toy: ModuleType, tmp_path: Path
) -> None:
    """The toy's evaluations draw from the generators, and its training has dropout."""
    kept = []
    for every in (1, 3):
        task = toy.Toy()
        task.watched = None  # the last weights are kept
        settings = replace(SETTINGS, evaluate_every=every)
        kept.append(fit(task, settings, tmp_path / str(every), quiet=True).weights.read_bytes())
    assert kept[0] == kept[1]


def test_a_signal_waits_for_the_step_but_not_twice_and_not_in_a_child() -> None:
    interrupts = Interrupts()
    interrupts.handle(signal.SIGTERM, None)  # the first one waits
    with pytest.raises(SystemExit) as caught:
        interrupts.handle(signal.SIGTERM, None)
    assert caught.value.code == 143
    with pytest.raises(KeyboardInterrupt):
        interrupts.handle(signal.SIGINT, None)
    forked = Interrupts()
    forked._process += 1  # as a child of this process sees it
    with pytest.raises(SystemExit):
        forked.handle(signal.SIGTERM, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.03}, r"begun with learning_rate=0\.02, now learning_rate=0\.03"),
        ({"betas": (0.8, 0.9)}, r"begun with betas"),
        ({"seed": 8}, r"begun with seed=7, now seed=8\. Go on with seed=7, or choose"),
        ({"epochs": 2}, r"epochs=3, now epochs=2; it may only grow"),
        ({"patience": 8}, r"patience=9, now patience=8; it may only grow"),
        ({"momentum": 0.8}, r"begun with momentum=0\.9, now momentum=0\.8"),
    ],
)
def test_changed_settings_are_named(
    toy: ModuleType, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    import dataclasses

    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    with pytest.raises(RunError, match=message):
        fit(toy.Toy(), dataclasses.replace(SETTINGS, **change), tmp_path, quiet=True)


def test_a_setting_that_one_side_lacks(toy: ModuleType, tmp_path: Path) -> None:
    values = to_json(SETTINGS)
    check_settings(values, SETTINGS, tmp_path)
    with pytest.raises(RunError, match="begun with later=1, now later=None"):
        check_settings({**values, "later": 1}, SETTINGS, tmp_path)
    older = {name: value for name, value in values.items() if name != "momentum"}
    check_settings(older, SETTINGS, tmp_path)  # as its default, which it was trained by
    with pytest.raises(RunError, match=r"begun with momentum=0\.9, now momentum=0\.5"):
        check_settings(older, replace(SETTINGS, momentum=0.5), tmp_path)


def test_settings_that_may_change_in_between(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    other = replace(SETTINGS, checkpoint_every=1, epochs=4, patience=0)
    assert fit(toy.Toy(), other, tmp_path, quiet=True, stop_after=1).steps == 3


def test_a_changed_task_is_named(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    with pytest.raises(RunError, match=r"begun with batches per epoch 7, now 8"):
        fit(toy.Toy(batches_per_epoch=8), SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    task.watched = None
    with pytest.raises(RunError, match=r"begun with watched 'score', now None"):
        fit(task, SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    task.module.second = torch.nn.Linear(16, 2)
    with pytest.raises(RunError, match=r"'second\.bias' has shape \[1\] in the checkpoint and"):
        fit(task, SETTINGS, tmp_path, quiet=True)


def test_all_generators_come_back() -> None:
    random.gauss()  # leaves half a pair behind, which is part of the state
    np.random.normal()
    tensors, values = randomness.capture()
    values = json.loads(json.dumps(values))

    def draw() -> list[object]:
        return [random.gauss(), random.random(), np.random.normal(), torch.rand(3).tolist()]

    first = draw()
    randomness.restore(tensors, values)
    assert draw() == first


def run_and_kill(toy: ModuleType, folder: Path, settings: str, delay: float) -> bool:
    """Start the toy's program and kill it after a delay; say whether it had ended before."""
    command = [sys.executable, str(toy.__file__), str(folder), settings, "0.002"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is imported and about to train
        time.sleep(delay)
        process.kill()
    return process.returncode == 0


@pytest.mark.slow
def test_killed_by_sigkill_anywhere(toy: ModuleType, tmp_path: Path) -> None:
    settings = '{"epochs": 6, "learning_rate": 0.02, "checkpoint_every": 2}'
    chosen = TrainingSettings(epochs=6, learning_rate=0.02, checkpoint_every=2)
    fit(toy.Toy(), chosen, tmp_path / "a", quiet=True)
    delays = random.Random(4)
    kills = sum(
        not run_and_kill(toy, tmp_path / "b", settings, delays.uniform(0.0, 0.12))
        for _ in range(12)
    )
    assert kills >= 3
    fit(toy.Toy(), chosen, tmp_path / "b", quiet=True)
    assert ending(tmp_path / "b") == ending(tmp_path / "a")


def test_killed_once_by_sigkill(toy: ModuleType, tmp_path: Path, undisturbed: Path) -> None:
    settings = json.dumps(
        {"epochs": 3, "warmup_steps": 4, "learning_rate": 0.02, "seed": 7, "patience": 9,
         "checkpoint_every": 1}
    )  # fmt: skip
    command = [sys.executable, str(toy.__file__), str(tmp_path), settings, "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "checkpoints" / "step-000000009.json").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.kill()
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)
