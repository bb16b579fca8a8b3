"""From a photo to a caption: one picklable stage that loads on its first call.

The same stage serves one process (`miacap caption`) and engines that map batches over
many machines; rows go in as `{"id", "path" or "bytes"}` and come out as
`{"id", "caption", "log_probability"}` or `{"id", "error"}`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from miacap import runs
from miacap.captioning.alt_text import alt_text, check_limit, rules_for, wide
from miacap.captioning.candidates import Candidate
from miacap.captioning.inputs import Inputs
from miacap.captioning.rows import Row, caption_rows, search_settings, shared
from miacap.concepts import no_extractor
from miacap.concepts.extractor import WEIGHTS as EXTRACTOR_WEIGHTS
from miacap.data.features import Detector, Given
from miacap.decoding.settings import MOST_HYPOTHESES
from miacap.devices import Device, choose
from miacap.errors import PictureError, RunError, SettingsError
from miacap.parts import ALONE, Part, Sharing
from miacap.pictures import Pictures
from miacap.runs import Run, Trained, join
from miacap.runs.confidence import calibration_of
from miacap.settings import check_at_least, check_at_most
from miacap.visual import Places, Ready, Regions, detectors, memory, prepared, regions_for

Photo = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A path, the bytes of an image file, a Pillow image, or its pixels: height x width (x 3 or 4),
uint8, red first."""

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A run folder, or several that form an ensemble."""


class Pipeline:
    """Caption photos with a trained run, or with several as an ensemble.

    Args:
        run: a run folder, or several whose word probabilities are averaged.
        beam: hypotheses of the search; the run's own unless told.
        length_penalty: of the search; the run's own unless told (`decoding.SearchSettings`).
        best: candidates of each photo that `rows` tells of, its caption among them; a search that
            is narrower is repeated with as many hypotheses. 0 leaves them out.
        alt_text: the most characters of an alternative text, in place of a plain caption: it
            never begins with "a photo of", and begins with "Perhaps:" where the run is unsure
            (`captioning.alt_text`).
        batch_size: photos that go through the network together.
        device: where the networks run; "auto" takes a GPU where torch sees one.
        weights: files or folders of the weights of other libraries' networks, where they are not
            in MIACAP_WEIGHTS or the libraries' caches.
        allow_download: whether a library may fetch weights that are not on this machine.

    Raises:
        RunError: a folder is no run or lacks something (a run whose concepts came from a file has
            nothing to find them with), or several do not agree in vocabulary, features and
            concepts.
        SettingsError: no hypothesis, no photo at a time, candidates below 0 or above 1,000, or
            too few characters.
    """

    def __init__(
        self,
        run: Folders,
        *,
        beam: int | None = None,
        length_penalty: float | None = None,
        best: int = 0,
        alt_text: int | None = None,
        batch_size: int = 16,
        device: Device = "auto",
        weights: Iterable[str | os.PathLike[str]] = (),
        allow_download: bool = False,
    ) -> None:
        if batch_size < 1:
            raise SettingsError(f"batch_size is at least 1, not {batch_size}.")
        self.best = _candidates(best)
        self.run = _load(run)
        self.search = search_settings(self.run, beam, length_penalty)
        self.alt_text = alt_text
        if alt_text is not None:
            check_limit(alt_text)
            self.search = wide(self.search)
        self.batch_size = batch_size
        self.device = device
        self.places = Places.of(weights, allow_download)
        self._networks: _Networks | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_networks": None}  # workers load for themselves

    def caption(self, photo: Photo) -> str:
        """Give the caption of one photo as a sentence.

        Raises:
            PictureError: the photo cannot be read, or is of a type that is no photo.
            RunError: the run folder cannot be used.
        """
        row = next(iter(self.rows([photo])))
        if row.caption is None:
            raise PictureError(row.error)
        return row.caption

    def captions(self, photo: Photo, best: int = 5) -> tuple[Candidate, ...]:
        """Give the n best captions of one photo, with each word's log-probability.

        The first is what `caption` gives; the others follow, best first. Fewer come where fewer
        finished.

        Raises:
            PictureError, RunError: as `caption`.
            SettingsError: candidates below 1 or above 1,000.
        """
        return self.row(photo, _candidates(best, 1)).candidates

    def row(self, photo: Photo, best: int = 1) -> Row:
        """Give all that is known of one photo's caption: candidates and confidence too.

        Args:
            photo: as for `caption`.
            best: candidates, the caption among them.

        Raises:
            PictureError, RunError: as `caption`.
            SettingsError: candidates below 0 or above 1,000.
        """
        row = next(self._rows(_named([photo]), _candidates(best)))
        if row.caption is None:
            raise PictureError(row.error)
        return row

    def why_uncalibrated(self) -> str | None:
        """Say why captions come without confidence; None where the run is calibrated.

        Raises:
            RunError: `confidence.json` is damaged.
        """
        return calibration_of(self.run)[1] or None

    def rows(
        self,
        photos: Iterable[Photo],
        ids: Sequence[str] | None = None,
        sharing: Sharing = ALONE,
    ) -> Iterator[Row]:
        """Caption many photos in order, a few at a time; a broken one gives a row with an error.

        Args:
            photos: any number of them; read a little ahead of the network.
            ids: one for each photo; without them paths, or numbers from 0, are the ids.
            sharing: processes that share the photos out, batch by batch; the main one gets all
                rows, the others none, and draw them all the same.

        Raises:
            SettingsError: one photo, or a folder, in place of a list of photos.
            ValueError: `ids` are fewer or more than the photos.
        """
        if isinstance(photos, str | os.PathLike | bytes | Image.Image | np.ndarray):
            raise SettingsError(
                "rows() takes a list of photos. For one photo: caption(photo) or rows([photo]); "
                "for a folder: rows(sorted(Path(folder).rglob('*.jpg')))."
            )
        items = _named(photos) if ids is None else zip(ids, photos, strict=True)
        own = self._rows(_own(items, self.batch_size, sharing.part), self.best)
        return shared(own, self.batch_size, sharing)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Map columns `id` and `path` or `bytes` to the columns of a row.

        Where a row has both, its bytes are taken; where a row has neither (None, NaN), it gets an
        error and the others go on.
        """
        columns = [batch[name] for name in ("bytes", "path") if name in batch]
        if not columns:
            raise SettingsError('A batch has a column "path" or "bytes" beside "id".')
        photos = [_first_given(cells) for cells in zip(*columns, strict=True)]
        rows = list(self.rows(photos, [str(name) for name in batch["id"]]))
        return {
            "id": [row.id for row in rows],
            "caption": [row.caption for row in rows],
            "log_probability": [row.log_probability for row in rows],
            "error": [row.error for row in rows],
        }

    def _rows(self, items: Iterable[tuple[str, Photo]], best: int) -> Iterator[Row]:
        if self._networks is None:
            self._networks = _Networks(self.run, self.device, self.places)
        networks = self._networks
        sources = ((name, _source(photo)) for name, photo in items)
        ahead = prepared(sources, networks.regions)
        while batch := list(islice(ahead, self.batch_size)):
            yield from networks.caption(batch, self, best)


