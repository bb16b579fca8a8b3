"""What `miacap runs` says of runs: their state, also while they are trained, and why they ended."""

import csv
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from miacap.captioning.tuning_begun import begin_with, keep_training
from miacap.cli.runs import Form
from miacap.cli.runs import runs as command
from miacap.errors import DataError, RunError
from miacap.files import write_json
from miacap.locks import is_held, lock
from miacap.runs import BackboneTuning, RunSettings, Start, pretrained
from miacap.runs.overview import listing, overview
from miacap.training import TrainingSettings, fit
from miacap.training.failures import NAME, Diverged, failure, recorded

from ..captioning.small import DATA
from ..training.toy import Toy

LINE = '{"epoch": 1, "step": 7, "CIDEr-D": 0.5, "BLEU-4": 0.25}\n'


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists end with the captioners that are installed: here with none, whoever runs this."""
    monkeypatch.setattr(pretrained, "entry_points", lambda group: [])


def laid(folder: Path, **settings: object) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "vocabulary.json").write_text("[]")
    tree = {"captioner": "nic", "source": "plain", **settings}
    (folder / "settings.json").write_text(json.dumps(tree))
    return folder


def state(folder: Path) -> str:
    return overview(folder).state


def test_a_run_goes_through_its_states(tmp_path: Path) -> None:
    run = laid(tmp_path / "run")
    assert state(run) == "laid"
    (run / "checkpoints" / "step-000000003.json").write_text("{}")
    assert state(run) == "interrupted"
    (run / "metrics.jsonl").write_text(LINE)
    assert state(run) == "interrupted"
    with lock(run / ".lock"):
        assert state(run) == "training"
    (run / "README.md").write_text("a card")
    assert state(run) == "finished"
    (run / "dev.json").write_text('{"step": 7}')
    assert state(run) == "finished"
    # Given more epochs, and killed in one of them.
    (run / "metrics.jsonl").write_text(LINE + LINE.replace("7", "14"))
    assert state(run) == "interrupted"
    write_json(run / "checkpoints" / NAME, {"format": 1, "state": "diverged", "error": "nan"})
    assert (state(run), overview(run).failure) == ("diverged", "nan")
    with lock(run / ".lock"):
        assert state(run) == "training"


def test_a_captioner_that_learns_with_its_backbone_is_listed_from_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "tuned"
    (run / "tuning").mkdir(parents=True)
    settings = {"captioner": "up-down", "source": "plain", "beam": 3}
    write_json(run / "tuning" / "begun.json", {"format": 1, "settings": settings})
    (run / "tuning" / "metrics.jsonl").write_text(LINE)
    (tmp_path / "other" / "tuning").mkdir(parents=True)  # somebody's own
    laid(tmp_path / "other" / "checkpoints" / "began-with" / "xe")
    assert listing(tmp_path) == [run]
    found = overview(run)
    assert (found.captioner, found.state, found.epoch) == ("up-down", "interrupted", 1)
    with lock(run / ".lock"):
        assert state(run) == "training"
    laid(run)  # as it is when training is over: a run, with a card at the very end
    assert listing(tmp_path) == [run] and state(run) == "interrupted"
    (run / "metrics.jsonl").write_text(LINE)
    (run / "README.md").write_text("a card")
    (run / "dev.json").write_text('{"step": 7}')
    assert state(run) == "finished"
    # Given more epochs: what it was lies above, what it is now below.
    better = LINE.replace("7", "14").replace('"epoch": 1', '"epoch": 2').replace("0.5", "0.75")
    (run / "tuning" / "metrics.jsonl").write_text(LINE + better)
    found = overview(run)
    assert (found.state, found.evaluations, found.epoch, found.epochs) == ("interrupted", 2, 2, 2)
    assert found.scores["CIDEr-D"] == 0.75
    checkpoints = run / "tuning" / "checkpoints"
    checkpoints.mkdir()
    write_json(checkpoints / NAME, {"format": 1, "state": "failed", "error": "a photo changed"})
    assert (state(run), overview(run).failure) == ("failed", "a photo changed")
    with lock(run / ".lock"):
        assert state(run) == "training"


def test_training_settings_of_a_captioner_that_is_tuned_are_listed(tmp_path: Path) -> None:
    """The epoch that was kept is the one of the score that they name, as the real file has them."""
    run, start = tmp_path / "tuned", Start("begun", "ab" * 32)
    file = run / "tuning" / "begun.json"
    file.parent.mkdir(parents=True)
    training = TrainingSettings(watch="-loss per word", epochs=3)
    chosen = RunSettings(tuning=BackboneTuning(), start=start, training=training)
    dataset = DATA
    begin_with(file, chosen, dataset, None)
    rows = [
        {"epoch": 1, "step": 7, "CIDEr-D": 0.5, "loss per word": 2.0},
        {"epoch": 2, "step": 14, "CIDEr-D": 0.75, "loss per word": 3.0},
    ]
    (run / "tuning" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = overview(run)
    assert (found.watched, found.epoch, found.settings["training.epochs"]) == (
        "loss per word", 1, "3",
    )  # fmt: skip
    longer = replace(chosen, training=replace(training, epochs=5))
    begin_with(file, longer, dataset, None)  # training itself says whether it goes on so
    assert overview(run).settings["training.epochs"] == "3"
    keep_training(file, longer)
    assert overview(run).settings["training.epochs"] == "5"
    begin_with(file, replace(longer, start=replace(start, run="renamed")), dataset, None)
    with pytest.raises(RunError, match="begun with beam = 3, not 7; choose another folder"):
        begin_with(file, replace(longer, beam=7), dataset, None)

    older = json.loads(file.read_text())
    del older["training"]
    file.write_text(json.dumps(older))
    begin_with(file, longer, dataset, None)
    found = overview(run)
    assert (found.watched, found.epoch, "training.epochs" in found.settings) == (
        "CIDEr-D",
        2,
        False,
    )
    laid(run, training={"watch": "-loss per word", "epochs": 4})  # it was finished by that version
    assert (overview(run).epoch, overview(run).settings["training.epochs"]) == (1, "4")
    keep_training(file, longer)
    assert overview(run).settings["training.epochs"] == "5"


@pytest.mark.parametrize(
    "content",
    [[], [1], None, "x", {}, {"settings": []}, {"settings": [1]}, {"settings": {"start": 3}},
     {"settings": {"start": {}}}],
)  # fmt: skip
def test_a_damaged_beginning_is_named(tmp_path: Path, content: object) -> None:
    file = tmp_path / "tuning" / "begun.json"
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    chosen = RunSettings(tuning=BackboneTuning(), start=Start("begun", "ab" * 32))
    with pytest.raises(RunError, match=r"begun\.json: damaged; delete the folder .*tuning to"):
        begin_with(file, chosen, DATA, None)
    assert overview(tmp_path).state == "damaged"


def test_a_beginning_of_a_newer_version_is_not_called_damaged(tmp_path: Path) -> None:
    file = tmp_path / "tuning" / "begun.json"
    file.parent.mkdir()
    chosen = RunSettings(tuning=BackboneTuning(), start=Start("begun", "ab" * 32))
    begin_with(file, chosen, DATA, None)
    begun = json.loads(file.read_text())
    begun["settings"]["tuning"]["colours"] = 1
    file.write_text(json.dumps(begun))
    message = "unknown setting 'colours'.* Go on with the version of miacap that began it, or"
    with pytest.raises(RunError, match=message) as caught:
        begin_with(file, chosen, DATA, None)
    assert "delete" not in str(caught.value)


def test_a_lock_that_a_killed_process_left_is_not_held(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    assert not is_held(file)
    file.write_text("1234")
    assert not is_held(file) and file.read_text() == "1234"
    with lock(file):
        assert is_held(file) and is_held(file)
    (tmp_path / "folder").mkdir()
    assert not is_held(tmp_path / "folder")


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_no_link_is_followed_to_a_lock(tmp_path: Path) -> None:
    with lock(tmp_path / "theirs"):
        (tmp_path / ".lock").symlink_to(tmp_path / "theirs")
        assert not is_held(tmp_path / ".lock")


def test_looking_at_a_lock_keeps_nobody_out(tmp_path: Path) -> None:
    """Looked at without end, it is had by everybody who wants it within its two seconds."""
    file, stop = tmp_path / ".lock", threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_held(file)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            with lock(file, timeout=2.0):
                pass
    finally:
        stop.set()
        looking.join()


def test_what_a_training_failed_of_is_kept_until_it_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Diverged), recorded(tmp_path):
        raise Diverged("the loss is nan")
    assert failure(tmp_path) == ("diverged", "the loss is nan")
    with pytest.raises(DataError), recorded(tmp_path):
        assert failure(tmp_path) is None  # it goes on
        raise DataError("a photo changed")
    assert failure(tmp_path) == ("failed", "a photo changed")
    with pytest.raises(KeyboardInterrupt), recorded(tmp_path):
        raise KeyboardInterrupt
    assert failure(tmp_path) is None
    with pytest.raises(ZeroDivisionError), recorded(tmp_path / "gone"):
        raise ZeroDivisionError
    for content in ("[]", "{", '{"state": "happy", "error": "x"}', '{"state": "failed"}'):
        (tmp_path / NAME).write_text(content)
        assert failure(tmp_path) is None


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run that watches its loss, one that diverged, one that is only laid."""
    monkeypatch.chdir(tmp_path)
    run = laid(Path("runs/combined-long"), captioner="spatial-attention", source="combined", beam=3,
               training={"watch": "-loss per word"})  # fmt: skip
    rows = [
        {"epoch": 1, "step": 7, "CIDEr-D": 0.5, "BLEU-4": 0.25, "loss per word": 2.0},
        {"epoch": 2, "step": 14, "CIDEr-D": 0.75, "BLEU-4": 0.125, "loss per word": 3.0},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "README.md").write_text("a card")
    broken = laid(Path("runs/diverged"), beam=5)
    long = "training broke down: the loss is nan after step 10 (epoch 2). " * 2
    write_json(broken / "checkpoints" / NAME, {"format": 1, "state": "diverged", "error": long})
    laid(Path("runs/laid"), beam=3)
    return tmp_path


