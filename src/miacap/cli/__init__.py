"""Room: cli. One thin file per verb; all work lies in the rooms below.

May import every room, lazily inside the verbs, so that `miacap --help` stays quick.
Results go to standard output, progress and warnings to standard error; exit codes
are 0, 1 (data or run), 2 (usage) and 130 (interrupted).
"""

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # First of all, and with little to load before it: modules load for seconds.
    from miacap.cli import interruption

    with interruption.watched():
        import sys

        from miacap.cli import collector

        collector.keep_away()
        from miacap import terminal
        from miacap.cli.application import run

        sys.excepthook = terminal.tell_fault
        run()
