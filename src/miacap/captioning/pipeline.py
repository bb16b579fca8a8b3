"""From a photo to a caption: one picklable stage that loads on its first call.

The same stage serves one process (`miacap caption`) and engines that map batches over
many machines; rows go in as ``{"id", "path" or "bytes"}`` and come out as
``{"id", "caption", "log_probability"}`` or ``{"id", "error"}``.
"""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import nn

from miacap import runs
from miacap.captioning.ensembles import join
from miacap.captioning.searching import Row, at_least_one, find, sentence
from miacap.concepts import Extractor
from miacap.concepts import extract as concept_scores
from miacap.concepts.description import no_extractor
from miacap.errors import PictureError, RunError
from miacap.pictures import Pictures, collate
from miacap.runs import Run
from miacap.visual import decode, regions_for

_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")

Photo = str | os.PathLike[str] | bytes | Image.Image
"""A path, the bytes of an image file, or a Pillow image."""

Runs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A run folder, or several that form an ensemble."""


class Pipeline:
    """Caption photos with a trained run, or with several as an ensemble.

    Args:
        run: a run folder, or several whose word probabilities are averaged.
        beam: hypotheses of the search; the run's own unless told.
        batch_size: photos that go through the network together.

    Raises:
        SettingsError: no hypothesis, or no photo at a time.
    """

    def __init__(self, run: Runs, *, beam: int | None = None, batch_size: int = 16) -> None:
        at_least_one(beam=beam, batch_size=batch_size)
        self.folders = _folders(run)
        self.beam = beam
        self.batch_size = batch_size
        self._parts: _Parts | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parts": None}  # workers load for themselves

    def caption(self, photo: Photo) -> str:
        """Give the caption of one photo as a sentence.

        Raises:
            PictureError: the photo cannot be read.
            RunError: the run folder cannot be used.
        """
        row = next(iter(self.rows([photo])))
        if row.caption is None:
            raise PictureError(row.error)
        return row.caption

    def rows(self, photos: Iterable[Photo], ids: Sequence[str] | None = None) -> Iterator[Row]:
        """Caption many photos in order, a few at a time; a broken one gives a row with an error.

        Raises ValueError where ``ids`` are fewer or more than the photos.
        """
        batch: list[tuple[str, Photo]] = []
        named = _named(photos) if ids is None else zip(ids, photos, strict=True)
        for name, photo in named:
            batch.append((name, photo))
            if len(batch) == self.batch_size:
                yield from self._rows(batch)
                batch = []
        if batch:
            yield from self._rows(batch)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Map columns ``id`` and ``path`` or ``bytes`` to the columns of a row."""
        photos = batch["bytes"] if "bytes" in batch else batch["path"]
        rows = list(self.rows(photos, [str(name) for name in batch["id"]]))
        return {
            "id": [row.id for row in rows],
            "caption": [row.caption for row in rows],
            "log_probability": [row.log_probability for row in rows],
            "error": [row.error for row in rows],
        }

    def _rows(self, batch: Sequence[tuple[str, Photo]]) -> Iterator[Row]:
        if self._parts is None:
            self._parts = _Parts(_load(self.folders), self.beam)
        images: dict[int, Image.Image] = {}
        errors: dict[int, str] = {}
        for place, (name, photo) in enumerate(batch):
            try:
                images[place] = _image(name, photo)
            except PictureError as error:
                errors[place] = str(error)
        found = {}
        if images:
            names = [batch[place][0] for place in images]
            found = dict(
                zip(images, self._parts.caption(names, list(images.values())), strict=True)
            )
        for place, (name, _) in enumerate(batch):
            yield found[place] if place in found else Row(name, error=errors[place])