def test_the_table_and_what_stands_below_fit_80_columns(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command()
    out = capsys.readouterr().out.splitlines()
    assert max(map(len, out)) <= 80
    assert [line.split() for line in out[:4]] == [
        ["run", "captioner", "source", "state", "epoch", "CIDEr-D"],
        ["runs/combined-long", "spatial-attention", "combined", "finished", "1/2", "0.5000"],
        ["runs/diverged", "nic", "plain", "diverged", "-", "-"],
        ["runs/laid", "nic", "plain", "laid", "-", "-"],
    ]
    assert out[5] == "runs/diverged: diverged: training broke down: the loss is nan after step 10"
    below = out.index("settings in which they differ")
    assert out[below + 1 :] == [
        "runs/combined-long: beam=3  training.watch=-loss per word",
        "runs/diverged: beam=5",
        "runs/laid: beam=3",
    ]


def test_programs_get_everything(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(form=Form.jsonl)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["scores"] == {"BLEU-4": 0.25, "CIDEr-D": 0.5, "loss per word": 2.0}
    assert (rows[0]["watched"], rows[0]["epoch"], rows[0]["epochs"]) == ("loss per word", 1, 2)
    assert rows[1]["failure"].startswith("training broke down") and rows[0]["failure"] is None
    assert rows[2]["settings"] == {"captioner": "nic", "source": "plain", "beam": "3"}
    command(form=Form.csv)
    read = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["run"] for row in read] == ["runs/combined-long", "runs/diverged", "runs/laid"]
    assert (read[0]["CIDEr-D"], read[0]["loss per word"]) == ("0.5", "2.0")
    assert (read[0]["training.watch"], read[1]["training.watch"]) == ("-loss per word", "")
    assert [row["beam"] for row in read] == ["3", "5", "3"]
    assert [row["state"] for row in read] == ["finished", "diverged", "laid"]


def test_a_run_is_read_while_it_is_trained(tmp_path: Path) -> None:
    """Again and again, until it ends: never damaged, never a line too few."""
    run = laid(tmp_path / "run", training={"watch": "score"})
    begun = threading.Event()

    def train() -> None:
        with lock(run / ".lock"):
            begun.set()
            fit(Toy(2, slow=0.005), TrainingSettings(epochs=8), run, quiet=True)

    training = threading.Thread(target=train)
    training.start()
    begun.wait()
    seen = [overview(run)]
    while training.is_alive():
        seen.append(overview(run))
        time.sleep(0.002)
    training.join()
    states, counts = [one.state for one in seen], [one.evaluations for one in seen]
    assert states[0] == "training" and set(states) <= {"training", "interrupted"}
    assert states == sorted(states, reverse=True)  # "interrupted", without a card, at its end alone
    assert counts == sorted(counts) and len(set(counts)) > 3
    assert overview(run).evaluations == 8


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folders here"):
        command(tmp_path)
