"""``concepts.json``: what a folder of concepts, or a run trained with one, says of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from miacap.errors import DataError, RunError
from miacap.files import read_json, write_json

FORMAT = 1
DESCRIPTION = "concepts.json"
KIND = "lists"
"""Stands where a trained extractor has its kind."""

Scores = Literal["ranks", "probabilities"]


@dataclass(frozen=True)
class WordLists:
    """Concepts that were read from a file; there is no extractor of them.

    Attributes:
        words: the concept words, in the order of the scores.
        scores: "ranks" (1 / rank), or "probabilities" where the file gave some.
        file, file_sha256: name and checksum of the file.
    """

    words: tuple[str, ...]
    scores: Scores
    file: str
    file_sha256: str

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the description into a folder of concepts or a run folder."""
        said = {"format": FORMAT, "kind": KIND, "scores": self.scores, "file": self.file,
                "file_sha256": self.file_sha256, "words": list(self.words)}  # fmt: skip
        write_json(Path(folder) / DESCRIPTION, said)

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> "WordLists | None":
        """Give what a folder says, or None where its concepts are no lists, or it has none.

        Raises:
            RunError: a newer format, or a damaged description.
        """
        place = Path(folder)
        file = place / DESCRIPTION
        if not file.is_file():
            return None
        said = description(place)
        if said.get("kind") != KIND:
            return None
        words, texts = said.get("words"), [said.get("file"), said.get("file_sha256")]
        fine = isinstance(words, list) and all(isinstance(one, str) for one in [*words, *texts])
        if not fine or said.get("scores") not in get_args(Scores):
            raise RunError(f"{file}: not a whole description of word lists; copy the file again.")
        return cls(tuple(said["words"]), said["scores"], said["file"], said["file_sha256"])


def no_extractor(folder: Path, file: object) -> RunError:
    """Say that a folder's concepts came from a file, so that there is nothing to find them with."""
    return RunError(
        f"{folder}: its concepts were read from a file ({file}), so there is no extractor that "
        "finds them in a photo. Caption pictures that have lists with: miacap evaluate --concepts "
        "FOLDER (filled by miacap concepts read); for new photos, train with the concepts of: "
        "miacap concepts train"
    )


def description(folder: Path) -> dict[str, Any]:
    """Read a folder's description, whatever its kind. Raises RunError."""
    file = folder / DESCRIPTION
    if not file.is_file():
        raise RunError(
            f"{folder}: no concept extractor here ({DESCRIPTION} is absent); make one with: "
            "miacap concepts train"
        )
    try:
        said = read_json(file)
    except DataError as error:
        raise RunError(str(error)) from None
    if not isinstance(said, dict) or not isinstance(said.get("format"), int):
        raise RunError(f"{file}: not the description of a concept extractor.")
    if said["format"] > FORMAT:
        raise RunError(
            f"{file}: format {said['format']}, this miacap reads {FORMAT}; install a newer miacap."
        )
    return said
