"""Trained captioners that are installed as packages, and which one is taken where none is named.

A distribution that carries a run folder says so with an entry point:

    [project.entry-points."miacap.pretrained"]
    miacap-flickr8k = "miacap_flickr8k"      # a package whose folder `run` is a run folder

The package is looked up, never imported: no code of it runs.
"""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from miacap import terminal
from miacap.errors import RunError
from miacap.runs.overview import is_run
from miacap.wording import first_names

__all__ = [
    "GROUP",
    "INSTALL",
    "Folder",
    "Installed",
    "NoneInstalled",
    "chosen",
    "installed",
    "name_of",
    "names_of",
]

GROUP = "miacap.pretrained"
FOLDER = "run"
INSTALL = "pip install ./pretrained/flickr8k"
"""What installs the captioner of this repository, in a checkout."""
_LISTED = 5

Folder = str | os.PathLike[str]


class NoneInstalled(RunError):
    """No run was named, and no captioner is installed."""

    def __init__(self) -> None:
        super().__init__(
            f"No run is named and no captioner is installed. Install one (in a checkout of miacap: "
            f"{INSTALL}), or name a run folder."
        )


@dataclass(frozen=True)
class Installed:
    """A captioner that is installed as a package.

    Attributes:
        name: by which it is asked for, `--run NAME`.
        package: top-level package that holds the run folder.
        version: of its distribution; empty where that does not say.
    """

    name: str
    package: str
    version: str = ""

    @property
    def folder(self) -> Path:
        """Its run folder.

        Raises:
            RunError: the package or the folder is not there.
        """
        # The parents of a dotted name would be imported.
        spec = importlib.util.find_spec(self.package) if self.package.isidentifier() else None
        places = () if spec is None else spec.submodule_search_locations or ()
        for place in places:
            if is_run(Path(place) / FOLDER):
                return Path(place) / FOLDER
        raise RunError(
            f"The captioner {self.name} is installed, but its package {self.package} holds no run "
            f"folder {FOLDER!r}; install it again."
        )


def installed() -> tuple[Installed, ...]:
    """Give the captioners that are installed, by name."""
    found: dict[str, Installed] = {}
    for point in entry_points(group=GROUP):
        version = "" if point.dist is None else point.dist.version
        found.setdefault(point.name, Installed(point.name, point.module, version))
    return tuple(found[name] for name in sorted(found))


def chosen(named: Folder | Sequence[Folder] | None = None) -> tuple[Path, ...]:
    """Give the run folders that are meant: those that are named, or the installed captioner.

    The one place where this is decided. What is named is a folder, or an installed captioner by
    its name where there is no such folder. Where none is named and several are installed, the
    first by name is taken, and that is said.

    Args:
        named: a run folder or a name, several of them, or nothing.

    Raises:
        NoneInstalled: nothing is named, and nothing is installed.
        RunError: the captioner that is meant is not whole.
    """
    every = [named] if isinstance(named, str | os.PathLike) else list(named or ())
    if every:
        return tuple(_meant(one) for one in every)
    having = installed()
    if not having:
        raise NoneInstalled
    if len(having) > 1:
        others = first_names((one.name for one in having[1:]), _LISTED)
        terminal.tell(f"taking the installed captioner {having[0].name}; also there: {others}")
    return (having[0].folder,)


def name_of(folder: Folder) -> str:
    """Give the name that people know a run by: an installed captioner's own, or its folder's.

    The folders of all installed captioners are called the same. Runs that stand side by side take
    `names_of`.
    """
    return names_of([folder])[0]


def names_of(folders: Sequence[Folder]) -> tuple[str, ...]:
    """Give names that tell runs apart: the shortest ending of each path that no other one has.

    `a/run` and `b/run` are called so, `a/one` and `b/two` are "one" and "two". An installed
    captioner has its own name; a folder that is given twice has one name.
    """
    every = [_parts(folder) for folder in folders]
    return tuple(_ending(own, [other for other in every if other != own]) for own in every)


def _parts(folder: Folder) -> tuple[str, ...]:
    path = Path(os.path.abspath(folder))  # "." has no name; a link keeps its own
    if path.name == FOLDER:
        package = path.resolve().parent.name
        named = next((one.name for one in installed() if one.package == package), None)
        if named is not None:
            return (named,)
    return path.parts


def _ending(own: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    lengths = range(1, len(own) + 1)
    apart = (n for n in lengths if all(other[-n:] != own[-n:] for other in others))
    return Path(*own[-next(apart, len(own)) :]).as_posix()


def _meant(named: Folder) -> Path:
    path = Path(named)
    if path.exists():
        return path
    return next((one.folder for one in installed() if one.name == os.fspath(named)), path)
