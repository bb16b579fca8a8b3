"""Where weights are looked for: files and folders that a person names, never what a record names.

A store or a run says which weights made its features by a name and a checksum. Where they lie is
said by whoever uses it: `--weights`, or the variable MIACAP_WEIGHTS (files and folders, separated
as in PATH); after these the caches of the libraries are asked, which work offline. Nothing is
fetched unless that is allowed.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from miacap.errors import DataError, RunError

VARIABLE = "MIACAP_WEIGHTS"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Called:
    """How a network's file of weights may be called.

    Attributes:
        names: of the network, the most exact first: "resnet101.IMAGENET1K_V2", "resnet101".
        published: the file name of its library's own weights, where that is known.
        others: file names of other weights that the library has for it.
    """

    names: tuple[str, ...]
    published: str | None = None
    others: tuple[str, ...] = ()

    def rank(self, file: Path) -> int | None:
        """Say how well a file's name fits, 0 best; None where it is not called like the network."""
        if file.name == self.published:
            return 0
        if file.suffix not in SUFFIXES or file.name in self.others:
            return None
        stem = file.name.removesuffix(file.suffix)
        for number, name in enumerate(self.names):
            if stem == name:
                return 2 * number + 1
            if stem.startswith(f"{name}-"):
                return 2 * number + 2
        return None


@dataclass(frozen=True)
class Places:
    """Where weights may be found.

    Attributes:
        given: files and folders that a person named for the network that is asked for.
        download: whether a library may fetch what is not on this machine.
        offered: files and folders that are there for every network (MIACAP_WEIGHTS); a file of
            them counts where it is called like the network.
    """

    given: tuple[Path, ...] = ()
    download: bool = False
    offered: tuple[Path, ...] = ()

    @classmethod
    def of(cls, given: Iterable[str | os.PathLike[str]] = (), download: bool = False) -> "Places":
        """Take what a person names, and after it what MIACAP_WEIGHTS names.

        Raises:
            DataError: something that was named is not there.
        """
        named = [Path(one) for one in given]
        for path in named:
            if not path.exists():
                raise DataError(f"{path}: there is no such file or folder of weights.")
        further = os.environ.get(VARIABLE, "").split(os.pathsep)
        return cls(tuple(named), download, tuple(Path(one) for one in further if one))

    def file(self, called: Called) -> Path | None:
        """Give the file of weights of a network that is asked for by its name, if one is here.

        A file that a person named is taken as it is, unless it is called like other published
        weights than those that are asked for. Of the files in a folder, the one whose name fits
        best is taken.

        Raises:
            RunError: several fit alike, or the file is called like other weights.
        """
        named = _files(self.given)
        for file in named:
            if file.name in called.others:
                raise RunError(
                    f"{file}: is called like other published weights than those of "
                    f"{called.names[0]}. Name their file, or ask for the weights that it holds."
                )
        for group in (_ranked(named, called) or [(0, file) for file in named],
                      *self._groups(called)):  # fmt: skip
            best = [file for rank, file in group if rank == group[0][0]]
            if len(best) > 1:
                several = ", ".join(str(file) for file in best[:5])
                raise RunError(
                    f"Several files may be the weights of {called.names[0]}: {several}. Name the "
                    "right one: --weights FILE"
                )
            if best:
                return best[0]
        return None

    def files(self, called: Called) -> list[Path]:
        """Give all files that may hold weights of a network, the likeliest first.

        For those who know the checksum: what a person named may be called as it likes.
        """
        named = _files(self.given)
        groups = (_ranked(named, called), *self._groups(called))
        likely = [file for group in groups for _, file in group]
        return list(dict.fromkeys((*likely, *named)))

    def _groups(self, called: Called) -> Iterator[list[tuple[int, Path]]]:
        """Give what is called like a network, place by place."""
        for path in (*self.given, *self.offered):
            yield _ranked(_files(sorted(path.iterdir()) if path.is_dir() else [path]), called)

    def folders(self, name: str) -> list[Path]:
        """Give the folders that may hold the model `name` ("owner/model" or "model")."""
        last = name.rpartition("/")[2]
        found = []
        for path in (*self.given, *self.offered):
            for folder in dict.fromkeys((path, path / name, path / last)):
                if (folder / "config.json").is_file():
                    found.append(folder)
        return found


def _files(paths: Iterable[Path]) -> list[Path]:
    return [path for path in dict.fromkeys(paths) if path.is_file()]


def _ranked(files: Iterable[Path], called: Called) -> list[tuple[int, Path]]:
    """Give the files that are called like a network, best first."""
    found = [(rank, file) for file in files if (rank := called.rank(file)) is not None]
    return sorted(found, key=lambda pair: pair[0])
