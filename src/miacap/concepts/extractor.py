"""A trained extractor on disk: ``extractor.safetensors`` and ``concepts.json``."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from miacap.concepts.described import DESCRIPTION, FORMAT, KIND, description, no_extractor
from miacap.concepts.extractors import KINDS, Kind, MultipleInstance, build
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.errors import DataError, RunError
from miacap.files import atomic, sha256, write_json
from miacap.pictures import collate

WEIGHTS = "extractor.safetensors"


@dataclass(frozen=True, eq=False)
class Extractor:
    """What finds concepts in a picture's region rows.

    Attributes:
        vocabulary: the words it looks for.
        kind: one of ``extractors.KINDS``.
        width: V, length of a region row.
        hidden, dropout: as in ``ConceptSettings``.
        module: the trained network, in eval mode.
        checksum: SHA-256 of the weights' file; empty before it is saved.
    """

    vocabulary: ConceptVocabulary
    kind: Kind
    width: int
    hidden: int
    dropout: float
    module: nn.Module
    checksum: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The concept words, in the order of the scores."""
        return self.vocabulary.words

    def save(self, folder: str | os.PathLike[str]) -> "Extractor":
        """Write both files, the description last. Gives the extractor with its checksum."""
        place = Path(folder)
        tensors = {name: t.detach().cpu() for name, t in self.module.state_dict().items()}
        with atomic(place / WEIGHTS) as file:
            file.write(safetensors.torch.save(tensors, metadata={"format": "pt"}))
        checksum = sha256(place / WEIGHTS)
        description = {
            "format": FORMAT,
            "kind": self.kind,
            "width": self.width,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "weights_sha256": checksum,
            "words": list(self.words),
        }
        write_json(place / DESCRIPTION, description)
        return Extractor(
            self.vocabulary, self.kind, self.width, self.hidden, self.dropout, self.module, checksum
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Extractor":
        """Read what ``save`` wrote, in this folder or in a run folder.

        Raises:
            RunError: no extractor, a newer format, or files that are damaged or do not belong
                together.
        """
        place = Path(folder)
        said = _description(place)
        weights = place / WEIGHTS
        if not weights.is_file():
            raise RunError(f"{weights}: the weights of the concept extractor are absent.")
        if sha256(weights) != said["weights_sha256"]:
            raise RunError(
                f"{weights}: damaged, or not the weights that {DESCRIPTION} beside it speaks of; "
                "copy both files again."
            )
        try:
            vocabulary = ConceptVocabulary(said["words"])
            module = build(
                said["kind"], said["width"], len(vocabulary), said["hidden"], said["dropout"]
            )
            module.load_state_dict(safetensors.torch.load(weights.read_bytes()))
        except (DataError, RuntimeError, ValueError, OSError, SafetensorError) as error:
            raise RunError(f"{weights}: these weights do not fit ({error}).") from None
        return cls(
            vocabulary,
            said["kind"],
            said["width"],
            said["hidden"],
            said["dropout"],
            module.eval(),
            said["weights_sha256"],
        )


@torch.no_grad()
def extract(
    extractor: Extractor, rows: Sequence[Float[Tensor, "_ V"]], batch_size: int = 128
) -> Float[Tensor, "B A"]:
    """Give the probability of every concept for some pictures.

    Args:
        extractor: trained on rows of the same backbone and preparation.
        rows: a picture's k x V region rows; rounded to half precision first, as stores are.
        batch_size: pictures at once.

    Raises:
        DataError: rows of another width.
    """
    found = [torch.zeros(0, len(extractor.words))]
    for matrix, mask in _batches(extractor, rows, batch_size):
        log_yes, _ = extractor.module(matrix, mask)
        found.append(log_yes.exp().float().cpu())
    return torch.cat(found)


@torch.no_grad()
def heat(extractor: Extractor, rows: Float[Tensor, "N V"]) -> Float[Tensor, "N A"]:
    """Give the probability of every concept at every region of one picture.

    Raises RunError for an extractor that believes in pictures as a whole.
    """
    if not isinstance(extractor.module, MultipleInstance):
        raise RunError(
            f"A {extractor.kind} extractor has no belief per region; train one with "
            "extractor=multiple-instance for heat maps."
        )
    matrix, mask = next(_batches(extractor, [rows], 1))
    return extractor.module.cells(matrix, mask)[0].float().cpu()


def _batches(
    extractor: Extractor, rows: Sequence[Tensor], size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give region rows and masks of a few pictures at a time, on the extractor's device."""
    device = next(extractor.module.parameters()).device
    for start in range(0, len(rows), size):
        part = [matrix.half() for matrix in rows[start : start + size]]
        for matrix in part:
            if matrix.shape[-1] != extractor.width:
                raise DataError(
                    f"Region rows of width {matrix.shape[-1]} for an extractor of width "
                    f"{extractor.width}: they come from another backbone."
                )
        names = [str(start + place) for place in range(len(part))]
        pictures = collate(names, part)
        yield pictures.regions.to(device), pictures.region_mask.to(device)


def _description(place: Path) -> dict[str, Any]:
    file = place / DESCRIPTION
    said = description(place)
    if said.get("kind") == KIND:
        raise no_extractor(place, said.get("file"))
    kinds = {
        "kind": str, "width": int, "hidden": int, "dropout": float | int,
        "weights_sha256": str, "words": list,
    }  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(said.get(name), kind):
            raise RunError(f"{file}: {name} is absent or of the wrong type; copy the file again.")
    if said["kind"] not in KINDS or not all(isinstance(word, str) for word in said["words"]):
        raise RunError(f"{file}: an extractor of kind {said['kind']!r} is unknown to this miacap.")
    return said
