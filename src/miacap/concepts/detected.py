"""Class names of a detector as concepts: what it sees in a photo, in the words of captions.

    score of a class = score of its best box in the photo
    score of a word  = best score of the classes that it stands for             [eq:class-words]

A class stands for those words of its name that are caption words ("traffic light": traffic and
light). A file may say otherwise, class by class. Names of classes that are never found, as lists of
classes have them ("__background__", "N/A"), stand for no word.

The folder is as `read` leaves one, and holds the scores of the classes as well (`classes/`): made
once, interrupted and gone on with. Photos that could not be looked at are tried again as
`visual.filling` does it everywhere.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from miacap.concepts.claiming import claim
from miacap.concepts.from_lists import ReadLists, caption_words, fingerprint, keep, tokenised
from miacap.concepts.lists import ListFile, PictureList
from miacap.concepts.settings import DetectSettings
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data import Dataset, SetAside
from miacap.data.features import Given
from miacap.data.store import FeatureStore, Manifest
from miacap.devices import Device
from miacap.errors import DataError, nearest
from miacap.files import read_json
from miacap.text import Vocabulary, tokenize
from miacap.version import __version__
from miacap.visual import Places, detectors
from miacap.visual.detectors.class_names import FindsClasses
from miacap.visual.filling import fill
from miacap.visual.named_regions import needs_backbone
from miacap.wording import none

CLASSES = "classes"
"""The store of class scores in the folder."""

_LEAST = 1e-30
"""A word that is listed scores above 0 in single precision."""


def detect(
    dataset: Dataset,
    detector: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    settings: DetectSettings | None = None,
    *,
    device: Device = "auto",
    places: Places | None = None,
    quiet: bool = False,
) -> ReadLists:
    """Make concepts of a dataset's photos from the class names of a detector.

    Args:
        dataset: its photos are looked at; its training captions say what a caption word is.
        detector: an ONNX file with its description, or "torchvision:fasterrcnn_...".
        folder: where the results go; finished work in it is used again, and photos that could not
            be looked at, or were damaged and changed, are tried again.
        settings: see `DetectSettings`.
        device: where the detector runs.
        places: where weights of torchvision may be found; see `visual.load`.
        quiet: show no progress.

    Raises:
        DataError: no photo is there, or many in a row could not be read; no class name that is a
            caption word, or a wrong file of words.
        RunError: the folder was begun otherwise, or the detector cannot be run.
    """
    settings = settings or DetectSettings()
    finder = _finder(str(detector), device, places)
    names = finder.classes
    named = tokenised(dataset)
    vocabulary = caption_words(dataset, named, settings.minimum_count)
    words_of = class_words(names, vocabulary, settings.words_file)
    path = Path(folder)
    claim(path, "detect", settings, fingerprint([finder.checksum, words_of], dataset))
    store, absent = _look(dataset, finder, path / CLASSES, quiet)
    lists = _lists(store, dataset, names, words_of, str(detector), finder.checksum)
    if not lists.pictures:
        first = "".join(f"; the first, {one.id!r}: {one.reason}" for one in absent[:1])
        raise DataError(f"{dataset.name}: no class was found in any photo{first}.")
    words = ConceptVocabulary(list(dict.fromkeys(w for n in names for w in words_of[n])))
    return keep(lists, words, dataset, path, named, vocabulary, quiet=quiet, absent=absent)


def class_words(
    names: Sequence[str], vocabulary: Vocabulary, file: str | None = None
) -> dict[str, list[str]]:
    """Give the caption words that each class stands for.

    Args:
        names: of the classes.
        vocabulary: the caption words.
        file: a JSON object, class name -> list of words, for those classes that it names.

    Raises:
        DataError: a file that is no such object, or names a class that is not there; no class
            with a caption word.
    """
    real = [name for name in names if not _never_found(name)]
    said = {} if file is None else _words_file(file, real)
    found: dict[str, list[str]] = {}
    for name in names:
        own = [] if _never_found(name) else tokenize(name.lower())
        words = said.get(name, own)
        found[name] = [word for word in dict.fromkeys(words) if word in vocabulary]
    if not any(found.values()):
        raise DataError(
            f"Of the detector's class names, {none(len(real), 'name')} holds a caption word; say "
            "what classes are called: --set words_file=FILE.json, or lower minimum_count."
        )
    return found


def _never_found(name: str) -> bool:
    """Whether a class only fills a number: the background, or one that nothing was trained for."""
    return name.strip().lower() in ("", "n/a") or (name.startswith("__") and name.endswith("__"))


def _words_file(file: str, names: Sequence[str]) -> Mapping[str, list[str]]:
    value = read_json(file)
    if not isinstance(value, dict):
        raise DataError(f"{file}: expected a JSON object, class name -> list of words.")
    for name, words in value.items():
        if name not in names:
            raise DataError(f"{file}: the detector has no class {name!r}.{nearest(name, names)}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DataError(f"{file}: the words of {name!r} are a list of texts.")
    return {name: [word.strip().lower() for word in words] for name, words in value.items()}


def _finder(detector: str, device: Device, places: Places | None) -> FindsClasses:
    if not needs_backbone(detector):
        from miacap.visual import box_head  # its library is optional and slow to import

        return box_head.BoxHeadClassNames(box_head.FasterRcnn(detector, device, places))
    return detectors.ClassNames(detectors.load(detector, device))


class _Looking:
    """A detector's classes as what a store keeps of a photo: scores, and no boxes."""

    def __init__(self, finder: FindsClasses) -> None:
        self.finder, self.record, self.prepare = finder, finder.record, finder.prepare

    def regions(self, prepared: Sequence[Any]) -> list[tuple[Tensor, None]]:
        """Give the scores of the classes in photos that were made ready."""
        return [(self.finder.scores(one), None) for one in prepared]


