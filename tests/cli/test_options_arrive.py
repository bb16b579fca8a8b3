"""What is asked for on the command line reaches the search, wherever it runs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from miacap import captioning, data, runs
from miacap.captioning import Evaluation, Row
from miacap.captioning.alt_text import LIMIT
from miacap.cli.application import app
from miacap.devices import choose
from miacap.parts import Part
from miacap.training.processes import Processes


def go(*arguments: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The last evaluation that was asked for; nothing is read."""
    last: dict[str, Any] = {}

    def evaluate(run: Any, dataset: Any, split: str, store: Any, **more: Any) -> Evaluation:
        last.update({"run": run, "dataset": dataset, "split": split, "store": store, **more})
        return Evaluation((), 1.0)

    monkeypatch.setattr(captioning, "evaluate", evaluate)
    monkeypatch.setattr(runs, "load", lambda folder: SimpleNamespace(folder=folder, members=()))
    monkeypatch.setattr(runs, "join", lambda found: SimpleNamespace(joined=found, members=()))
    monkeypatch.setattr(data, "read", lambda path, photos=None, splits=None: (path, photos, splits))
    monkeypatch.setattr(data.FeatureStore, "open", lambda folder: folder)
    return last


def test_evaluates_options_reach_the_evaluation(asked: dict[str, Any]) -> None:
    go("evaluate", "r", "d", "--features", "f")
    assert asked["run"].folder == Path("r") and asked["store"] == Path("f")
    assert (asked["beam"], asked["length_penalty"], asked["concepts"]) == (None, None, None)
    assert (asked["split"], asked["device"], asked["quiet"]) == ("dev", choose("auto"), False)
    assert asked["dataset"] == (Path("d"), None, None)
    go("evaluate", "r", "d", "--features", "f", "--beam", "7", "--length-penalty", "0.5",
       "--splits", "draw",
       "--split", "test", "--with", "s", "--with", "t", "--device", "cpu", "-q")  # fmt: skip
    assert (asked["beam"], asked["length_penalty"]) == (7, 0.5)
    assert (asked["split"], asked["device"], asked["quiet"]) == ("test", choose("cpu"), True)
    assert asked["dataset"] == (Path("d"), None, "draw")
    assert [run.folder for run in asked["run"].joined] == [Path("r"), Path("s"), Path("t")]


