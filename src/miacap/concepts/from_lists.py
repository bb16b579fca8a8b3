"""Concepts from a file of words per picture, in a folder as `train` would leave one.

A word's score in a picture is 1 / r where it is the r-th of the picture's list, and 0 where it is
not listed                                                                [eq:reciprocal-rank]

so that sorting the scores gives the list back. These are ranks, not probabilities, and
`concepts.json` says so. Lists with probabilities keep them; equal ones are told apart in their
last bit, so that the list's order decides.

The folder holds `scores/` (a store of kind concepts), `concepts.json` and, written last,
`report.json`; there is no extractor in it.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from miacap.concepts.claiming import claim
from miacap.concepts.description import LISTS, ConceptSource, Scores
from miacap.concepts.folders import SCORES
from miacap.concepts.lists import ListFile, PictureList, read_lists
from miacap.concepts.settings import ListSettings
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data import Dataset, SetAside
from miacap.data.features import Given
from miacap.data.store import Manifest, StoreWriter
from miacap.errors import DataError
from miacap.files import write_json
from miacap.progress import Progress
from miacap.tables.names import same_form
from miacap.text import Vocabulary, tokenize_all
from miacap.version import __version__
from miacap.wording import counted, none

BEST = 10
"""How many of a picture's words are held against its captions."""


@dataclass(frozen=True)
class ReadLists:
    """What came of a file of lists.

    Attributes:
        report: as in `report.json`.
        set_aside: what was left out, by what is wrong with it.
    """

    report: Mapping[str, Any]
    set_aside: Mapping[str, tuple[SetAside, ...]] = field(default_factory=dict)


def read(
    file: str | os.PathLike[str],
    dataset: Dataset,
    folder: str | os.PathLike[str],
    settings: ListSettings | None = None,
    *,
    quiet: bool = False,
) -> ReadLists:
    """Make concepts of a dataset from a file with a list of words for each picture.

    Concepts are the listed words that are caption words. A picture without a list, or whose
    list holds no concept, is set aside in the store; so training and evaluation leave it out.

    Args:
        file: see `lists`.
        dataset: gives ids, splits and the training captions.
        folder: where the results go; finished work in it is used again.
        settings: see `ListSettings`.
        quiet: show no progress.

    Raises:
        DataError: a file that is no lists, no list of a picture of the dataset, or no listed
            word that is a caption word.
        RunError: the folder was begun with other settings or data.
    """
    settings = settings or ListSettings()
    lists = read_lists(file)
    named = tokenised(dataset)
    vocabulary = caption_words(dataset, named, settings.minimum_count)
    words = _concepts(lists, _known(lists, dataset), vocabulary, dataset, settings)
    path = Path(folder)
    claim(path, "read", settings, fingerprint([lists.sha256, words.words], dataset))
    return keep(lists, words, dataset, path, named, vocabulary, quiet=quiet)


def keep(
    lists: ListFile,
    words: ConceptVocabulary,
    dataset: Dataset,
    path: Path,
    named: Mapping[str, list[list[str]]],
    vocabulary: Vocabulary,
    *,
    quiet: bool,
    absent: Sequence[SetAside] = (),
) -> ReadLists:
    """Write a folder of concepts that was claimed: scores, description and report.

    A picture that was set aside, and has a list now, is scored.

    Args:
        lists: of the dataset's pictures.
        words: the concepts, each a caption word.
        dataset: gives ids and splits.
        path: the folder.
        named: the tokenised captions.
        vocabulary: the caption words.
        quiet: show no progress.
        absent: pictures whose list a later call may bring; they are left out of the scores.
    """
    known = _known(lists, dataset)
    kept = {id: one for id, one in known.items() if any(word in words for word in one.words)}
    left_out = _left_out(lists, known, kept, dataset, absent)
    _store(kept, left_out["pictures without concepts"], lists, words, dataset, path, quiet)
    scores: Scores = "probabilities" if lists.with_probabilities else "ranks"
    ConceptSource(words.words, LISTS, lists.sha256, scores, lists.path.name).save(path)
    report = _report(lists, known, kept, words, vocabulary, named, dataset, left_out)
    write_json(path / "report.json", report)
    return ReadLists(report, left_out)