class _Networks:
    """What a pipeline loads once: regions, extractor, captioner."""

    def __init__(self, run: Trained, device: Device, places: Places) -> None:
        self.device = choose(device)
        regions = regions_for(run.preprocessing, self.device, run.folder, places)
        self.captioner: nn.Module = run.captioner(self.device)
        self.inputs = Inputs.of_photos(run, regions, self.device, places=places)
        assert self.inputs.regions is not None
        self.regions: Regions = self.inputs.regions
        self.calibration, _ = calibration_of(run)

    def caption(self, batch: Sequence[Ready], pipeline: Pipeline, best: int) -> Iterator[Row]:
        """Give a row for each photo; one that could not be read has its reason."""
        good = [ready for ready in batch if ready.picture is not None]
        results: Iterator[Row] = iter(())
        if good:
            with memory.decoded.hold(memory.NETWORK):  # photos are decoded meanwhile
                pictures = self.inputs.live([r.id for r in good], [r.picture for r in good])
                rows = self._rows(pictures, pipeline, best)
                results = iter(list(rows))
        for ready in batch:
            yield Row(ready.id, error=ready.reason) if ready.picture is None else next(results)

    def _rows(self, pictures: Pictures, pipeline: Pipeline, best: int) -> Iterator[Row]:
        words, limit = pipeline.run.vocabulary, pipeline.alt_text
        calibration = self.calibration
        rules = () if limit is None else rules_for(words, limit, calibration is not None)
        rows = caption_rows(
            self.captioner, [pictures], words, pipeline.search, self.device, best, calibration,
            rules,
        )  # fmt: skip
        return rows if limit is None else alt_text(rows)