def test_a_page_and_its_numbers_are_of_the_runs_that_are_named(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from miacap.explain import report

    seen: list[Any] = []
    monkeypatch.setattr(captioning, "inspect_captions", lambda found, data, name: name)
    monkeypatch.setattr(report, "write_report", lambda *a, **more: seen.append((*a, more)))
    photos = object()
    monkeypatch.setattr(data, "read", lambda *_, **__: SimpleNamespace(photos=photos))
    html, numbers = str(tmp_path / "r.html"), tmp_path / "r.json"
    given = ["evaluate", "a/r", "d", "--features", "f", "--html", html]
    go(*given)
    assert seen[-1] == (Path(html), "r", "dev", photos, {"beside": None})
    assert asked["metrics"] == captioning.DEFAULT_METRICS
    go(*given, "--beside", "b/s", "--spice", "--no-photos", "--json", str(numbers))
    assert seen[-1] == (Path(html), "r", "dev", None, {"beside": "s"})
    assert asked["metrics"][-1] == "SPICE" and asked["run"].folder == Path("b/s")
    assert json.loads(numbers.read_text())["beside"]["photos"] == 0
    go(*given, "--beside", "b/r")
    assert seen[-1][1] == "a/r" and seen[-1][4] == {"beside": "b/r"}
    go(*given, "--with", "a/s", "--beside", "b/r")  # an ensemble is called by all its runs
    assert seen[-1][1] == "a/r+s" and seen[-1][4] == {"beside": "b/r"}


def test_frequencies_reach_the_evaluation(asked: dict[str, Any], tmp_path: Path) -> None:
    go("evaluate", "r", "d", "--features", "f")
    assert asked["frequencies"] is None
    (tmp_path / "refs.jsonl").write_text('{"id": "a", "captions": ["a dog", "the dog"]}\n')
    go("evaluate", "r", "d", "--features", "f", "--df", str(tmp_path / "refs.jsonl"))
    found = asked["frequencies"]
    assert found.label == "df:refs.jsonl/1" and found.counts["a", "dog"] == 1
    found.save(tmp_path / "df.json")
    go("evaluate", "r", "d", "--features", "f", "--df", str(tmp_path / "df.json"))
    assert asked["frequencies"] == found


def test_captions_options_reach_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last: dict[str, Any] = {}

    def load(folders: Any, **options: Any) -> Any:
        last.update({"folders": folders, **options})
        return SimpleNamespace(
            rows=lambda photos, ids=None, sharing=None: iter([Row("a", "A dog.", -1.0)]),
            why_uncalibrated=lambda: None,
        )

    monkeypatch.setattr(captioning, "load", load)
    (tmp_path / "a.jpg").write_bytes(b"")
    go("caption", str(tmp_path / "a.jpg"), "--run", "r", "--run", "s", "--beam", "7",
       "--length-penalty", "0.5", "--batch-size", "3", "--device", "cpu", "--weights", "w",
       "--allow-download")  # fmt: skip
    assert [Path(folder) for folder in last.pop("folders")] == [Path("r"), Path("s")]
    assert last == {
        "beam": 7, "length_penalty": 0.5, "batch_size": 3, "device": choose("cpu"),
        "weights": [Path("w")], "allow_download": True, "best": 0, "alt_text": None,
    }  # fmt: skip
    go("caption", str(tmp_path / "a.jpg"), "--run", "r", "--best", "4", "--alt", "--limit", "80")
    assert (last["best"], last["alt_text"]) == (4, 80)
    go("caption", str(tmp_path / "a.jpg"), "--run", "r", "--scores")
    assert (last["best"], last["alt_text"]) == (1, None)
    go("caption", str(tmp_path / "a.jpg"), "--run", "r", "--alt")
    assert (last["best"], last["alt_text"]) == (0, LIMIT)


def test_settings_of_features_reach_the_extraction(monkeypatch: pytest.MonkeyPatch) -> None:
    from miacap import visual

    last: dict[str, Any] = {}
    network = SimpleNamespace(
        name="lite",
        weights_sha256="ab" * 32,
        mean=(0.1, 0.2, 0.3),
        std=(0.5,) * 3,
        width=3,
        device="cpu",
        map=lambda x: x,
    )

    class Store(list[int]):
        set_aside, manifest = {}, SimpleNamespace(width=3)

    monkeypatch.setattr(visual, "load", lambda name, device, places: network)
    monkeypatch.setattr(visual, "extract", lambda *a, **more: last.update(more) or Store([1]))
    monkeypatch.setattr(data, "read", lambda path, photos=None: SimpleNamespace(set_aside=()))
    go(
        "features",
        "d",
        "-o",
        "f",
        "--backbone",
        "lite",
        "--set",
        "grid=[7,10]",
        "--set",
        "size=320",
    )
    record = last["regions"].record
    assert (record.backbone, record.grid, record.size) == ("lite", (7, 10), 320)
    assert record.mean == (0.1, 0.2, 0.3) and last["regions"].backbone is network


def test_the_detector_and_its_boxes_reach_the_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap import visual

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.onnx").touch()

    told: list[Any] = []

    class Store(list[int]):
        set_aside, manifest = {}, SimpleNamespace(width=3)

    network = SimpleNamespace(
        name="lite", weights_sha256="a", mean=(0.5,) * 3, std=(0.5,) * 3, width=3, device="cpu",
        map=lambda x: x,
    )  # fmt: skip
    monkeypatch.setattr(visual, "load", lambda name, device, places: network)
    monkeypatch.setattr(visual, "extract", lambda *a, **more: Store([1]))
    monkeypatch.setattr(data, "read", lambda path, photos=None: SimpleNamespace(set_aside=()))
    monkeypatch.setattr(visual, "regions_named", lambda *a, **more: told.extend([a, more]))
    options = ["--boxes", "10-100", "--threshold", "0.3", "--device", "cpu"]
    go("features", "d", "-o", "f", "--regions", "grid+detector:a.onnx", *options)
    (name, net), more = told
    assert (name, net) == ("grid+detector:a.onnx", network)
    assert (more["boxes"], more["threshold"], more["device"]) == ("10-100", 0.3, choose("cpu"))


def test_several_processes_take_gpus_of_their_own(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second of two processes on a machine with two GPUs."""
    several = Processes(Part(1, 2), torch.device("cuda:1"))
    monkeypatch.setattr("miacap.training.processes.choose", torch.device)
    monkeypatch.setattr("miacap.training.processes.join", lambda device="auto": several)
    monkeypatch.setattr(data, "read", lambda *_, **__: SimpleNamespace(set_aside=()))
    (tmp_path / "a.jpg").write_bytes(b"")
    commands = (
        ("features", "d", "-o", "f"),
        ("evaluate", "r", "d", "--features", "f"),
        ("caption", str(tmp_path / "a.jpg"), "--run", "r"),
    )
    for command in commands:
        done = CliRunner().invoke(app, [*command, "--device", "cuda:0"])
        assert "'cuda:0' would be that of all 2 processes" in str(done.exception), command
    assert not asked
    go(*commands[1])
    assert asked["device"] == torch.device("cuda:1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("caption", "a.jpg", "--limit", "80"),
        ("evaluate", "r", "d", "--features", "f", "--calibrate", "--beam", "3"),
        ("evaluate", "r", "d", "--features", "f", "-o", "d"),
    ],
)
def test_what_is_asked_is_checked_before_processes_join(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def join(device: str) -> None:
        raise AssertionError("joined")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    monkeypatch.setattr("miacap.training.processes.join", join)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception and "joined" not in str(done.exception), done.output
