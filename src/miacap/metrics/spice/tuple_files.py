"""Tuples from another parser as a file, in the shape of SPICE's own input.

    {"parser": "my-parser 2.1",
     "images": [{"image_id": 7,
                 "test": [["dog"], ["dog", "brown"], ["dog", "grass", "run on"]],
                 "refs": [[["puppy"]], [["dog"], ["lawn"], ["dog", "lawn", "on"]]]}]}

A tuple is [object], [object, attribute] or [subject, object, relation]; the parts are phrases in
their base form, lower case. The list of images may stand alone, without "parser".
"""

import os
from dataclasses import dataclass
from typing import Any

from miacap.errors import DataError
from miacap.files import output_json
from miacap.metrics.spice.graph import Tuple
from miacap.metrics.spice.scorer import score_tuples
from miacap.metrics.spice.scores import SpiceScores
from miacap.reading import parse_json
from miacap.tables.text import read_text_file

_KEYS = ("image_id", "test", "refs")


@dataclass(frozen=True)
class TupleFile:
    """What a file of tuples holds, pictures in its order.

    Attributes:
        ids: of the pictures, as they stand in the file.
        references: per picture and reference, its tuples.
        candidates: per picture, the candidate's tuples.
        parser: label of what made them.
    """

    ids: list[Any]
    references: list[list[list[Tuple]]]
    candidates: list[list[Tuple]]
    parser: str

    def score(self, detailed: bool = False) -> SpiceScores:
        """SPICE of these tuples; see `score_tuples`."""
        return score_tuples(self.references, self.candidates, parser=self.parser, detailed=detailed)


def read_tuples(path: str | os.PathLike[str]) -> TupleFile:
    """Read a file of tuples, plain or in gzip.

    Raises:
        DataError: names the file, the picture and what is wrong with it.
    """
    content = parse_json(read_text_file(path).text, str(path))
    parser = "unknown"
    if isinstance(content, dict):
        parser = str(content.get("parser", parser))
        content = content.get("images")
    if not isinstance(content, list):
        raise DataError(f'{path}: no list of images; write {{"images": [...]}}.')
    file = TupleFile([], [], [], parser)
    for index, image in enumerate(content):
        where = f"{path}, image {index} (counted from 0)"
        if not isinstance(image, dict) or any(key not in image for key in _KEYS):
            raise DataError(f"{where}: needs the keys {', '.join(_KEYS)}.")
        if not isinstance(image["refs"], list):
            raise DataError(f'{where}: "refs" has to be a list with the tuples of each reference.')
        file.ids.append(image["image_id"])
        file.candidates.append(_tuples(image["test"], where))
        file.references.append([_tuples(reference, where) for reference in image["refs"]])
    return file


def write_tuples(path: str | os.PathLike[str], file: TupleFile) -> None:
    """Write a file that `read_tuples` reads."""
    rows = zip(file.ids, file.candidates, file.references, strict=True)
    images = [{"image_id": i, "test": test, "refs": refs} for i, test, refs in rows]
    output_json(path, {"parser": file.parser, "images": images})


def _tuples(value: Any, where: str) -> list[Tuple]:
    if not isinstance(value, list):
        raise DataError(f"{where}: a caption's tuples have to be a list.")
    for parts in value:
        fits = isinstance(parts, list) and 1 <= len(parts) <= 3
        if not fits or not all(isinstance(part, str) and part for part in parts):
            raise DataError(f"{where}: {parts!r} is no tuple of 1 to 3 phrases.")
    return value
