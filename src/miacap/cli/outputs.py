"""Files that a verb writes: never over what it reads, over photos, or into folders of ours."""

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from miacap.errors import DataError

_Paths = Iterable[Path | None]


def check_outputs(
    outputs: _Paths, inputs: _Paths = (), folders: _Paths = (), drawn: Container[Path] = ()
) -> None:
    """Refuse, before any work, outputs that cannot be written or would destroy something.

    Devices, pipes and `/dev/stdout` may be named as often as one likes.

    Args:
        outputs: files that options name; None where an option was not given.
        inputs: files and folders that the verb reads. A new file may be written into such a
            folder, none that is there is replaced.
        folders: run folders, feature stores and concepts that it reads; nothing is written there.
        drawn: outputs that were drawn here before: they may be replaced though they look as photos.

    Raises:
        DataError: names the file, and says why.
    """
    from miacap.files import check_output

    given = [path for path in outputs if path is not None]
    for path in given:
        check_output(path)
    files = [path for path in given if _is_file_or_new(path)]
    if not files:
        return
    _require_own_names(files)
    read = [path for path in inputs if path is not None]
    ours = {_real(folder) for folder in folders if folder is not None}
    known = set(_identities(read))
    around = {_real(path) for path in read if path.is_dir()}
    for path in files:
        parents = _real(path).parents
        if not known.isdisjoint(_identities([path])) or (
            path.exists() and not around.isdisjoint(parents)
        ):
            raise DataError(f"{path}: this command reads it; write elsewhere.")
        holder = next((folder for folder in parents if folder in ours or _is_ours(folder)), None)
        if holder is not None:
            raise DataError(
                f"{path}: lies in {holder}, which is a folder of miacap; write elsewhere."
            )
        if path.exists() and _is_photo(path) and path not in drawn:
            raise DataError(f"{path}: is a photo or a tar; write elsewhere.")


def check_page(path: Path | None) -> None:
    """Refuse a page of HTML under a name that says something else.

    Raises:
        DataError: the file's name ends as a picture's, a document's or data's does.
    """
    from miacap.tables.names import PHOTO_SUFFIXES

    others = (*PHOTO_SUFFIXES, ".svg", ".pdf", ".json", ".jsonl", ".csv", ".txt", ".md")
    if path is not None and path.suffix.lower() in others:
        raise DataError(
            f"{path}: the page is HTML, for a browser; name it {path.with_suffix('.html').name}."
        )


def _require_own_names(files: Iterable[Path]) -> None:
    seen: set[object] = set()
    for path in files:
        keys = {_real(path), *_identities([path])}
        if not seen.isdisjoint(keys):
            raise DataError(f"{path}: is named for two outputs; give each a file of its own.")
        seen |= keys


def _identities(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Give device and number of each file that is there: other names of one file have the same."""
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield status.st_dev, status.st_ino


def _is_file_or_new(path: Path) -> bool:
    if str(path).startswith(("/dev/", "/proc/self/fd/")):
        return False
    return path.is_file() or not path.exists()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_ours(folder: Path) -> bool:
    """Whether a folder is claimed, a run, or a feature store."""
    from miacap.data.manifest import NAME, Manifest
    from miacap.files import CLAIM
    from miacap.runs.overview import is_run

    if (folder / CLAIM).is_file() or is_run(folder):
        return True
    if not (folder / NAME).is_file():
        return False
    try:
        Manifest.read(folder)
    except DataError:  # some other program's
        return False
    return True


def _is_photo(path: Path) -> bool:
    from miacap.tables.names import PHOTO_SUFFIXES

    return path.suffix.lower() in (*PHOTO_SUFFIXES, ".tar")
