"""What is seen of a training while it runs: parts of the loss, speed, waiting, time left."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from miacap.errors import RunError
from miacap.training import Example, TrainingSettings, fit
from miacap.training.logs import laid, summary
from miacap.training.tally import Tally
from miacap.training.task import NOTHING_TOLD, Told

from ..records import timeless

ONE_OF_EACH = TrainingSettings(epochs=2, checkpoint_every=1, threads=1)


def telling(toy: ModuleType, **more: Any) -> Any:
    """The toy task, which says what its loss is made of and what it counts."""

    class Telling(toy.Toy):  # type: ignore[misc, name-defined]
        unit = "captions"
        told = NOTHING_TOLD
        examples = (Example("1.jpg|<b>x</b>", "a *dog*\nruns", "a `cat`"),)

        def loss(self, module: torch.nn.Module, batch: Any) -> tuple[Tensor, float]:
            loss, weight = super().loss(module, batch)
            rows = float(batch[0].sum())
            self.told = Told(5 * len(batch[0]), {"NLL": (2 * loss, weight), "rows": (rows, 0.5)})
            return loss, weight

    return Telling(**more)


def test_parts_are_means_over_all_batches_since_the_last_evaluation(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = telling(toy)
    result = fit(task, TrainingSettings(epochs=4, evaluate_every=2, accumulate=2), tmp_path)
    for line in result.history:
        assert line["train NLL"] == pytest.approx(2 * line["loss"], rel=1e-6)
        # Each row is read twice in two epochs of 7 batches.
        assert line["train rows"] == pytest.approx(2 * float(task.rows.sum()) / 7, rel=1e-5)
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written == list(result.history)


def test_a_stopped_run_tells_the_same_parts(toy: ModuleType, tmp_path: Path) -> None:
    whole = fit(telling(toy), ONE_OF_EACH, tmp_path / "whole", quiet=True)
    while not fit(telling(toy), ONE_OF_EACH, tmp_path / "parts", quiet=True, stop_after=3).finished:
        pass
    again = fit(telling(toy), ONE_OF_EACH, tmp_path / "parts", quiet=True)
    assert [*map(timeless, again.history)] == [*map(timeless, whole.history)]
    assert "train NLL" in timeless(whole.history[0])


def test_a_checkpoint_from_before_there_were_parts_goes_on(toy: ModuleType, tmp_path: Path) -> None:
    from miacap.training import checkpoints

    fit(telling(toy), ONE_OF_EACH, tmp_path, quiet=True, stop_after=3)
    file = tmp_path / "checkpoints" / "step-000000003.json"
    content = json.loads(file.read_text())
    assert content["state"]["place"].pop("parts").keys() == {"NLL", "rows"}
    content.pop("sha256")
    file.write_text(json.dumps({**content, "sha256": checkpoints._digest(content)}))
    said: list[str] = []
    found = checkpoints.newest(tmp_path / "checkpoints", said.append)
    assert found is not None and found.saved.place.step == 3 and not said
    assert fit(toy.Toy(), ONE_OF_EACH, tmp_path, quiet=True).finished


def test_older_versions_read_what_has_no_parts_and_refuse_the_rest_by_its_format(
    toy: ModuleType, tmp_path: Path
) -> None:
    """They know the names in `place` and no other; format 2 they call newer, not damaged."""
    known = {
        "epoch", "batch", "step", "evaluated", "without_gain", "loss", "weight", "seconds",
        "reason", "best", "history",
    }  # fmt: skip
    for name, task, step in (
        ("plain", toy.Toy(), 3), ("telling", telling(toy), 3), ("evaluated", telling(toy), 7)
    ):  # fmt: skip
        fit(task, ONE_OF_EACH, tmp_path / name, quiet=True, stop_after=step)
        file = tmp_path / name / "checkpoints" / f"step-{step:09d}.json"
        content = json.loads(file.read_text())
        has, in_mid_epoch = set(content["state"]["place"]), name == "telling"
        assert has == known | ({"parts"} if in_mid_epoch else set())
        assert content["format"] == (2 if in_mid_epoch else 1)


def test_an_evaluation_may_not_take_a_name_of_the_loop(toy: ModuleType, tmp_path: Path) -> None:
    for index, name in enumerate(("train NLL", "waiting", "seconds left", "loss")):
        task = telling(toy)
        task.evaluate = lambda name=name: {"score": 1.0, name: 2.0}
        with pytest.raises(RunError, match=f"a number named '{name}', which the loop"):
            fit(task, ONE_OF_EACH, tmp_path / str(index), quiet=True)


def test_time_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that is set by hand: 3 s of waiting and 1 s of work for 2 batches."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Task:
        unit = "captions"
        told = Told(torch.tensor(6), {})

    tally = Tally(Task(), torch.device("cpu"))
    for waiting, working in ((1.0, 0.25), (2.0, 0.75)):
        with tally.waiting():
            now[0] += waiting
        with tally.working():
            now[0] += working
        tally.add()
        now[0] += 100.0  # a checkpoint, say
    assert (tally.speed, tally.waiting_share) == (12 / 4.0, 0.75)
    assert tally.seconds_for(10) == 20.0
    tally.begin()
    assert (tally.speed, tally.waiting_share, tally.seconds_for(10)) == (0.0, 0.0, 0.0)


def test_waiting_of_several_processes_is_that_of_the_one_that_waits_most() -> None:
    mine, other = (Tally(object(), torch.device("cpu")) for _ in range(2))
    mine.waited, mine.worked = 1.0, 7.0
    other.waited, other.worked = 6.0, 2.0
    mine.join([mine.told(), other.told()])
    assert (mine.waiting_share, mine.seconds) == (0.75, 8.0)


def test_what_is_left_counts_evaluations_too(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 batches of 2 s an epoch, evaluations of 5 s after every second of 5 epochs."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    task = telling(toy)
    batches, evaluate = task.batches, task.evaluate

    def slow(epoch: int, skip: int) -> Iterator[Any]:
        for batch in batches(epoch, skip):
            now[0] += 2.0
            yield batch

    def long() -> Mapping[str, float]:
        now[0] += 5.0
        return evaluate()

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    task.batches, task.evaluate = slow, long
    result = fit(task, TrainingSettings(epochs=5, evaluate_every=2), tmp_path, quiet=True)
    assert [line.get("seconds left") for line in result.history] == [
        3 * 14.0 + 2 * 5.0,
        14.0 + 5.0,
        None,
    ]
    assert [line["waiting"] for line in result.history] == [1.0] * 3
    assert [line["captions per second"] for line in result.history] == [20 / 2.0] * 3


def test_the_time_of_earlier_sittings_counts(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of 2 s: three in one sitting, two in the next; an hour between them is nobody's."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    spent = []
    for steps in (3, 2):
        task = telling(toy)
        inner = task.loss

        def slow(module: torch.nn.Module, batch: Any, inner: Any = inner) -> Any:
            now[0] += 2.0
            return inner(module, batch)

        task.loss = slow
        spent.append(fit(task, ONE_OF_EACH, tmp_path, quiet=True, stop_after=steps).seconds)
        now[0] += 3600.0
    assert spent == [6.0, 10.0]


def test_lines_fit_80_columns(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With as many numbers as self-critical training of several rewards has."""
    monkeypatch.setattr("miacap.progress._SECONDS_BETWEEN_LINES", 0.0)
    task = telling(toy)
    scores = ("BLEU-4", "ROUGE-L", "distinct", "bad endings", "repeats", "loss per word", "reward")
    task.evaluate = lambda: {"score": -1.23456, **dict.fromkeys(scores, 0.123456)}
    fit(task, TrainingSettings(epochs=2, patience=3), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    during = r"epoch 1/2: 3/7 batches, [\d.]+ captions/s, 0 s left, loss [\d.]+, waiting \d+%"
    assert re.fullmatch(during, lines[2]), lines[2]
    evaluated = next(i for i, line in enumerate(lines) if "best so far" in line)
    wanted = r"epoch 1/2  loss [\d.]+  score -1.235  \(best so far\)  at most 0 s left"
    assert re.fullmatch(wanted, lines[evaluated]), lines[evaluated]
    assert lines[evaluated + 1].startswith("    train NLL ")
    assert not any("left" in line for line in lines[-4:])


def test_what_a_task_doubts_is_told_once(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Doubting(toy.Toy):  # type: ignore[misc, name-defined]
        def doubt(self, record: dict[str, Any]) -> str | None:
            return None if record["epoch"] in (1, 3) else f"bad: {record['epoch']}"

    def said(folder: str, **more: Any) -> list[str]:
        fit(Doubting(), TrainingSettings(epochs=4), tmp_path / folder, **more)
        return [line for line in capsys.readouterr().err.splitlines() if "bad" in line]

    assert said("a") == ["warning: bad: 2"]
    assert said("b", quiet=True) == []
    steps = 3 * Doubting().batches_per_epoch
    assert said("c", label="x", stop_after=steps) == ["x: warning: bad: 2"]
    assert said("c") == []  # it was told before


def test_what_is_as_good_as_nothing_is_shown_as_0() -> None:
    """BLEU of captions without a match is not quite 0, which looks like a fault."""
    record = {"epoch": 1, "loss": 3.0, "BLEU-4": 3.903e-09, "share": -2e-5, "distinct": 1}
    first, cells = summary(record, (), 2, None, "")
    assert first == "epoch 1/2  loss 3" and cells.split("  ")[2:] == [
        "BLEU-4 0", "share -2e-05", "distinct 1",
    ]  # fmt: skip


def test_cells_are_not_broken() -> None:
    cells = ["a" * 30, "b" * 30, "c" * 30, "d" * 100, "e"]
    lines = laid(cells, width=80)
    assert [line.split() for line in lines] == [cells[:2], cells[2:3], cells[3:4], cells[4:]]
    assert all(line.startswith("    ") for line in lines)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_parts_curves_within_an_epoch_and_examples(
    toy: ModuleType, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="the extra [watch] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task = telling(toy, batches_per_epoch=60)
    settings = TrainingSettings(epochs=2, tensorboard=True)
    result = fit(task, settings, tmp_path, quiet=True)
    events = EventAccumulator(str(tmp_path / "checkpoints" / "tensorboard"))
    events.Reload()
    told = [(event.step, event.value) for event in events.Scalars("train NLL")]
    assert told == [(60, pytest.approx(2 * result.history[0]["loss"])),
                    (120, pytest.approx(2 * result.history[1]["loss"]))]  # fmt: skip
    # Since the evaluation before or the last 50 steps, whichever is nearer.
    assert [event.step for event in events.Scalars("steps/loss")] == [50, 100]
    assert [event.step for event in events.Scalars("steps/waiting")] == [50, 100]
    texts = events.Tensors("captions/text_summary")
    assert [event.step for event in texts] == [60, 120]
    text = texts[0].tensor_proto.string_val[0].decode()
    assert "| 1&#46;jpg&#124;&#60;b&#62;x&#60;/b&#62; | a &#42;dog&#42;&#10;runs |" in text
    assert len(text.splitlines()) == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_go_on_where_a_sitting_ended(toy: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra [watch] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = TrainingSettings(epochs=1, tensorboard=True, threads=1)
    found = []
    for name, stop in (("whole", None), ("parts", 50)):
        folder = tmp_path / name
        task = telling(toy, batches_per_epoch=100)
        if not fit(task, settings, folder, quiet=True, stop_after=stop).finished:
            fit(telling(toy, batches_per_epoch=100), settings, folder, quiet=True)
        events = EventAccumulator(str(folder / "checkpoints" / "tensorboard"))
        events.Reload()
        found.append([(event.step, event.value) for event in events.Scalars("steps/loss")])
    assert found[0] == found[1] and len(found[0]) == 2
