"""Files of references and candidates, in every form that people keep them in.

    COCO annotations   {"images": [...], "annotations": [{"image_id": 1, "caption": "..."}]}
    COCO results       [{"image_id": 1, "caption": "..."}]
    Karpathy           {"images": [{"cocoid": 1, "sentences": [{"raw": "..."}]}]}
    a dictionary       {"1": "..."} or {"1": ["...", "..."]} or {"1": [{"caption": "..."}]}
    JSON Lines         {"id": "1.jpg", "caption": "..."} or {"id": "1.jpg", "captions": [...]}
    CSV, TSV           a header with an id column and one or more caption columns; also with
                       ";" or "|" between them (Flickr30k's results.csv)
    Flickr tokens      1.jpg#0<TAB>...

The form is read from the content, never from the name; gzip is undone.
"""

import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from miacap.errors import DataError
from miacap.metrics.matching import few, text_id

ID_NAMES = (
    "image_id",
    "cocoid",
    "id",
    "file_name",
    "filename",
    "file",
    "image",
    "image_name",
    "photo",
    "picture",
    "path",
    "name",
)
CAPTION_NAMES = (
    "caption",
    "captions",
    "candidate",
    "prediction",
    "hypothesis",
    "reference",
    "references",
    "sentence",
    "sentences",
    "text",
    "comment",
    "raw",
)


@dataclass(frozen=True)
class Row:
    """Captions of one picture, as one place of a file gives them.

    Attributes:
        id: the picture.
        captions: none (an error was reported), one or more.
        where: file and place, for messages.
        key: the caption's own id where the file has one (``1.jpg#0``).
    """

    id: str
    captions: tuple[str, ...]
    where: str
    key: str = ""


