"""What caption evaluation uses of pycocotools' `COCO`, for machines without pycocotools."""

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from miacap.errors import DataError
from miacap.files import read_json
from miacap.metrics.matching import few
from miacap.wording import counted


class COCO:
    """Caption annotations with an index.

    Attributes:
        dataset: the file's content.
        imgs: picture id -> its entry.
        anns: annotation id -> annotation.
        imgToAnns: picture id -> annotations.
    """

    def __init__(self, annotation_file: str | os.PathLike[str] | None = None) -> None:
        self.dataset: dict[str, Any] = {}
        self.imgs: dict[Any, Any] = {}
        self.anns: dict[Any, Any] = {}
        self.imgToAnns: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        if annotation_file is not None:
            self.dataset = read_json(annotation_file)
            if not isinstance(self.dataset, dict):
                raise DataError(f"{annotation_file}: COCO annotations are one object.")
            self.createIndex()

    def createIndex(self) -> None:
        """Index `dataset`. Raises DataError for an entry that lacks an id."""
        images = _entries(self.dataset.get("images", []), "image", "id")
        annotations = _entries(self.dataset.get("annotations", []), "annotation", "id", "image_id")
        self.imgs = {image["id"]: image for image in images}
        self.anns, self.imgToAnns = {}, defaultdict(list)
        for annotation in annotations:
            self.anns[annotation["id"]] = annotation
            self.imgToAnns[annotation["image_id"]].append(annotation)

    def getImgIds(self, imgIds: Any = ()) -> list[Any]:
        """Ids of all pictures, in the file's order, or of those of `imgIds` that are here."""
        wanted = set(_listed(imgIds))
        return [name for name in self.imgs if not wanted or name in wanted]

    def getAnnIds(self, imgIds: Any = ()) -> list[Any]:
        """Ids of the annotations of some pictures, or of all."""
        wanted = _listed(imgIds)
        if not wanted:
            return list(self.anns)
        return [a["id"] for name in wanted for a in self.imgToAnns.get(name, [])]

    def loadAnns(self, ids: Any = ()) -> list[Any]:
        """Annotations by id."""
        return [self.anns[name] for name in _listed(ids)]

    def loadImgs(self, ids: Any = ()) -> list[Any]:
        """Pictures' entries by id."""
        return [self.imgs[name] for name in _listed(ids)]

    def loadRes(
        self,
        resFile: str | os.PathLike[str] | Sequence[dict[str, Any]],
    ) -> "COCO":
        """Results (a file or a list of {"image_id", "caption"}) as annotations of these pictures.

        Raises:
            DataError: results for pictures that are not here, or no list of results.
        """
        given = read_json(resFile) if isinstance(resFile, str | os.PathLike) else resFile
        rows = _entries(given, "result", "image_id", "caption")
        unknown = [str(row["image_id"]) for row in rows if row["image_id"] not in self.imgs]
        if unknown:
            results = counted(len(unknown), "result is", "results are")
            raise DataError(f"{results} for unknown pictures: {few(unknown)}.")
        names = {row["image_id"] for row in rows}
        result = COCO()
        result.dataset = {
            "images": [image for name, image in self.imgs.items() if name in names],
            "annotations": [{**row, "id": number} for number, row in enumerate(rows, 1)],
        }
        result.createIndex()
        return result


def _listed(ids: Any) -> list[Any]:
    return list(ids) if isinstance(ids, list | tuple | set) else [ids]


def _entries(value: Any, what: str, *keys: str) -> Sequence[dict[str, Any]]:
    """The entries of a list, each an object with the keys. Raises DataError."""
    if not isinstance(value, list | tuple):
        raise DataError(f"COCO {what}s are a list of objects, not {value!r:.60}.")
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, dict) or not all(key in entry for key in keys):
            raise DataError(
                f"COCO {what} {number}: expected an object with {' and '.join(keys)}, "
                f"got {entry!r:.60}."
            )
    return value
