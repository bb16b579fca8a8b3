"""`python -m miacap` is `miacap`."""

from miacap.cli import main

main()
