"""Zero-shot concepts: a model of pictures and words says how well each word fits a photo.

    t_w = mean of the prompts' rows of word w, brought to length 1
    c_w = cosine of t_w and the photo
    z_w = (c_w - mean_w) / deviation_w        over the training photos   [eq:zero-shot]
    log-odds of w = a z_w + b log-odds of w's frequency + c              [eq:calibrated]

A cosine says nothing by itself, and some words fit every photo: so each word is held against
what it reaches on training photos. a, b and c, three numbers for all words, are fitted on
the training captions; in place of the model's own scale (softmax or sigmoid), which takes one word
to be right, or knows no frequencies. The model has learned from no caption of the data.

The folder is as `train` leaves one: `scores/`, `concepts.json`, and `zero-shot.safetensors` in
place of an extractor; `photos/` holds the photos' rows.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from miacap.concepts import calibration
from miacap.concepts.claiming import claim, spellings
from miacap.concepts.comparing import compare
from miacap.concepts.description import ZERO_SHOT, ConceptSource
from miacap.concepts.folders import SCORES, ConceptFolder, store_scores
from miacap.concepts.from_lists import caption_words, fingerprint, tokenised
from miacap.concepts.settings import ZeroShotSettings
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data import Dataset
from miacap.data.manifest import NAME
from miacap.data.store import FeatureStore
from miacap.devices import Device
from miacap.errors import DataError, RunError
from miacap.files import read_json, sha256, write_json
from miacap.settings import to_json
from miacap.visual import Places
from miacap.visual.extraction import manifest_of
from miacap.visual.filling import fill, tell
from miacap.visual.huggingface import Embedder, typed
from miacap.weights import read_tensors, write_tensors

WEIGHTS = "zero-shot.safetensors"
PHOTOS = "photos"
_SHAPES = {"words": 2, "mean": 1, "deviation": 1, "prior": 1, "numbers": 1}
_AT_ONCE = 512


@dataclass(frozen=True)
class ZeroShot:
    """What gives a photo's row the probabilities of words.

    Attributes:
        words: rows of the words, of length 1.
        mean: of each word's cosine on training photos.
        deviation: of it.
        prior: log-odds of each word's frequency in the training captions.
        numbers: a, b and c of [eq:zero-shot].
    """

    words: Float[Tensor, "A V"]
    mean: Float[Tensor, " A"]
    deviation: Float[Tensor, " A"]
    prior: Float[Tensor, " A"]
    numbers: Float[Tensor, " G"]

    def features(self, photos: Float[Tensor, "B V"]) -> Float[Tensor, "B A F"]:
        """Give z and the prior of every word. [eq:zero-shot]"""
        z = (cosines(photos, self.words) - self.mean) / self.deviation
        return torch.stack([z, self.prior.expand_as(z)], dim=-1)

    def scores(self, photos: Float[Tensor, "B V"]) -> Float[Tensor, "B A"]:
        """Give the probability of every word in photos, of their rows."""
        return calibration.probabilities(self.features(photos), self.numbers)

    def save(self, folder: Path) -> str:
        """Write it beside a description; give its checksum."""
        return write_tensors(folder / WEIGHTS, {name: getattr(self, name) for name in _SHAPES})

    @classmethod
    def load(cls, folder: Path, source: ConceptSource) -> "ZeroShot":
        """Read what `save` wrote. Raises RunError."""
        file = folder / WEIGHTS
        if not file.is_file() or sha256(file) != source.checksum:
            raise RunError(f"{file}: absent, or not what concepts.json beside it speaks of.")
        tensors = read_tensors(file)
        known, count = set(tensors) == set(_SHAPES), len(source.words)
        if not known or any(tensors[name].ndim != rank for name, rank in _SHAPES.items()):
            raise RunError(f"{file}: these are no zero-shot concepts; copy the file again.")
        sizes = [len(tensors[name]) for name in _SHAPES if name != "numbers"]
        whole = all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
        if sizes != [count] * 4 or len(tensors["numbers"]) != 3 or not whole:
            raise RunError(f"{file}: does not fit the words of concepts.json; copy both again.")
        return cls(**tensors)


def cosines(photos: Float[Tensor, "B V"], words: Float[Tensor, "A V"]) -> Float[Tensor, "B A"]:
    """Give the cosines of photos, rounded to half precision as stores keep them, and words."""
    return normalize(photos.half().float(), dim=-1) @ words.T


def zero_shot(
    dataset: Dataset,
    model: str,
    folder: str | os.PathLike[str],
    settings: ZeroShotSettings | None = None,
    *,
    device: Device = "auto",
    places: Places | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Have a model of pictures and words give every photo of a dataset its concepts.

    Args:
        dataset: its photos are looked at; words and three numbers come from its training captions.
        model: its folder, or its name in the library's cache; with or without "hf:".
        folder: where the results go; finished work in it is used again, and photos that could not
            be looked at, or were damaged and changed, are tried again; they are scored with the
            numbers that were fitted first.
        settings: see `ZeroShotSettings`.
        device: where the model runs.
        places: where it may lie; see `visual.load`.
        quiet: show no progress.

    Returns:
        The report, as `compare` gives it.

    Raises:
        RunError: no such model, or the folder was begun otherwise.
        DataError: no training captions, no photo is there, or many in a row could not be read.
        MissingExtra: transformers is not installed.
    """
    settings = settings or ZeroShotSettings()
    places = Places.of() if places is None else places
    name, found = typed(model.removeprefix("hf:"), places)
    embedder = Embedder(name, found, device)
    words = _words(dataset, settings)
    path = Path(folder)
    claim(path, "zero-shot", settings, *_fingerprints(dataset, words, embedder))
    photos = _look(dataset, embedder, path / PHOTOS, settings, quiet)
    file = path / "report.json"
    if file.is_file() and _scored(path, photos):
        finished: dict[str, Any] = read_json(file)
        return finished
    file.unlink(missing_ok=True)  # of fewer photos: killed from here on, the folder is unfinished
    _make(dataset, photos, embedder, words, path, settings, quiet)
    numbers = compare([ConceptFolder.open(path, unfinished=True)], dataset)
    report = {"format": 1, "model": name, **numbers}
    write_json(file, report)
    return report


