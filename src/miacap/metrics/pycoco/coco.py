"""What caption evaluation uses of pycocotools' ``COCO``, for machines without pycocotools."""

import copy
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from miacap.errors import DataError
from miacap.files import read_json
from miacap.metrics.matching import few


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
        """Index ``dataset``."""
        self.imgs = {image["id"]: image for image in self.dataset.get("images", [])}
        self.anns, self.imgToAnns = {}, defaultdict(list)
        for annotation in self.dataset.get("annotations", []):
            self.anns[annotation["id"]] = annotation
            self.imgToAnns[annotation["image_id"]].append(annotation)

    def getImgIds(self) -> list[Any]:
        """Ids of all pictures, in the file's order."""
        return list(self.imgs)

    def getAnnIds(self, imgIds: Any = ()) -> list[Any]:
        """Ids of the annotations of some pictures, or of all."""
        wanted = imgIds if isinstance(imgIds, list | tuple | set) else [imgIds]
        if not wanted:
            return list(self.anns)
        return [a["id"] for name in wanted for a in self.imgToAnns.get(name, [])]

    def loadAnns(self, ids: Any = ()) -> list[Any]:
        """Annotations by id."""
        wanted = ids if isinstance(ids, list | tuple | set) else [ids]
        return [self.anns[name] for name in wanted]

    def loadRes(
        self,
        resFile: str | os.PathLike[str] | Sequence[dict[str, Any]],
    ) -> "COCO":
        """Results (a file or a list of {"image_id", "caption"}) as annotations of these pictures.

        Raises:
            DataError: results for pictures that are not here.
        """
        rows = resFile if isinstance(resFile, list | tuple) else read_json(resFile)  # type: ignore[arg-type]
        unknown = [str(row["image_id"]) for row in rows if row["image_id"] not in self.imgs]
        if unknown:
            raise DataError(f"{len(unknown)} results are for unknown pictures: {few(unknown)}.")
        given = {row["image_id"] for row in rows}
        result = COCO()
        result.dataset = {
            "images": [image for name, image in self.imgs.items() if name in given],
            "annotations": [{**copy.copy(row), "id": number} for number, row in enumerate(rows, 1)],
        }
        result.createIndex()
        return result
