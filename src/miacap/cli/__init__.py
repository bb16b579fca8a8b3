"""Room: cli. One thin file per verb; all work lies in the rooms below.

May import every room, lazily inside the verbs, so that `miacap --help` stays quick.
Results go to standard output, progress and warnings to standard error; exit codes
are 0, 1 (data or run) and 2 (usage).
"""

from miacap.cli.application import main

__all__ = ["main"]
