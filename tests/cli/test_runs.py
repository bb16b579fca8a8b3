"""`miacap runs`: what runs there are, with their state, and what is near a misspelt one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from miacap import captioning, runs
from miacap.captioning import Row
from miacap.cli import runs_pack
from miacap.cli.application import _invoke
from miacap.cli.runs import runs as command
from miacap.errors import RunError
from miacap.runs import pretrained
from miacap.runs.overview import near, overview

GOOD = {"epoch": 2, "BLEU-4": 0.125, "CIDEr-D": 0.25}


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists end with the captioners that are installed: here with none, whoever runs this."""
    monkeypatch.setattr(pretrained, "entry_points", lambda group: [])


def a_run(root: Path, name: str, log: str | None, card: bool = False, settings: str = "") -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "vocabulary.json").write_text("[]")
    (folder / "settings.json").write_text(settings or '{"captioner": "nic", "source": "plain"}')
    if log is not None:
        (folder / "metrics.jsonl").write_text(log)
    if card:
        (folder / "README.md").write_text("a card")
    return folder


def test_runs_are_listed_with_state_and_the_scores_of_the_epoch_that_was_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{**GOOD, "epoch": 1, "CIDEr-D": 0.125, "BLEU-4": 0.5}, GOOD, {**GOOD, "epoch": 3,
            "CIDEr-D": 0.1875}]  # fmt: skip
    log = "".join(json.dumps(row) + "\n" for row in rows)
    a_run(tmp_path, "a-finished", log, card=True)
    a_run(tmp_path, "b-interrupted", log)
    a_run(tmp_path, "c-laid", None)
    a_run(tmp_path, "d-half", log + '{"CIDEr-D": 0.2')
    a_run(tmp_path, "e-number", "7\n")
    a_run(tmp_path, "f-list", log, settings="[]")
    a_run(tmp_path, "g-long", '{"epoch": 1, "CIDEr-D": 1' + "0" * 400 + "}\n")
    a_run(tmp_path, "h-deep", "[" * 100_000 + "\n")
    command(Path())
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["run", "captioner", "source", "state", "epoch", "CIDEr-D"]
    best = ["2/3", "0.2500"]
    damaged = ["nic", "plain", "damaged", "-", "-"]
    assert [line.split()[1:] for line in out[1:]] == [
        ["nic", "plain", "finished", *best],
        ["nic", "plain", "interrupted", *best],
        ["nic", "plain", "laid", "-", "-"],
        damaged, damaged, ["-", "-", *damaged[2:]], damaged, damaged,
    ]  # fmt: skip


@pytest.mark.parametrize(("watch", "best"), [("-loss per word", "3"), ("loss per word", "1")])
def test_the_epoch_that_was_kept_is_that_of_the_watched_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    watch: str, best: str,
) -> None:  # fmt: skip
    """An epoch without that score was chosen by nothing, least of all by a 0."""
    monkeypatch.chdir(tmp_path)
    losses = [{"loss per word": 4.0}, {}, {"loss per word": 2.0}, {"loss per word": 3.0}]
    rows = [{**GOOD, **loss, "epoch": epoch} for epoch, loss in enumerate(losses, start=1)]
    settings = {"captioner": "nic", "source": "plain", "training": {"watch": watch}}
    log = "".join(json.dumps(row) + "\n" for row in rows)
    a_run(tmp_path, "run", log, settings=json.dumps(settings))
    command(Path())
    assert capsys.readouterr().out.splitlines()[1].split()[4] == f"{best}/4"


def test_settings_in_which_runs_differ_stand_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def settings(width: int, **more: object) -> str:
        sizes = {"width": width, "dropout": 0.3}
        return json.dumps({"captioner": "nic", "source": "plain", "sizes": sizes, **more})

    a_run(tmp_path, "narrow", None, settings=settings(256, beam=3, start={"sha256": "ab" * 32}))
    a_run(tmp_path, "wide", None, settings=settings(512, beam=3, note="\x1b[31m", long="x" * 60))
    a_run(tmp_path, "z-broken", None, settings="7")
    command(Path())
    out = capsys.readouterr().out.splitlines()
    assert out[4:] == [
        "",
        "settings in which they differ",
        "narrow: sizes.width=256  start.sha256=abababababab...",
        "wide: sizes.width=512  note=\\x1b[31m",
        f"    long={'x' * 60}",
        "z-broken: -",
    ]


