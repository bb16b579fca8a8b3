"""DATA of a verb that reads features: with its photos, or without where nothing looks at them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miacap.data import Dataset

NONE = "none"
"""What `--photos` says where DATA is captions alone."""


def read_dataset(
    data: Path,
    photos: list[Path] | None,
    features: Path | None = None,
    splits: str | None = None,
) -> "Dataset":
    """Read DATA for a verb whose pictures come from features.

    Features that somebody brought need no photos, and who has them may have none.

    Args:
        data: as on the command line.
        photos: of the option `--photos`; `none` reads captions alone.
        features: folder of the features that are read.
        splits: of the option `--splits`.

    Raises:
        DataError: as `data.read`.
    """
    from miacap.data import NoPhotos, read

    alone = photos == [Path(NONE)] and not Path(NONE).exists()
    if alone or (not photos and features is not None and _are_given(features)):
        return read(data, photos=NoPhotos(), splits=splits)
    return read(data, photos=photos, splits=splits)


def read_with_photos(data: Path, photos: list[Path] | None, splits: str | None = None) -> "Dataset":
    """Read DATA for a verb that looks at photos.

    Raises:
        DataError: as `data.read`, or `--photos none`.
    """
    from miacap.data import read
    from miacap.errors import DataError

    if photos == [Path(NONE)] and not Path(NONE).exists():
        raise DataError(
            f"--photos {NONE} reads captions alone, and this command looks at photos: say where "
            "they are with --photos FOLDER."
        )
    if splits is None:
        return read(data, photos=photos)
    return read(data, photos=photos, splits=splits)


def require_there(*paths: Path | None, unpacks: bool = False) -> None:
    """See that what a person named is there, before the data is read, which may take long.

    Args:
        paths: as they were typed; None where nothing was.
        unpacks: whether files in gzip are read too.

    Raises:
        DataError: there is no such file or folder.
    """
    from miacap.reading import absent

    for path in paths:
        if path is not None and not path.exists():
            raise absent(path, "file or folder", unpacks=unpacks)


def _are_given(features: Path) -> bool:
    from miacap.data import Given
    from miacap.data.manifest import Manifest
    from miacap.errors import MiacapError

    try:
        return isinstance(Manifest.read(features).preprocessing, Given)
    except MiacapError:
        return False  # said when the features are opened
