"""COCO's caption annotations, and the JSON files of Karpathy and Li's splits.

COCO: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}.
Karpathy: {"images": [{"filename", "split", "sentences": [{"raw"}], "cocoid"?, "filepath"?}]}.
Ids are COCO's image ids as text where there are any, otherwise file names.
"""

from pathlib import Path
from typing import Any

from miacap.data.dataset import source
from miacap.data.lines import parse_json, read_text
from miacap.data.photos import checked_name
from miacap.data.readers.records import Reading
from miacap.errors import DataError


def guess(path: Path, text: str) -> str | None:
    """Say "coco" or "karpathy", or None where the text is neither (JSON Lines, perhaps)."""
    try:
        value = parse_json(text, str(path))
    except DataError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        return None
    return "coco" if "annotations" in value else "karpathy"


def read_karpathy(files: list[Path]) -> Reading:
    """Read a dataset_*.json; its split "restval" is train, "val" is dev.

    Raises:
        DataError: another structure; the message names the entry.
    """
    reading = Reading()
    for path in files:
        reading.sources.append(source(path))
        for number, image in enumerate(_value(path)["images"], start=1):
            where = f"{path.name}, image {number}"
            name = checked_name(_text(image, "filename", where), where)
            folder = image.get("filepath")
            file = checked_name(f"{folder}/{name}", where) if isinstance(folder, str) else name
            id = str(image["cocoid"]) if "cocoid" in image else name
            reading.mention(id, where, file, image.get("split"))
            sentences = image.get("sentences")
            for sentence in sentences if isinstance(sentences, list) else []:
                raw = sentence.get("raw") if isinstance(sentence, dict) else sentence
                reading.caption(id, where, raw)
    return reading


def read_coco(files: list[Path]) -> Reading:
    """Read captions_*.json; annotations of images that are not listed are set aside.

    Raises:
        DataError: another structure; the message names the entry.
    """
    reading = Reading()
    for path in files:
        reading.sources.append(source(path))
        value = _value(path)
        for number, image in enumerate(value["images"], start=1):
            where = f"{path.name}, image {number}"
            file = checked_name(_text(image, "file_name", where), where)
            reading.mention(_id(image, "id", where), where, file, image.get("split"))
        annotations = value.get("annotations")
        if not isinstance(annotations, list):
            raise DataError(f'{path}: expected a list "annotations".')
        for number, annotation in enumerate(annotations, start=1):
            where = f"{path.name}, annotation {number}"
            id = _id(annotation, "image_id", where)
            if id in reading.records:
                reading.caption(id, where, annotation.get("caption"))
            else:
                reading.leave_out(id, where, "its image is not listed")
    return reading


def _value(path: Path) -> dict[str, Any]:
    value = parse_json(read_text(path), str(path))
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f'{path}: expected an object with a list of objects "images".')
    return dict(value)


def _text(image: dict[str, Any], key: str, where: str) -> str:
    if not isinstance(image.get(key), str):
        raise DataError(f"{where}: no {key!r}.")
    return str(image[key])


def _id(row: Any, key: str, where: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DataError(f"{where}: no {key!r}; an id is a number or text.")
    return str(value)
