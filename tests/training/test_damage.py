"""Checkpoints that are damaged, lost, edited or somebody else's, and what a kill leaves lying."""

import hashlib
import json
import os
import platform
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from miacap.errors import RunError
from miacap.training import fit

from .endings import SETTINGS, ending


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
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)  # no progress, but this is said
    if (suffix, damage) != ("json", "gone"):  # without its JSON it never was a checkpoint
        err = capsys.readouterr().err
        assert f"step-000000010.{suffix}" in err
        assert "Going back to the checkpoint before it." in err
    assert ending(tmp_path) == ending(undisturbed)


def test_a_damaged_checkpoint_takes_no_place_of_a_later_one(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training went on from before it: two whole ones are kept, and it is told of once."""
    for steps in (7, 3):
        fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=steps)
    corrupt(tmp_path / "checkpoints" / "step-000000010.json")
    for told in (1, 0):
        fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=1)
        assert capsys.readouterr().err.count("step-000000010.json") == told
    names = {path.name for path in (tmp_path / "checkpoints").glob("step-*")}
    steps_kept = [
        f"step-00000000{step}.{kind}" for step in (8, 9) for kind in ("json", "safetensors")
    ]
    assert names == {*steps_kept}


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