def test_runs_that_do_not_differ_are_listed_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_run(tmp_path, "one", None)
    a_run(tmp_path, "two", None, settings='{"captioner": "adaptive", "source": "plain"}')
    command(Path())
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_as_log_is_damage_and_not_waited_for(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "r", None)
    os.mkfifo(folder / "metrics.jsonl")
    assert overview(folder).state == "damaged"


def test_the_nearest_run_is_offered(tmp_path: Path) -> None:
    a_run(tmp_path, "combined", None)
    a_run(tmp_path, "plain", None)
    (tmp_path / "combinde").mkdir()  # no run
    wanted = f" Did you mean {str(tmp_path / 'combined')!r}?"
    assert near(tmp_path / "combind") == wanted
    assert near(tmp_path / "xyz") == "" and near(tmp_path / "none" / "combined") == ""
    with pytest.raises(RunError) as error:
        runs.load(tmp_path / "combind")
    assert wanted in str(error.value)


_WITHOUT_TORCH = """
import sys
sys.modules.update(torch=None, PIL=None, jaxtyping=None)
sys.argv = ["miacap", *sys.argv[1:]]
from miacap.cli import main
main()
"""


@pytest.mark.parametrize("verb", ["runs", "reproduce"])
def test_lists_need_no_torch(tmp_path: Path, verb: str) -> None:
    a_run(tmp_path, "combined", None)
    arguments = [str(tmp_path)] if verb == "runs" else []
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, verb, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ("laid" if verb == "runs" else "nic-plain ") in done.stdout


def test_installed_captioners_stand_below_and_alone_where_there_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    inside = a_run(tmp_path, "inside", json.dumps(GOOD) + "\n", card=True)
    whole, broken = mock.Mock(folder=inside, version="1.0"), mock.Mock(version="2.0")
    whole.name, broken.name = "box", "broken"
    type(broken).folder = mock.PropertyMock(side_effect=RunError("no folder"))
    monkeypatch.setattr(pretrained, "installed", lambda: (whole, broken))
    told = [
        "installed",
        "  box 1.0: nic, plain, dev CIDEr-D 0.2500",
        "  broken 2.0: not whole, install it again",
    ]
    command()
    assert capsys.readouterr().out.splitlines() == told
    command(tmp_path)
    assert capsys.readouterr().out.splitlines()[-3:] == told
    with pytest.raises(RunError, match="no run folders here"):
        command(tmp_path / "elsewhere")


def test_a_run_is_packed_and_its_captions_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = mock.Mock(bytes=1_260_000, before=2_500_000, run="packed")
    given, rows = [], {"r": ("A dog.", "A cat."), "packed": ("A dog.", "A car.")}
    monkeypatch.setattr(runs, "pack", lambda *paths: given.append(paths) or packed, raising=False)
    monkeypatch.setattr(runs, "load", lambda folder: str(folder), raising=False)
    monkeypatch.setattr(runs_pack, "read_with_photos", lambda *_: "data")
    captioned = lambda run, *_, **__: [Row(str(i), text) for i, text in enumerate(rows[run])]  # noqa: E731
    monkeypatch.setattr(captioning, "captions_of", captioned, raising=False)
    assert _invoke(["runs", "pack", "r", "-o", "small", "--compare", str(tmp_path), "-q"]) == 0
    assert given == [(Path("r"), Path("small"))]
    assert capsys.readouterr().out.splitlines() == [
        "small: 1.3 MB; weights and networks had 2.5 MB",
        "dev: 1 of 2 captions differs (50.00 %)",
        "  1: A cat. | A car.",
    ]