def scores_of(one: PictureList, words: ConceptVocabulary) -> Float[Tensor, " A"]:
    """Give a picture's score vector. [eq:reciprocal-rank]"""
    if one.probabilities is None:
        values = np.float32(1) / np.arange(1, len(one.words) + 1, dtype=np.float32)
    else:
        values = np.asarray(one.probabilities, dtype=np.float32)
        for rank in np.flatnonzero(values[1:] >= values[:-1]) + 1:
            # What follows a tie may be a tie now, so the whole run of equals is walked down.
            while rank < len(values) and values[rank] >= values[rank - 1]:
                values[rank] = np.nextafter(values[rank - 1], np.float32(0))
                rank += 1
    scores = np.zeros(len(words), dtype=np.float32)
    for value, word in zip(values, one.words, strict=True):
        index = words.index(word)
        if index is not None:
            scores[index] = value
    return torch.from_numpy(scores)


def _known(lists: ListFile, dataset: Dataset) -> dict[str, PictureList]:
    """Give the lists of the dataset's pictures. Raises DataError where there is none."""
    ids = set(dataset.ids)
    known: dict[str, PictureList] = {}
    for id, one in lists.pictures.items():
        name = id if id in ids else same_form(id)
        if name in ids:
            known.setdefault(name, one)
    if not known:
        listed = next(iter(lists.pictures))
        raise DataError(
            f"{lists.path}: {none(len(lists.pictures), 'picture')} is in {dataset.name}; it "
            f"calls them like {listed!r}, the data like {dataset.ids[0]!r}. Write the data's ids."
        )
    return known


def tokenised(dataset: Dataset) -> dict[str, list[list[str]]]:
    """Give the tokenised captions of every captioned picture."""
    captions = dataset.captions
    flat = iter(tokenize_all([text for texts in captions.values() for text in texts]))
    return {id: [next(flat) for _ in texts] for id, texts in captions.items()}


def caption_words(
    dataset: Dataset, named: Mapping[str, list[list[str]]], minimum: int
) -> Vocabulary:
    """Give the words of the training captions, as a captioner's vocabulary has them.

    Args:
        dataset: gives the training split.
        named: the tokenised captions of every picture.
        minimum: how often a word occurs at least.

    Raises:
        DataError: no training captions.
    """
    train = [one for id in dataset.split("train").ids for one in named.get(id, ())]
    if not train:
        raise DataError(
            f"{dataset.name}: the training split has no captions, so no listed word can be told "
            "for a caption word."
        )
    return Vocabulary.from_captions(train, minimum=minimum)


def _concepts(
    lists: ListFile,
    known: Mapping[str, PictureList],
    vocabulary: Vocabulary,
    dataset: Dataset,
    settings: ListSettings,
) -> ConceptVocabulary:
    """Give the listed caption words, by the number of training pictures that list them."""
    train = dataset.split("train").ids
    counts = Counter(word for id in train if id in known for word in known[id].words)
    listed = {word for one in known.values() for word in one.words}
    words = sorted((w for w in listed if w in vocabulary), key=lambda word: (-counts[word], word))
    if not words:
        raise DataError(
            f"{lists.path}: {none(len(listed), 'word')} occurs "
            f"{counted(settings.minimum_count, 'time')} in the training captions, so no "
            "captioner could use one; lower minimum_count, or see "
            "whether these are the right lists."
        )
    return ConceptVocabulary(words[: settings.words])


def fingerprint(of: Sequence[Any], dataset: Dataset) -> str:
    """Give one checksum of what concepts are made of: a list of JSON values, and the data."""
    digest = hashlib.sha256(json.dumps(of).encode())
    for entry in dataset.pictures:
        digest.update(json.dumps([entry.id, entry.split, entry.captions]).encode())
    return digest.hexdigest()


def _left_out(
    lists: ListFile,
    known: Mapping[str, PictureList],
    kept: Mapping[str, PictureList],
    dataset: Dataset,
    absent: Sequence[SetAside],
) -> dict[str, tuple[SetAside, ...]]:
    """Say what was left out, and why."""
    ids = set(dataset.ids)
    later = {one.id for one in absent}
    unread = {one.id: one for one in lists.unread if one.id not in known}
    without = []
    for id in dataset.ids:
        if id in kept or id in later:
            continue
        if id in known:
            where, reason = known[id].where, f"{id!r}: none of its words is a concept"
        elif id in unread:
            where, reason = unread[id].where, unread[id].reason
        else:
            where, reason = str(lists.path), f"{id!r} has no list"
        without.append(SetAside(id, where, reason))
    unknown = [
        SetAside(id, one.where, f"{id!r} is no picture of {dataset.name}")
        for id, one in lists.pictures.items()
        if not {id, same_form(id)} & ids
    ]
    not_yet = {"pictures that were not looked at": tuple(absent)} if absent else {}
    return not_yet | {
        "pictures without concepts": tuple(without),
        "lists of unknown pictures": tuple(unknown),
        "second lists of a picture": tuple(lists.twice),
        "lists that cannot be read": tuple(lists.unread),
    }


