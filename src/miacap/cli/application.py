"""The `miacap` command: its verbs and its exit codes."""

import os
import sys
from typing import Annotated

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
app.command()(demo)
app.command()(features)
app.add_typer(concepts, name="concepts")
app.command()(train)
app.command()(evaluate)
app.command()(caption)
app.command()(score)
app.command()(judge)
app.command()(tokenize)
app.command()(runs)
app.command()(reproduce)


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


def main() -> None:
    """Run the command line; exit 0, 1 (data or run), 2 (usage) or 130 (interrupted)."""
    try:
        app()
    except MiacapError as error:
        print(f"miacap: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        # The core installs without torch; a verb that needs it says so in a sentence.
        if error.name not in _TORCH_EXTRA:
            raise
        print(f"miacap: {MissingExtra('torch', 'This command')}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("miacap: interrupted; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`miacap ... | head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # No space, no permission, no such folder; without a file it is no matter of the user's.
        if error.filename is None:
            raise
        print(f"miacap: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(1)
