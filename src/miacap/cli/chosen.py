"""The run that a verb is about: the one that is named, or the captioner that is installed."""

from collections.abc import Sequence
from pathlib import Path

import typer


def chosen_runs(named: Sequence[Path] | None, what: str = "captions need") -> list[Path]:
    """Give the run folders that are meant; see `runs.chosen`.

    Args:
        named: what `--run` says, once or several times; nothing takes the installed captioner.
        what: who needs a run, for the message.

    Raises:
        typer.BadParameter: nothing is named and nothing is installed; says what lies near.
        RunError: the installed captioner is not whole.
    """
    from miacap.cli.nearby import runs_near
    from miacap.runs.pretrained import INSTALL, NoneInstalled
    from miacap.runs.pretrained import chosen as choose

    try:
        return list(choose(named))
    except NoneInstalled:
        raise typer.BadParameter(
            f"{what} a trained run: install one (in a checkout: {INSTALL}), or name one with "
            f"--run RUN: {runs_near()}.",
            param_hint="'--run'",
        ) from None


def chosen_run(named: Path | None, what: str = "captions need") -> Path:
    """Give the one run folder that is meant; arguments and errors are those of `chosen_runs`."""
    return chosen_runs([] if named is None else [named], what)[0]
