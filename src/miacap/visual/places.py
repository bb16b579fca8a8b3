"""Where weights are looked for: files and folders that a person names, never what a record names.

A store or a run says which weights made its features by a name and a checksum. Where they lie is
said by whoever uses it: `--weights`, or the variable MIACAP_WEIGHTS (files and folders, separated
as in PATH); after these the caches of the libraries are asked, which work offline. Nothing is
fetched unless that is allowed.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from miacap.errors import DataError

VARIABLE = "MIACAP_WEIGHTS"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Places:
    """Where weights may be found.

    Attributes:
        given: files and folders that a person named.
        download: whether a library may fetch what is not on this machine.
    """

    given: tuple[Path, ...] = ()
    download: bool = False

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
        return cls((*named, *(Path(one) for one in further if one)), download)

    def files(self, name: str) -> list[Path]:
        """Give the files that may be weights of `name`, nearest first.

        A file that a person named is taken as it is. In a folder it is called as the network is
        ("resnet101.pth", "resnet101-cd907fc2.pth").
        """
        found = []
        for path in self.given:
            if path.is_file():
                found.append(path)
            elif path.is_dir():
                found += [one for one in sorted(path.iterdir()) if _is_called(one, name)]
        return found

    def folders(self, name: str) -> list[Path]:
        """Give the folders that may hold the model `name` ("owner/model" or "model")."""
        last = name.rpartition("/")[2]
        found = []
        for path in self.given:
            for folder in dict.fromkeys((path, path / name, path / last)):
                if (folder / "config.json").is_file():
                    found.append(folder)
        return found


def _is_called(file: Path, name: str) -> bool:
    if file.suffix not in SUFFIXES or not file.is_file():
        return False
    stem = file.name.removesuffix(file.suffix)
    return stem == name or stem.startswith(f"{name}-")
