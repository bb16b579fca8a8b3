"""Which form a file of features has: looked at, not believed by its name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from miacap.data.given import bottom_up, folders, hdf5, matrix_file, vinvl
from miacap.data.given.arrays import PICKLED
from miacap.data.given.rows import Beside, Found
from miacap.errors import DataError, UnknownName
from miacap.reading import absent, open_file


@dataclass(frozen=True)
class Form:
    """A form of features.

    Attributes:
        title: what it is called in sentences.
        fits: whether a file or folder has it.
        found: gives its pictures.
        takes: what may be given beside it: "ids", "boxes".
    """

    title: str
    fits: Callable[[Path], bool]
    found: Callable[[Path, Beside], Iterator[Found]]
    takes: tuple[str, ...] = ()


FORMS = {
    "hdf5": Form(hdf5.TITLE, hdf5.fits, hdf5.found, ("ids",)),
    "npy": Form(matrix_file.TITLE, matrix_file.fits, matrix_file.found, ("ids",)),
    "folder": Form(folders.TITLE, folders.fits, folders.found, ("boxes",)),
    "vinvl": Form(vinvl.TITLE, vinvl.fits, vinvl.found),
    "bottom-up": Form(bottom_up.TITLE, bottom_up.fits, bottom_up.found),
}
"""By the name that `--form` takes, in the order in which they are tried."""


def form_of(path: Path, name: str | None = None) -> Form:
    """Give the form of a file or folder.

    Args:
        path: of the features.
        name: of its form, where a user says it; then nothing is looked at.

    Raises:
        DataError: absent, pickled, or of no known form.
        UnknownName: no such form.
    """
    if name is not None and name not in FORMS:
        raise UnknownName("form of features", name, tuple(FORMS))
    require_there(path)
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: is no file that can be read twice; name a file or a folder.")
    if name is not None:
        return FORMS[name]
    if not path.is_dir():
        _refuse_known(path)
    elif (path / "data.mdb").is_file():
        _refuse_known(path / "data.mdb")
    for form in FORMS.values():
        if (form is FORMS["folder"] or not path.is_dir()) and form.fits(path):
            return form
    raise DataError(
        f"{path}: no known form of features ({', '.join(FORMS)}); docs/data.md shows each, and "
        "--form NAME forces one."
    )


def require_there(path: Path) -> None:
    """See that a file or folder of features is there. Raises DataError."""
    if not path.exists():
        raise absent(path, "file or folder", unpacks=_fits_a_text(Path(f"{path}.gz")))


def _fits_a_text(path: Path) -> bool:
    """Whether a file is features in one of the forms that are read in gzip too."""
    try:
        return path.is_file() and any(FORMS[name].fits(path) for name in ("vinvl", "bottom-up"))
    except DataError:
        return False


def _refuse_known(path: Path) -> None:
    """Refuse in words what is known and not read: pickles and LMDB."""
    with open_file(path) as file:
        begin = file.read(32)
    if begin[:2] in (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"):
        raise DataError(f"{path}: {PICKLED}.")
    if path.suffix.lower() in (".pth", ".pt", ".pkl", ".pickle"):
        raise DataError(f"{path}: {PICKLED}.")
    if begin[16:20] in (b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde"):
        raise DataError(
            f"{path}: an LMDB database, which is not read; write its values into NPZ files, one "
            "for each picture."
        )


def holds_features(path: Path) -> bool:
    """Whether a path that is meant for captions is features: for a better message."""
    try:
        return path.exists() and form_of(path) is not FORMS["folder"]
    except DataError:
        return False