def read_references(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Read references: id -> captions, in the file's order of pictures.

    Rows of the same id add up. Raises DataError that names the file and the place.
    """
    found: dict[str, list[str]] = {}
    for row in read_rows(path):
        found.setdefault(row.id, []).extend(row.captions)
    return found


def read_candidates(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read candidates: id -> caption.

    Rows that only report an error (``{"id": ..., "error": ...}``) give no candidate.
    Raises DataError, also for an id with more than one caption.
    """
    found: dict[str, str] = {}
    twice: dict[str, None] = {}
    for row in read_rows(path):
        for caption in row.captions:
            if row.id in found:
                twice[row.id] = None
            found[row.id] = caption
    if twice:
        raise DataError(
            f"{path}: {len(twice)} ids have more than one candidate: {few(twice)}. "
            "A picture is scored on one caption: keep one row each."
        )
    return found


def read_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Yield the rows of a file of captions of any known form. Raises DataError."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if not start:
        raise DataError(f"{path}: the file is empty.")
    if start in "{[" and (value := _whole_json(text, path)) is not None:
        return _json_rows(value[0], str(path))
    if start == "{":
        return _json_lines(text, str(path))
    return _table(text, str(path))


def read_text(path: str | os.PathLike[str]) -> str:
    """Read UTF-8 text, with or without gzip and a byte order mark. Raises DataError."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder; name the file of captions in it.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8.") from None


def _whole_json(text: str, path: str | os.PathLike[str]) -> tuple[object] | None:
    """The file as one JSON value; None where it may be JSON Lines instead."""
    try:
        return (json.loads(text, object_pairs_hook=_no_duplicates),)
    except _DuplicateKey as error:
        raise DataError(f"{path}: the key {error} occurs twice in one object.") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply to be captions.") from None
    except json.JSONDecodeError as error:
        first = text.lstrip().split("\n", 1)[0].rstrip()
        if first.startswith("{") and first.endswith("}") and error.msg == "Extra data":
            return None
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise DataError(f"{path}: cannot be read ({error}).") from None


class _DuplicateKey(Exception):
    pass


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKey(repr(key))
            seen.add(key)
    return result


def _json_rows(value: object, path: str) -> Iterator[Row]:
    if isinstance(value, list):
        return _objects(value, path, "entry")
    assert isinstance(value, dict)
    if isinstance(value.get("annotations"), list):
        return _objects(value["annotations"], path, "annotation")
    images = value.get("images")
    if isinstance(images, list) and images and isinstance(images[0], dict):
        if "sentences" in images[0]:
            return _objects(images, path, "image")
        raise DataError(f"{path}: COCO images without annotations; give the file of captions.")
    if _is_row(value):
        return _objects([value], path, "entry")
    return _dictionary(value, path)


def _is_row(value: Mapping[str, object]) -> bool:
    return any(name in value for name in ID_NAMES) and (
        any(name in value for name in CAPTION_NAMES) or "error" in value
    )


def _objects(values: Iterable[object], path: str, what: str) -> Iterator[Row]:
    for number, value in enumerate(values, 1):
        yield _object(value, f"{path}, {what} {number}")


def _object(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object with an id and a caption, got {value!r:.60}.")
    key = next((name for name in ID_NAMES if name in value), None)
    if key is None:
        raise DataError(f"{where}: no id; name it one of {', '.join(ID_NAMES)}.")
    identity = text_id(value[key], where)
    name = next((name for name in CAPTION_NAMES if name in value), None)
    if name is None:
        if "error" in value:
            return Row(identity, (), where)
        raise DataError(f"{where}: no caption; name it one of {', '.join(CAPTION_NAMES)}.")
    return Row(identity, _captions(value[name], where), where)


def _captions(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        name = next((name for name in ("raw", *CAPTION_NAMES) if name in value), None)
        if name is not None and isinstance(value[name], str):
            return (value[name],)
    if isinstance(value, list):
        return tuple(caption for item in value for caption in _captions(item, where))
    raise DataError(f"{where}: a caption is text or a list of texts, not {value!r:.60}.")


def _dictionary(value: Mapping[str, object], path: str) -> Iterator[Row]:
    for key, item in value.items():
        where = f"{path}, id {key}"
        yield Row(text_id(key, where), _captions(item, where), where)


def _json_lines(text: str, path: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(line, object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({error}).") from None
        except _DuplicateKey as error:
            raise DataError(f"{where}: the key {error} occurs twice.") from None
        yield _object(value, where)


def _table(text: str, path: str) -> Iterator[Row]:
    head = text.split("\n", 1)[0].rstrip("\r")
    key, tab, _ = head.partition("\t")
    if tab and key.rpartition("#")[2].isdigit() and "#" in key:
        return _flickr(text, path)
    return _delimited(text, max("\t|;,", key=head.count), path)


def _flickr(text: str, path: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        key, tab, caption = line.rstrip("\r").partition("\t")
        name, sign, _ = key.rpartition("#")
        if not tab or not sign or not name:
            raise DataError(f"{where}: expected NAME.jpg#0<TAB>caption, got {line!r:.60}.")
        yield Row(name, (caption,), where, key)


def _delimited(text: str, delimiter: str, path: str) -> Iterator[Row]:
    # Flickr30k's results.csv has "|" between columns and bare quotes inside its captions.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    try:
        header = [name.strip().lower() for name in next(reader)]
        key = next((name for name in ID_NAMES if name in header), None)
        columns = [
            place
            for place, name in enumerate(header)
            if name != key and name.rstrip("_-0123456789 ") in CAPTION_NAMES
        ]
        if key is None or not columns:
            raise DataError(
                f"{path}: neither JSON, JSON Lines, Flickr tokens nor a table with a header that "
                f"names an id ({', '.join(ID_NAMES[:4])} ...) and a caption; its first line is "
                f"{text.split(chr(10), 1)[0]!r:.60}."
            )
        place = header.index(key)
        for cells in reader:
            if not cells:
                continue
            if delimiter == "|":
                cells = [cell.strip() for cell in cells]
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(
                    f"{where}: {len(cells)} cells under {len(header)} names; "
                    "quote captions that hold the separator."
                )
            # Of several caption columns the empty ones are captions that a picture lacks.
            captions = [cells[c] for c in columns if cells[c] or len(columns) == 1]
            yield Row(text_id(cells[place], where), tuple(captions), where)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table ({error}).") from None
