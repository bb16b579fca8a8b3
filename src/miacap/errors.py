"""One tree of errors.

    MiacapError              anything that miacap says no to; exit code 1
    +-- DataError            caption files, ids, splits, encodings
    |   +-- PictureError     a photo that cannot be read
    +-- SettingsError        an unknown or wrongly typed setting
    +-- RunError             run folders, checkpoints, feature stores
    +-- UnknownName          a name that no registry holds
    +-- MissingExtra         a part of miacap that is not installed (also an ImportError)

Each message says what was wrong, where, and what to do.
"""

import difflib
from collections.abc import Iterable


class MiacapError(Exception):
    """Root of everything that miacap raises on purpose."""


class DataError(MiacapError):
    """A caption file, an id or a split is not as it should be."""


class PictureError(DataError):
    """A photo cannot be read; callers set it aside, count it and list it."""


class SettingsError(MiacapError):
    """A setting is unknown or has the wrong type or value."""


class RunError(MiacapError):
    """A run folder, checkpoint or feature store cannot be used."""


class UnknownName(MiacapError):
    """A name is in no registry; the message offers the nearest known one.

    Args:
        kind: what the registry holds.
        name: what was asked for.
        known: what is listed.
        near: names among which the nearest is sought, where more are known than listed.
        advice: what to do, where that is known better than by the nearest name.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        near: Iterable[str] | None = None,
        *,
        advice: str = "",
    ) -> None:
        names = list(known)
        hint = f"; {advice}." if advice else f".{nearest(name, names if near is None else near)}"
        super().__init__(f"No {kind} named {name!r}{hint} Known: {', '.join(names) or 'none'}.")


class MissingExtra(MiacapError, ImportError):
    """A part of miacap needs packages that are not installed.

    Args:
        extra: name of the extra, as in `pip install 'miacap[extra]'`.
        what: the part that needs it, as a user would name it.
    """

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} needs the extra [{extra}]: pip install 'miacap[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say " Did you mean 'x'?" for the most similar known name, or nothing."""
    by_folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f" Did you mean {by_folded[close[0]]!r}?" if close else ""