def load(run: Folders | None = None, **options: Any) -> Pipeline:
    """Load a run folder for captioning: `load("runs/mine").caption("photo.jpg")`.

    Several folders, `load(["runs/a", "runs/b"])`, caption as an ensemble. Without a folder the
    captioner that is installed is loaded; `load("miacap-flickr8k")` is one of several
    (`runs.chosen`). Options and errors are those of `Pipeline`.

    Raises:
        NoneInstalled: no folder, and no captioner is installed.
    """
    return Pipeline(runs.chosen(run), **options)


def _load(run: Folders) -> Trained:
    folders = (run,) if isinstance(run, str | os.PathLike) else tuple(run)
    loaded = [runs.load(folder) for folder in folders]
    for single in loaded:
        _require_whole(single)
    return loaded[0] if len(loaded) == 1 else join(loaded)


def _require_whole(run: Run) -> None:
    """See by the files alone that a run can caption photos. Raises RunError."""
    if isinstance(run.preprocessing, Given):
        regions_for(run.preprocessing)  # raises, and says what to do instead
    if isinstance(run.preprocessing, Detector):
        detectors.require(run.preprocessing, run.folder)
    if run.concepts is not None and run.concepts.never_found:
        raise no_extractor(run.concepts)
    if not (run.folder / "weights.safetensors").is_file():
        raise RunError(
            f"{run.folder}: no weights yet; train it to the end of one epoch first, or copy "
            "weights.safetensors too."
        )
    needed = EXTRACTOR_WEIGHTS if run.concepts is None else run.concepts.needs or EXTRACTOR_WEIGHTS
    extractor = run.folder / needed
    if run.concepts is not None and not extractor.is_file():
        raise RunError(
            f"{extractor}: the weights of the concept extractor are absent; copy them too."
        )


def _candidates(best: int, least: int = 0) -> int:
    check_at_least(least, best=best)
    check_at_most(MOST_HYPOTHESES, best=best)
    return best


def _source(photo: Any) -> Any:
    """Give what `visual.prepared` reads; anything else becomes a reader that refuses it."""
    if isinstance(photo, np.ndarray):
        return _pixels(photo)
    if isinstance(photo, str | os.PathLike | bytes | bytearray | memoryview | Image.Image):
        return photo
    return _Refused(_told(photo))


def _pixels(array: np.ndarray) -> "Image.Image | _Refused":
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or array.shape[2:] not in ((), (3,), (4,))
    ):
        return _Refused(
            f"an array of {array.dtype} and shape {tuple(array.shape)}; give height x width x 3 "
            "pixels of uint8"
        )
    return Image.fromarray(np.ascontiguousarray(array))


class _Refused:
    """Reads nothing, and says why."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self) -> bytes:
        raise PictureError(f"no photo, but {self.what}.")


def _told(value: Any) -> str:
    if _is_missing(value):
        return "an empty cell"
    return (
        f"a value of type {type(value).__name__}; give a path, bytes of an image file, a Pillow "
        "image or an array of pixels"
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _first_given(cells: Sequence[Any]) -> Any:
    return next((cell for cell in cells if not _is_missing(cell)), None)


def _own(items: Iterable[tuple[str, Photo]], size: int, part: Part) -> Iterator[tuple[str, Photo]]:
    """Give the groups of `size` photos that are this part's; there may be endless ones."""
    rest = iter(items)
    for number in count():
        group = list(islice(rest, size))
        if not group:
            return
        if number % part.world == part.rank:
            yield from group


def _named(photos: Iterable[Photo]) -> Iterator[tuple[str, Photo]]:
    for index, photo in enumerate(photos):
        yield (os.fspath(photo) if isinstance(photo, str | os.PathLike) else str(index)), photo
