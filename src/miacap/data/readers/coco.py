"""COCO's caption annotations, and the JSON files of Karpathy and Li's splits.

COCO: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}.
Karpathy: {"images": [{"filename", "split", "sentences": [{"raw"}], "cocoid"?, "filepath"?}]}.
Ids are COCO's image ids as text where there are any, otherwise file names. VizWiz' captions are
COCO's with two marks, see `captions.left_out_by_vizwiz`.
"""

from typing import Any

from miacap.data.readers.records import CaptionText, Reading
from miacap.errors import DataError
from miacap.tables.captions import left_out_by_vizwiz, without_blanks


def guess(value: Any) -> str | None:
    """Say "coco" or "karpathy", or None where a file's value is neither (JSON Lines, perhaps)."""
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        return None
    return "coco" if "annotations" in value else "karpathy"


def read_karpathy(texts: list[CaptionText], reading: Reading) -> None:
    """Read a dataset_*.json; its split "restval" is train, "val" is dev.

    Raises:
        DataError: another structure; the message names the entry.
    """
    for text in texts:
        reading.begin(text)
        for number, image in enumerate(_value(text)["images"], start=1):
            where = f"{text.path.name}, image {number}"
            id = reading.mention(
                _text(image, "filename", where),
                where,
                id=str(image["cocoid"]) if "cocoid" in image else "",
                folder=image.get("filepath"),
                split=image.get("split"),
            )
            sentences = image.get("sentences")
            if isinstance(sentences, list):
                reading.captions(id, where, [_sentence(one) for one in sentences])


def read_coco(texts: list[CaptionText], reading: Reading) -> None:
    """Read captions_*.json; annotations of images that are not listed are set aside.

    Raises:
        DataError: another structure; the message names the entry.
    """
    # Karpathy and Li's lists divide val2014; what a file is called says less than they do.
    reading.lists_decide = any(text.split for text in texts)
    for text in texts:
        reading.begin(text)
        value = _value(text)
        for number, image in enumerate(value["images"], start=1):
            where = f"{text.path.name}, image {number}"
            id = _id(image, "id", where)
            name = _text(image, "file_name", where)
            own = image.get("split")
            reading.lists_decide = reading.lists_decide and own is None
            reading.mention(name, where, id=id, split=own)
        annotations = value.get("annotations")
        if not isinstance(annotations, list):
            raise DataError(f'{text.path}: expected a list "annotations".')
        for number, annotation in enumerate(annotations, start=1):
            where = f"{text.path.name}, annotation {number}"
            id = _id(annotation, "image_id", where)
            reason = left_out_by_vizwiz(annotation)
            if id not in reading.records:
                reading.leave_out(id, where, "its image is not listed")
            elif reason:
                reading.leave_out(id, where, reason)
            else:
                reading.captions(id, where, annotation.get("caption"))


def _sentence(value: Any) -> Any:
    """Give a sentence; one whose raw form lost its blanks (UCM's did) by its tokens."""
    if not isinstance(value, dict):
        return value
    raw, tokens = value.get("raw"), value.get("tokens")
    if not isinstance(raw, str) or not isinstance(tokens, list) or len(tokens) < 2:
        return value
    if len(raw.split()) > 1 or not all(isinstance(token, str) for token in tokens):
        return value
    return raw if without_blanks(raw) else " ".join(tokens)


def _value(text: CaptionText) -> dict[str, Any]:
    value = text.value
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f'{text.path}: expected an object with a list of objects "images".')
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
