"""How a command ends that is interrupted, or whose output goes nowhere."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

COMMAND = [sys.executable, "-m", "miacap"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and devices of POSIX")


def test_ctrl_c_is_a_sentence_and_130() -> None:
    command = [*COMMAND, "tokenize", "-"]
    # Whoever starts tests in the background may have them ignore the signal: children inherit it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe = subprocess.PIPE
    started = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    signal.signal(signal.SIGINT, before)
    with started as process:
        assert process.stdin and process.stdout and process.stderr
        # Output may leave in blocks; once one is here, the command is at work and waits for input.
        process.stdin.write(b"A dog runs.\n" * 1_500)
        process.stdin.flush()
        assert process.stdout.readline() == b"a dog runs\n"
        process.send_signal(signal.SIGINT)
        text = process.stderr.read().decode()
        process.stdin.close()
    assert process.returncode == 130
    assert text == "miacap: interrupted; the same command starts over.\n"


_AT_IMPORT = """
import os, signal, sys
wanted = sys.argv.pop(1)
class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass  # the signal is heard between two steps of Python
sys.meta_path.insert(0, Sender())
from miacap.cli import main
main()
"""


@pytest.mark.parametrize(
    ("module", "verb", "how"),
    [
        ("miacap.cli.application", "demo", "goes on from here"),
        ("typer", "runs", "starts over"),
        ("torch", "features", "goes on from here"),
        ("torch.nn", "caption", "starts over"),  # in the middle of torch
    ],
)
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_modules_load(
    tmp_path: Path, module: str, verb: str, how: str, ignored: bool
) -> None:
    arguments = {
        "demo": ["-h"], "runs": ["none"], "features": [str(tmp_path), "-o", "f"],
        "caption": ["x.jpg", "--run", "none"],
    }  # fmt: skip
    command = [sys.executable, "-c", _AT_IMPORT, module, verb, *arguments[verb]]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    if ignored:
        assert done.returncode == (0 if verb == "demo" else 1) and "interrupted" not in done.stderr
        return
    assert done.returncode == 130
    assert done.stderr == f"miacap: interrupted; the same command {how}.\n"


_IN_A_VERB = """
import os, signal, sys
class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == "wave":
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass
sys.meta_path.insert(0, Sender())
from miacap.cli import application, main
from miacap.cli.help import Verb
def probe() -> None:
    try:
        import wave
    finally:
        print("closed what was open", flush=True)
application.app.command(cls=Verb)(probe)
main()
"""


def test_ctrl_c_in_an_import_of_a_verb_closes_what_is_open() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-c", _IN_A_VERB, "probe"]
    done = subprocess.run(command, capture_output=True, text=True)
    signal.signal(signal.SIGINT, before)
    assert done.stdout == "closed what was open\n"
    assert done.stderr == "miacap: interrupted; the same command starts over.\n"
    assert done.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "interrupted."),
        (["--version"], "interrupted."),
        (["concepts", "train", "d", "-o", "c"], "interrupted; the same command goes on from here."),
        (["concepts", "read", "l", "d"], "interrupted; the same command starts over."),
        (["reproduce", "nic-plain", "d"], "interrupted; the same command goes on from here."),
        (["evaluate", "r", "d"], "interrupted; the same command starts over."),
    ],
)
def test_what_an_interrupted_command_says(arguments: list[str], said: str) -> None:
    from miacap.cli.interruption import sentence

    assert sentence(arguments) == said


def test_verbs_that_go_on_are_verbs() -> None:
    import typer

    from miacap.cli.application import app
    from miacap.cli.interruption import GOES_ON

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    inner = {f"concepts {name}" for name in verbs["concepts"].commands}
    assert set(GOES_ON) <= set(verbs) | inner


def test_training_in_the_background_of_a_script_is_not_interrupted() -> None:
    from miacap.training.interrupts import postponed

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with postponed() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupts.received is None
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_a_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"miacap: standard output: No space left on device.\n"


def test_too_little_memory_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from miacap.cli import application

    monkeypatch.setattr(application, "_invoke", lambda _: torch.empty(10**14))
    with pytest.raises(SystemExit) as end:
        application.run()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("miacap: not enough memory (")
    shortages = (MemoryError("no room"), torch.OutOfMemoryError("CUDA out of memory."))
    for shortage in shortages:
        monkeypatch.setattr(application, "_invoke", mock.Mock(side_effect=shortage))
        with pytest.raises(SystemExit):
            application.run()
        assert capsys.readouterr().err.startswith(f"miacap: not enough memory ({shortage}); ")
    # A fault of ours is not hidden, whatever words it has.
    for fault in (RuntimeError("size"), RuntimeError("the memory of photo 3 has no rows")):
        monkeypatch.setattr(application, "_invoke", mock.Mock(side_effect=fault))
        with pytest.raises(RuntimeError, match=str(fault)):
            application.run()


def test_a_reader_who_leaves_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_text("A dog runs.\n" * 20_000)
    command = [*COMMAND, "tokenize", str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"a dog runs\n"
        process.stdout.close()
        assert process.stderr.read() == b""