def _store(
    kept: Mapping[str, PictureList],
    without: Sequence[SetAside],
    lists: ListFile,
    words: ConceptVocabulary,
    dataset: Dataset,
    folder: Path,
    quiet: bool,
) -> None:
    manifest = Manifest(
        kind="concepts",
        preprocessing=Given(LISTS, f"file of SHA-256 {lists.sha256}"),
        width=len(words),
        words=words.words,
        extractor=None,
        made_by=f"miacap {__version__}",
    )
    # The file's folder is nobody's business where the store is copied to.
    reasons = {one.id: f"{Path(one.where).name}: {one.reason}" for one in without}
    with StoreWriter(folder / SCORES, manifest) as writer:
        writer.retry_changed(kept, reasons)
        ids = [id for id in dataset.ids if id not in writer.done and (id in kept or id in reasons)]
        with Progress("storing concepts", len(ids), "pictures", quiet) as progress:
            for id in ids:
                if id in kept:
                    writer.add(id, scores_of(kept[id], words))
                else:
                    writer.set_aside(id, reasons[id])
                progress.advance()


def _report(
    lists: ListFile,
    known: Mapping[str, PictureList],
    kept: Mapping[str, PictureList],
    words: ConceptVocabulary,
    vocabulary: Vocabulary,
    named: Mapping[str, list[list[str]]],
    dataset: Dataset,
    left_out: Mapping[str, Sequence[SetAside]],
) -> dict[str, Any]:
    mentions = Counter(word for one in known.values() for word in one.words)
    dropped = {
        "no caption word": [w for w in mentions if w not in vocabulary],
        "beyond the limit": [w for w in mentions if w in vocabulary and w not in words],
    }
    train = [id for id in dataset.split("train").ids if id in named]
    frequencies = Counter(w for id in train for w in _content(named[id], words))
    often = sorted(frequencies, key=lambda word: (-frequencies[word], word))
    splits = {}
    for split in dataset.splits:
        ids = dataset.split(split).ids
        splits[split] = _split(ids, kept, words, named, often[:BEST])
    return {
        "format": 1,
        "extractor": None,
        "file": lists.path.name,
        "file_sha256": lists.sha256,
        "scores": "probabilities" if lists.with_probabilities else "ranks",
        "words": len(words),
        "pictures": len(kept),
        **{what: len(items) for what, items in left_out.items()},
        "words listed twice": lists.repeated,
        "words left out": {
            why: {"words": len(group), "mentions": sum(mentions[word] for word in group)}
            for why, group in dropped.items()
        },
        "mentions": mentions.total(),
        "splits": splits,
    }


def _split(
    ids: Sequence[str],
    kept: Mapping[str, PictureList],
    words: ConceptVocabulary,
    named: Mapping[str, list[list[str]]],
    often: Sequence[str],
) -> dict[str, Any]:
    """Measure a split's lists, and how they agree with its captions."""
    lists = {id: [w for w in kept[id].words if w in words] for id in ids if id in kept}
    if not lists:
        return {"pictures": 0, "without concepts": len(ids)}
    lengths = [len(one) for one in lists.values()]
    row: dict[str, Any] = {
        "pictures": len(lists),
        "without concepts": len(ids) - len(lists),
        "concepts a picture": {
            "least": min(lengths), "median": median(lengths), "most": max(lengths),
        },
    }  # fmt: skip
    pairs = [(one, _content(named[id], words)) for id, one in lists.items() if id in named]
    pairs = [(one, said) for one, said in pairs if said]
    if pairs:
        row["compared"] = len(pairs)
        row["scores"] = _agreement(pairs)
        row["base rate"] = _agreement([(often, said) for _, said in pairs])
    return row


def _content(captions: Sequence[Sequence[str]], words: ConceptVocabulary) -> set[str]:
    return {token for tokens in captions for token in tokens if token in words}


def _agreement(pairs: Sequence[tuple[Sequence[str], set[str]]]) -> dict[str, float]:
    """Give P@10 and R@10: of the first ten words (all, of a shorter list), those named."""
    hits = [sum(word in said for word in one[:BEST]) for one, said in pairs]
    precision = [hit / len(one[:BEST]) for hit, (one, _) in zip(hits, pairs, strict=True)]
    recall = [hit / len(said) for hit, (_, said) in zip(hits, pairs, strict=True)]
    return {
        f"P@{BEST}": sum(precision) / len(pairs),
        f"R@{BEST}": sum(recall) / len(pairs),
    }
