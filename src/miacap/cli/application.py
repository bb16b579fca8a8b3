"""The `miacap` command: its verbs and its exit codes."""

import contextlib
import glob
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer

from miacap import terminal
from miacap.cli import interruption
from miacap.cli.caption import caption
from miacap.cli.concepts import concepts
from miacap.cli.demo import demo
from miacap.cli.evaluate import evaluate
from miacap.cli.explain import explain
from miacap.cli.features import Features, features
from miacap.cli.figure import figure
from miacap.cli.help import Verb, Verbs
from miacap.cli.judge import judge
from miacap.cli.reproduce import reproduce
from miacap.cli.runs import Runs, runs
from miacap.cli.score import score
from miacap.cli.serve import serve
from miacap.cli.tokenize import tokenize
from miacap.cli.train import train
from miacap.cli.tune import tune
from miacap.errors import MiacapError, MissingExtra
from miacap.version import __version__

_USAGE_ERROR: Any = typer.BadParameter.__base__
"""What the parser raises for wrong arguments; typer has it under no public name."""
_TORCH_EXTRA = ("torch", "PIL", "jaxtyping")

app = typer.Typer(
    name="miacap",
    cls=Verbs,
    help="Image captions that you can train, trust, score and explain.",
    epilog="Start with: miacap demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
# What `miacap --help` lists is cut where it does not fit, so each verb has a line that does.
app.command(cls=Verb, short_help="The main job once, on drawn scenes.")(demo)
app.command(cls=Features, short_help="Turn photos into regions, or read yours.")(features)
app.add_typer(concepts, name="concepts", short_help="Find, read or show concepts.")
app.command(cls=Verb, short_help="Train a captioner.")(train)
app.command(cls=Verb, short_help="Fine-tune a backbone on captioned photos.")(tune)
app.command(cls=Verb, short_help="Caption a split with a run, and score it.")(evaluate)
app.command(cls=Verb, short_help="Caption photos with a run, or with several.")(caption)
app.command(cls=Verb, short_help="Show what a captioner attended to in a photo.")(explain)
app.add_typer(figure, name="figure", short_help="Draw a figure of the paper.")
app.command(cls=Verb, short_help="Serve a page to try a run.")(serve)
app.command(cls=Verb, short_help="Score captions as the COCO evaluation does.")(score)
app.command(cls=Verb, short_help="Correlate metrics with human ratings.")(judge)
app.command(cls=Verb, short_help="Tokenise captions as the COCO scorers do.")(tokenize)
app.command(cls=Runs, short_help="List run folders and their best dev scores.")(runs)
app.command(cls=Verb, short_help="Train a row of the paper, or a control.")(reproduce)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from miacap.runs import installed

    terminal.result(f"miacap {__version__}")
    for one in installed():  # what `miacap caption photo.jpg` answers depends on them
        terminal.result(f"captioner {one.name} {one.version}".rstrip())
    raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the versions.")
    ] = False,
) -> None:
    """Image captions that you can train, trust, score and explain."""


_SPINS = "10000"
"""Turns of a waiting thread before it sleeps; some tens of microseconds."""


def _let_threads_sleep() -> None:
    """Have OpenMP's threads spin for a moment alone before they sleep, unless the user says else.

    By default they spin for long, and on a machine with other work every step waits for a thread
    that has no core: two threads are then many times slower than one. Sleeping at once costs a
    free machine a third of its speed; a short spin costs it nothing (docs/log.md). The variable
    is read when torch is first imported, which only verbs do.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def run() -> None:
    """Run the verb that was asked for; exit 0, 1 (data or run), 2 (usage) or 130 (interrupted)."""
    try:
        # What an output cannot write, it says: a letter that its encoding lacks, for one.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        _let_threads_sleep()
        with _warnings_told():
            code = _invoke(sys.argv[1:])
        terminal.flush()  # here, where what goes wrong is still caught
        sys.exit(code)
    except MiacapError as error:
        _end(str(error), 1)
    except ModuleNotFoundError as error:
        # The core installs without torch; a verb that needs it says so in a sentence.
        if error.name not in _TORCH_EXTRA:
            raise
        _end(str(MissingExtra("torch", "This command")), 1)
    except KeyboardInterrupt:
        _end(interruption.sentence(sys.argv[1:]), interruption.CODE)
    except OSError as error:
        _end_of_system_error(error)
    except (MemoryError, RuntimeError) as error:
        if not _is_shortage(error):
            raise
        what = str(error).partition("\n")[0][:200]
        _end(f"not enough memory ({what}); free some, or take less at once.", 1)


def _invoke(arguments: list[str]) -> int:
    """Run a verb and give the exit code; usage errors are said here, all others raise.

    Not through the parser's own `main`, which prints by itself and hides Ctrl-C.
    """
    if os.name == "nt":  # pragma: no cover - other shells have done this
        arguments = [name for word in arguments for name in (sorted(glob.glob(word)) or [word])]
    command = typer.main.get_command(app)
    try:
        with command.make_context("miacap", arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except _USAGE_ERROR as error:
        _tell_usage(error)
        return 2
    return 0


def _tell_usage(error: Any) -> None:
    context, message = error.ctx, error.format_message()
    if context is None:
        terminal.tell(f"Error: {message}")
        return
    if message == context.get_help():  # a group without a verb: its help is the answer
        lines = message.splitlines()
    else:
        lines = [*context.get_usage().splitlines(), f"Try '{context.command_path} -h' for help."]
        lines += ["", f"Error: {message}"]
    for line in lines:
        terminal.tell(line)


@contextlib.contextmanager
def _warnings_told() -> Iterator[None]:
    """Print what libraries warn of as all else is printed, in a line, without our source."""

    def tell(message: Warning | str, *_: Any, **__: Any) -> None:
        terminal.tell(f"warning: {message}")

    before, warnings.showwarning = warnings.showwarning, tell
    try:
        yield
    finally:
        warnings.showwarning = before


def _end_of_system_error(error: OSError) -> NoReturn:
    """End for want of space, permission or a file; quietly where nobody reads any more."""
    if error.filename == terminal.OUTPUT:
        terminal.silence()
        if isinstance(error, BrokenPipeError):  # `miacap ... | head`
            sys.exit(0)
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    _end(f"{where}{error.strerror or error}.", 1)


def _is_shortage(error: MemoryError | RuntimeError) -> bool:
    """Whether memory ran out: Python's, torch's on a GPU, or torch's on the CPU."""
    torch = sys.modules.get("torch")  # where it was not imported, none of its errors came
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    text = str(error)  # torch has no type of its own for this one
    return text.startswith("[enforce fail") and "DefaultCPUAllocator" in text


def _end(message: str, code: int) -> NoReturn:
    with contextlib.suppress(OSError):  # standard error may be full, too
        terminal.tell_end(message)
    sys.exit(code)
