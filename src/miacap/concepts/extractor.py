"""A trained extractor on disk: `extractor.safetensors` and `concepts.json`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from miacap.concepts.description import DESCRIPTION, ConceptSource, Network, no_extractor
from miacap.concepts.networks import Kind, MultipleInstance, build
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.devices import Device, choose
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import atomic, sha256
from miacap.files import folder as make_folder
from miacap.pictures import collate
from miacap.weights import halved, misfit, not_finite, read_tensors, write_tensors

WEIGHTS = "extractor.safetensors"


@dataclass(frozen=True, eq=False)
class Extractor:
    """What finds concepts in a picture's region rows.

    Attributes:
        vocabulary: the words it looks for.
        kind: one of `networks.KINDS`.
        width: V, length of a region row.
        hidden, dropout: as in `ConceptSettings`.
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
        path = make_folder(folder)
        checksum = write_tensors(path / WEIGHTS, self.module.state_dict())
        network = Network(self.kind, self.width, self.hidden, self.dropout)
        ConceptSource(self.words, "extractor", checksum, network=network).save(path)
        return Extractor(
            self.vocabulary, self.kind, self.width, self.hidden, self.dropout, self.module, checksum
        )

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.module.parameters()).device

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: Device = "auto") -> "Extractor":
        """Read what `save` wrote, in this folder or in a run folder.

        Args:
            folder: where.
            device: where it is to compute.

        Raises:
            SettingsError: no such device.
            RunError: no extractor, a newer format, or files that are damaged or do not belong
                together.
        """
        chosen, path = choose(device), Path(folder)
        source = ConceptSource.of(path)
        if source is None:
            raise RunError(
                f"{path}: no concept extractor here ({DESCRIPTION} is absent); make one with: "
                "miacap concepts train"
            )
        if source.looks:
            raise RunError(
                f"{path}: its concepts are found by a model of pictures and words, not by an "
                "extractor."
            )
        if source.network is None:
            raise no_extractor(source)
        weights = path / WEIGHTS
        check_weights(source, path)
        kind, width, hidden, dropout = astuple(source.network)
        try:
            vocabulary = ConceptVocabulary(source.words)
            module = build(kind, width, len(vocabulary), hidden, dropout)
            if (what := misfit(weights, module)) is not None:
                raise SettingsError(what)
            module.load_state_dict(read_tensors(weights))
        except (DataError, SettingsError, RuntimeError) as error:
            raise RunError(f"{weights}: these weights do not fit ({error}).") from None
        broken = not_finite(module)
        if broken is not None:
            raise RunError(f"{weights}: the weights {broken!r} are not finite; train it again.")
        module = module.eval().to(chosen)
        return cls(vocabulary, kind, width, hidden, dropout, module, source.checksum)


def check_weights(source: ConceptSource, folder: Path) -> None:
    """See that the weights in a folder are those of its description.

    Raises:
        RunError: they are absent, damaged, or others.
    """
    weights = folder / (source.needs or WEIGHTS)
    if not weights.is_file():
        raise RunError(f"{weights}: the weights of the concept extractor are absent.")
    if sha256(weights) != source.checksum:
        raise RunError(
            f"{weights}: damaged, or not the weights that {DESCRIPTION} beside it speaks of; "
            "copy both files again."
        )


def copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy what finds concepts into another folder; what is there already is left as it is.

    Of joined sources that is what each of them needs as well.

    Raises:
        RunError: it is not whole; nothing is copied then.
    """
    description = ConceptSource.of(source)
    if description is None:
        raise RunError(f"{source}: no concept extractor here ({DESCRIPTION} is absent).")
    check_weights(description, Path(source))
    make_folder(target)
    for index, (kind, _) in enumerate(description.members):
        inside, where = (Path(folder) / "members" / str(index) for folder in (source, target))
        own = ConceptSource.of(inside)
        if own is None or own.kind != kind or own.members:
            raise RunError(f"{inside}: absent, or not what {DESCRIPTION} above it speaks of.")
        where.mkdir(parents=True, exist_ok=True)
        if own.is_lists:
            own.save(where)
        else:
            copy(inside, where)
    for name in (description.needs or WEIGHTS, DESCRIPTION):
        content = (Path(source) / name).read_bytes()
        file = Path(target) / name
        if not file.is_file() or file.read_bytes() != content:
            with atomic(file) as copied:
                copied.write(content)


def halve(
    source: ConceptSource, folder: str | os.PathLike[str], target: str | os.PathLike[str]
) -> None:
    """Write what finds a run's concepts into another folder, an extractor in half precision.

    A model of pictures and words, and joined sources, are copied as they are; of lists there is
    the description alone.

    Args:
        source: the description in `folder`.
        folder: of the run.
        target: another folder.

    Raises:
        RunError: it is not whole.
    """
    if source.is_lists:
        source.save(target)
    elif source.looks:
        copy(folder, target)
    else:
        found = Extractor.load(folder, "cpu")  # every check of an extractor that is loaded
        checksum = write_tensors(Path(target) / WEIGHTS, halved(found.module.state_dict()))
        replace(source, checksum=checksum).save(target)


@torch.no_grad()
def extract(
    extractor: Extractor, rows: Sequence[Float[Tensor, "_ V"]], batch_size: int = 128
) -> Float[Tensor, "B A"]:
    """Give the probability of every concept for some pictures.

    Args:
        extractor: trained on rows of the same backbone and preparation.
        rows: a picture's k x V region rows; rounded to half precision first, as stores are.
        batch_size: pictures at once.

    Returns:
        B x A in single precision, computed on the extractor's device, in main memory.

    Raises:
        DataError: rows of another width.
    """
    scores = [torch.zeros(0, len(extractor.words))]
    for matrix, mask in _batches(extractor, rows, batch_size):
        log_yes, _ = extractor.module(matrix, mask)
        scores.append(log_yes.exp().float().cpu())
    return torch.cat(scores)


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
    for start in range(0, len(rows), size):
        part = [matrix.half() for matrix in rows[start : start + size]]
        for matrix in part:
            if matrix.shape[-1] != extractor.width:
                raise DataError(
                    f"Region rows of width {matrix.shape[-1]} for an extractor of width "
                    f"{extractor.width}: they come from another backbone."
                )
        names = [str(start + index) for index in range(len(part))]
        pictures = collate(names, part)
        yield pictures.regions.to(extractor.device), pictures.region_mask.to(extractor.device)