def _look(
    dataset: Dataset, embedder: Embedder, folder: Path, settings: ZeroShotSettings, quiet: bool
) -> FeatureStore:
    """Give the rows of the photos; those that could not be read are tried again."""
    store, report = fill(
        dataset, folder, manifest_of(embedder), embedder, label="Looking at photos",
        batch_size=settings.batch_size, quiet=quiet,
    )  # fmt: skip
    if not quiet:
        tell(report)
    return store


def _scored(path: Path, photos: FeatureStore) -> bool:
    """Whether a finished folder knows every photo as it was found now."""
    scores = ConceptFolder.open(path).store
    return set(scores.names) == set(photos.names) and scores.set_aside == photos.set_aside


def _make(
    dataset: Dataset, photos: FeatureStore, embedder: Embedder, words: ConceptVocabulary,
    path: Path, settings: ZeroShotSettings, quiet: bool,
) -> None:  # fmt: skip
    """Fit the numbers, unless scores were made with some before, and store the scores."""
    source = ConceptSource.of(path) if (path / SCORES / NAME).is_file() else None
    if source is None:
        fitted = _fit(dataset, photos, words, _word_rows(embedder, words, settings.prompts))
        checksum = fitted.save(path)
        source = ConceptSource(words.words, ZERO_SHOT, checksum, model=embedder.record)
        source.save(path)
    else:  # a photo that comes later changes neither the others' scores nor runs that read them
        fitted = ZeroShot.load(path, source)
    store_scores(
        path, source, photos.manifest.preprocessing, photos.names,
        lambda names: fitted.scores(torch.cat(photos.rows_of(names))),
        set_aside=photos.set_aside, photos=photos.photos, quiet=quiet,
    )  # fmt: skip


def _words(dataset: Dataset, settings: ZeroShotSettings) -> ConceptVocabulary:
    named = tokenised(dataset)
    vocabulary = caption_words(dataset, named, settings.minimum_count)
    if settings.words_file is not None:
        return ConceptVocabulary.from_file(settings.words_file, vocabulary)
    flat = [one for id in dataset.split("train").ids for one in named.get(id, ())]
    return ConceptVocabulary.from_captions(flat, vocabulary, settings.words)


def _fingerprints(dataset: Dataset, words: ConceptVocabulary, embedder: Embedder) -> list[str]:
    """Give a checksum of all that goes in, photos aside; see `claim`."""
    records = spellings(to_json(embedder.record))
    return [fingerprint([words.words, record], dataset) for record in records]


def _word_rows(embedder: Embedder, words: ConceptVocabulary, prompts: Sequence[str]) -> Tensor:
    texts = [prompt.replace("{}", word) for word in words.words for prompt in prompts]
    rows = embedder.texts(texts).view(len(words), len(prompts), -1)
    return normalize(rows.mean(1), dim=-1)


def _fit(
    dataset: Dataset, photos: FeatureStore, words: ConceptVocabulary, rows: Tensor
) -> ZeroShot:
    learned = [entry.id for entry in dataset.split("train").pictures if entry.captions]
    names = [name for name in learned if name in photos]
    if not names:
        raise DataError(f"{dataset.name}: no photo with training captions could be read.")
    targets = words.targets([tokenised(dataset)[name] for name in names])
    seen = torch.cat(photos.rows_of(names))
    found = cosines(seen, rows)
    prior = torch.logit((targets.sum(0) + 0.5) / (len(targets) + 1.0))
    deviation = found.std(0, correction=0).clamp(min=1e-6)
    begun = ZeroShot(rows, found.mean(0), deviation, prior, torch.zeros(3))

    def parts() -> Iterator[calibration.Part]:
        for start in range(0, len(names), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            yield begun.features(seen[some]), targets[some]

    numbers = calibration.fit(parts, 2)
    return ZeroShot(rows, begun.mean, deviation, prior, numbers.float())