class _Parts:
    """What a pipeline loads once: network, extractor, captioner."""

    def __init__(self, run: Run, beam: int | None) -> None:
        self.run = run
        self.width = beam or run.settings.beam
        self.regions = regions_for(run.preprocessing)
        self.captioner: nn.Module = run.captioner()
        self.extractor: Extractor | None = run.extractor
        self.words = None if self.extractor is None else run.concept_words(self.extractor.words)

    def caption(self, names: Sequence[str], images: Sequence[Image.Image]) -> list[Row]:
        settings = self.run.settings
        with torch.inference_mode():
            found = find(
                self.captioner, self.pictures(names, images), self.width, settings.maximum_words
            )
        return [
            Row(name, sentence(self.run.vocabulary, best), best.log_probability)
            for name, best in zip(names, found, strict=True)
        ]

    def pictures(self, names: Sequence[str], images: Sequence[Image.Image]) -> Pictures:
        # Rounded to half precision, as the store's rows that the captioner learnt from.
        matrices = [rows.half() for rows, _ in self.regions.rows(images)]
        scores = None
        if self.extractor is not None:
            scores = list(concept_scores(self.extractor, matrices))
        return collate(
            names,
            matrices,
            scores=scores,
            concept_words=self.words,
            rows=self.run.settings.rows,
            concepts=self.run.settings.concepts,
        )


def load(run: Runs, **options: Any) -> Pipeline:
    """Load a run folder for captioning: ``load("runs/mine").caption("photo.jpg")``.

    Several folders, ``load(["runs/a", "runs/b"])``, caption as an ensemble.

    Raises RunError at once where a folder is no run or lacks something (a run whose concepts
    came from a file has nothing to find them with), or where several do not agree in
    vocabulary, preprocessing and concepts.
    """
    pipeline = Pipeline(run, **options)
    _load(pipeline.folders)
    return pipeline


def _folders(run: Runs) -> tuple[Path, ...]:
    return (Path(run),) if isinstance(run, str | os.PathLike) else tuple(Path(r) for r in run)


def _load(folders: Sequence[Path]) -> Run:
    found = [runs.load(folder) for folder in folders]
    for run in found:
        _require_whole(run)
    return found[0] if len(found) == 1 else join(found)


def _require_whole(run: Run) -> None:
    """See by the files alone that a run can caption photos. Raises RunError."""
    source = run.concept_source
    if source is not None and source.is_lists:
        raise no_extractor(source)
    if not (run.folder / "weights.safetensors").is_file():
        raise RunError(
            f"{run.folder}: no weights yet; train it to the end of one epoch first, or copy "
            "weights.safetensors too."
        )
    extractor = run.folder / "extractor.safetensors"
    if source is not None and not extractor.is_file():
        raise RunError(
            f"{extractor}: the weights of the concept extractor are absent; copy them too."
        )


def _image(name: str, photo: Photo) -> Image.Image:
    if isinstance(photo, Image.Image):
        return _upright(name, photo)
    if isinstance(photo, bytes | bytearray | memoryview):
        return decode(bytes(photo), name)
    try:
        data = Path(photo).read_bytes()
    except FileNotFoundError:
        raise PictureError(f"{name}: there is no such photo.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PictureError(f"{name}: cannot be read ({error}).") from None
    return decode(data, name)


def _upright(name: str, photo: Image.Image) -> Image.Image:
    """Read an image that somebody opened as its file would be read: upright, alpha on white."""
    try:
        turned = ImageOps.exif_transpose(photo)
        if turned.mode == "RGB" and not turned.has_transparency_data:
            return turned
        held = io.BytesIO()
        # PNG keeps transparency, TIFF the modes that PNG cannot hold.
        turned.save(held, "PNG" if turned.mode in _PNG else "TIFF", compress_level=1)
    except Exception as error:  # Pillow reads on demand, and raises nearly anything then
        raise PictureError(f"{name}: the image cannot be read ({error}).") from None
    return decode(held.getvalue(), name)


def _named(photos: Iterable[Photo]) -> Iterator[tuple[str, Photo]]:
    for place, photo in enumerate(photos):
        yield (os.fspath(photo) if isinstance(photo, str | os.PathLike) else str(place)), photo
