"""No verb writes over what it reads, over photos, twice into one file, or into folders of ours."""

import json
import os
from pathlib import Path

import pytest

from miacap.cli.application import _invoke
from miacap.cli.outputs import check_outputs
from miacap.errors import DataError


def captions(folder: Path) -> tuple[Path, Path]:
    """Write references and candidates."""
    (folder / "r").write_text('{"a": ["a dog runs", "the dog"]}')
    (folder / "c").write_text('{"a": "a dog"}')
    return folder / "r", folder / "c"


@pytest.mark.parametrize(
    "options",
    [
        ["--json", "r"],
        ["--per-picture", "c"],
        ["--csv", "link"],
        ["--json", "hard"],
        ["--write-df", "sub/../r"],
        ["--training", "t", "--json", "t"],
        ["--json", "x", "--csv", "./x"],
        ["--json", "photo.jpg"],
    ],
)
def test_score_destroys_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    captions(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("r")
    (tmp_path / "hard").hardlink_to(tmp_path / "c")
    (tmp_path / "t").write_text('{"a": ["a dog"]}')
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(DataError, match=r"write elsewhere|two outputs"):
        _invoke(["score", "r", "c", "-m", "BLEU-1", *options])
    assert capsys.readouterr().out == ""
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before


def test_what_may_be_written_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references, candidates = captions(tmp_path)
    for _ in range(2):  # its own result of before is replaced
        options = ["--json", tmp_path / "x.json", "--csv", os.devnull, "--per-picture", os.devnull]
        arguments = ["score", references, candidates, "-m", "BLEU-1", *options]
        assert _invoke([*map(str, arguments)]) == 0
    assert "BLEU-1" in json.dumps(json.loads((tmp_path / "x.json").read_text()))
    check_outputs([tmp_path / "new.json"], inputs=[tmp_path])


@pytest.mark.parametrize("verb", ["caption", "evaluate", "judge"])
def test_other_verbs_refuse_before_they_read(tmp_path: Path, verb: str) -> None:
    data = tmp_path / "data"
    run = tmp_path / "run"
    for folder in (data, run):
        folder.mkdir()
    held = data / "metadata.jsonl"
    held.write_text("kept")
    (run / "weights.safetensors").write_text("kept")
    commands: dict[str, list[list[object]]] = {
        "caption": [
            [held, "--run", run, "-o", held],
            [held, "--run", run, "-o", run / "weights.safetensors"],
        ],
        "evaluate": [
            [run, data, "--features", run, "-o", held],
            [run, data, "--features", run, "--json", run / "weights.safetensors"],
            [run, data, "--features", tmp_path, "--with", run, "--json", run / "new.json"],
        ],
        "judge": [[held, "--references", run / "x", "--json", held]],
    }
    for arguments in commands[verb]:
        with pytest.raises(DataError, match="write elsewhere"):
            _invoke([verb, *map(str, arguments)])
    assert held.read_text() == (run / "weights.safetensors").read_text() == "kept"


@pytest.mark.parametrize("mark", [".miacap", "settings.json"])
def test_folders_of_ours_take_no_output(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).write_text("run\n")
    (tmp_path / "vocabulary.json").write_text("{}")
    (tmp_path / "inside").mkdir()
    with pytest.raises(DataError, match="which is a folder of miacap; write elsewhere"):
        check_outputs([tmp_path / "inside" / "new.json"])


@pytest.mark.parametrize("name", ["loop", "dangling", "folder", "/proc/version"])
def test_what_cannot_be_written_is_said_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    references, candidates = captions(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere/x.json")
    (tmp_path / "folder").mkdir()
    if not (tmp_path / name).exists() and name.startswith("/"):
        pytest.skip("no /proc here")
    command = ["score", references, candidates, "-m", "BLEU-1", "--json", tmp_path / name]
    with pytest.raises(DataError, match=name):
        _invoke([*map(str, command)])
    assert capsys.readouterr().out == ""
    assert (tmp_path / "loop").is_symlink()


@pytest.mark.parametrize(
    ("name", "said"),
    [("-", r"-: standard output is named /dev/stdout"), ("n" * 300, r"nnn: cannot be written \(")],
)
def test_names_that_cannot_be_files_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        check_outputs([Path(name)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["page.png", "page.JSON", "page.pdf"])
@pytest.mark.parametrize(
    "command",
    [["explain", "p.jpg", "--run", "r", "-o"], ["evaluate", "r", "d", "--features", "f", "--html"]],
    ids=["explain", "evaluate"],
)
def test_a_page_is_not_written_under_another_kinds_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"the page is HTML, for a browser; name it page\.html"):
        _invoke([*command, name])
    assert not list(tmp_path.iterdir())
