"""The `miacap` command: its verbs and its exit codes."""

import io
import os
import sys
from typing import Annotated, NoReturn

import typer

from miacap.cli.caption import caption
from miacap.cli.concepts import concepts
from miacap.cli.demo import demo
from miacap.cli.evaluate import evaluate
from miacap.cli.features import features
from miacap.cli.judge import judge
from miacap.cli.reproduce import reproduce
from miacap.cli.runs import runs
from miacap.cli.score import score
from miacap.cli.tokenize import tokenize
from miacap.cli.train import train
from miacap.errors import MiacapError, MissingExtra
from miacap.version import __version__

_TORCH_EXTRA = ("torch", "PIL", "jaxtyping")

app = typer.Typer(
    name="miacap",
    help="Image captions that you can train, trust, score and explain.",
    epilog="Start with: miacap demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
# What `miacap --help` lists is cut where it does not fit, so each verb has a line that does.
app.command(short_help="The main job once, on drawn scenes.")(demo)
app.command(short_help="Turn photos into regions.")(features)
app.add_typer(concepts, name="concepts", short_help="Find, read or show concepts.")
app.command(short_help="Train a captioner.")(train)
app.command(short_help="Caption a split with a run, and score it.")(evaluate)
app.command(short_help="Caption photos with a run, or with several.")(caption)
app.command(short_help="Score captions as the COCO evaluation does.")(score)
app.command(short_help="Correlate metrics with human ratings.")(judge)
app.command(short_help="Tokenise captions as the COCO scorers do.")(tokenize)
app.command(short_help="List run folders and their best dev scores.")(runs)
app.command(short_help="Train a row of the paper, or a control.")(reproduce)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"miacap {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
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


def main() -> None:
    """Run the command line; exit 0, 1 (data or run), 2 (usage) or 130 (interrupted)."""
    try:
        # What an output cannot write, it says: a file name in bytes that are no text, for one.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        _run()
    except MiacapError as error:
        _end(str(error), 1)
    except ModuleNotFoundError as error:
        # The core installs without torch; a verb that needs it says so in a sentence.
        if error.name not in _TORCH_EXTRA:
            raise
        _end(str(MissingExtra("torch", "This command")), 1)
    except KeyboardInterrupt:
        _end("interrupted; the same command goes on from here.", 130)
    except BrokenPipeError:
        # The reader went away (`miacap ... | head`); nothing more can be said to it.
        _silence()
        sys.exit(0)
    except OSError as error:
        # No space, no permission, no such folder; without a name it is what we print to.
        _silence()
        _end(f"{error.filename or 'standard output'}: {error.strerror or error}.", 1)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        what = str(error).partition("\n")[0][:200]
        _end(f"not enough memory ({what}); take smaller sizes, batches or beams.", 1)


def _run() -> None:
    _let_threads_sleep()
    try:
        app()
    except SystemExit as end:
        if end.code == 130:  # typer's answer to Ctrl-C, without a word
            raise KeyboardInterrupt from None
        sys.stdout.flush()  # here, where what goes wrong is still caught
        raise


def _end(message: str, code: int) -> NoReturn:
    print(f"miacap: {message}", file=sys.stderr)
    sys.exit(code)


def _silence() -> None:
    """Send what is still to be printed nowhere, or the interpreter fails on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