def _look(
    dataset: Dataset, finder: FindsClasses, folder: Path, quiet: bool
) -> tuple[FeatureStore, list[SetAside]]:
    """Fill the store of class scores, or go on filling it.

    Returns:
        The store, and the pictures whose photo is absent or could not be read just now.
    """
    names = finder.classes
    how = Given(CLASSES, f"detector {finder.name}, SHA-256 {finder.checksum}")
    manifest = Manifest("concepts", how, len(names), names, None, f"miacap {__version__}")
    store, report = fill(
        dataset, folder, manifest, _Looking(finder), label="Looking for classes", batch_size=1,
        quiet=quiet,
    )  # fmt: skip
    later = [SetAside(id, id, why.removeprefix(f"{id}: ")) for id, why in report.absent.items()]
    return store, later


def _lists(
    store: FeatureStore, dataset: Dataset, names: Sequence[str],
    words_of: Mapping[str, list[str]], detector: str, checksum: str,
) -> ListFile:  # fmt: skip
    """Give the words of every photo that was looked at."""
    told = json.dumps([checksum, words_of])
    lists = ListFile(Path(detector), hashlib.sha256(told.encode()).hexdigest())
    for id in dataset.ids:
        if id in store:
            one = _list(store.rows(id), names, words_of, detector)
            if one is None:
                lists.unread.append(SetAside(id, detector, f"{id!r}: no class was found in it"))
            else:
                lists.pictures[id] = one
        elif id in store.set_aside:
            lists.unread.append(SetAside(id, detector, store.set_aside[id]))
    return lists


def _list(
    scores: Tensor, names: Sequence[str], words_of: Mapping[str, list[str]], where: str
) -> PictureList | None:
    """Give a photo's words, best first; ties in the order of the classes. [eq:class-words]"""
    best: dict[str, float] = {}
    for name, score in zip(names, scores.tolist(), strict=True):
        for word in words_of[name]:
            best[word] = max(best.get(word, 0.0), min(score, 1.0))
    listed = sorted((w for w in best if best[w] >= _LEAST), key=lambda word: -best[word])
    if not listed:
        return None
    return PictureList(tuple(listed), tuple(best[word] for word in listed), where)
