"""`concepts.join`: a folder of concepts made of others.

It holds `scores/`, `concepts.json`, `joined.safetensors` (the numbers) and, under `members/`, what
each source needs to find concepts in a new photo.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from miacap.concepts.claiming import claim
from miacap.concepts.comparing import Common, compare
from miacap.concepts.description import JOINED, ConceptSource
from miacap.concepts.extractor import copy
from miacap.concepts.folders import ConceptFolder, store_scores
from miacap.concepts.joining import MEMBERS, Joined, Member, fit, halves, reader
from miacap.concepts.settings import JoinSettings
from miacap.data import Dataset
from miacap.data.features import Given, Record
from miacap.errors import DataError, RunError
from miacap.files import read_json, write_json
from miacap.wording import by_number, counted

_MOST = 100


def join(
    folders: Sequence[ConceptFolder],
    dataset: Dataset,
    folder: str | os.PathLike[str],
    settings: JoinSettings | None = None,
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Join several folders of concepts into one.

    Args:
        folders: at least two, none of them joined itself.
        dataset: gives captions and splits; training captions alone are learned from.
        folder: where the results go; finished work in it is used again.
        settings: see `JoinSettings`.
        quiet: show no progress.

    Returns:
        The report, as `compare` gives it of the members and of what came out.

    Raises:
        DataError: fewer than two, or no training picture with captions that all of them have, or
            too few of them to weigh log-odds.
        RunError: one that is joined itself, extractors of different features, or the folder was
            begun otherwise.
    """
    settings = settings or JoinSettings()
    made = _features_of(folders)
    common = Common.of(folders, dataset)
    side = _sides(folders, common, settings)
    path = Path(folder)
    claim(path, "join", settings, _fingerprint(folders, common))
    if (path / "report.json").is_file():
        finished: dict[str, Any] = read_json(path / "report.json")
        return finished
    joined, by_half = _fitted(_begun(folders, common, settings), folders, common, side)
    source = _described(joined, folders, common, path)
    for index, one in enumerate(folders):
        _keep(one, path / MEMBERS / str(index))
    source.save(path)
    _store(joined, folders, source, made, path, {n: by_half[s] for n, s in side.items()}, quiet)
    numbers = compare([*folders, ConceptFolder.open(path, unfinished=True)], dataset)
    report = {"format": 1, "method": settings.method, **numbers}
    write_json(path / "report.json", report)
    return report


def _sides(
    folders: Sequence[ConceptFolder], common: Common, settings: JoinSettings
) -> dict[str, int]:
    """Give the half of every training picture. Raises DataError where one half has none."""
    side = halves(common.splits["train"], _photos(folders))
    if settings.method == "log-odds" and len(set(side.values())) < 2:
        raise DataError(
            f"{counted(len(side), 'training picture')} with captions, or as many copies of one "
            f"photo, {by_number(len(side), 'is', 'are')} too few to weigh the log-odds of each "
            "half with what the other half teaches; give at least a few dozen, or take the mean "
            "of ranks: --set method=ranks"
        )
    return side


def _photos(folders: Sequence[ConceptFolder]) -> Mapping[str, str]:
    """Give the SHA-256 of photos, where a folder knows them."""
    known: dict[str, str] = {}
    for one in folders:
        for name, photo in one.store.photos.items():
            known.setdefault(name, photo)
    return known


def _begun(folders: Sequence[ConceptFolder], common: Common, settings: JoinSettings) -> Joined:
    """Give what is joined, without its numbers."""
    return Joined(
        settings.method,
        tuple(Member.of(one.source, common.words.words) for one in folders),
        common.priors(),
        torch.zeros(0),
    )


def _described(
    joined: Joined, folders: Sequence[ConceptFolder], common: Common, path: Path
) -> ConceptSource:
    """Write the numbers; give what is said of them."""
    return ConceptSource(
        common.words.words, JOINED, joined.save(path),
        "ranks" if joined.method == "ranks" else "probabilities", method=joined.method,
        members=tuple((one.source.kind, one.source.checksum) for one in folders),
    )  # fmt: skip


def _features_of(folders: Sequence[ConceptFolder]) -> Record:
    """See that folders can be joined; give the features that their extractors read."""
    if not 2 <= len(folders) <= _MOST:
        raise DataError(f"Two to {_MOST} folders of concepts are joined, not {len(folders)}.")
    made: Record = Given(JOINED, "several sources, none of them an extractor")
    first = None
    for one in folders:
        if one.source.kind == JOINED:
            raise RunError(f"{one.folder}: is joined itself; name the folders that it was made of.")
        if one.source.kind == "extractor":
            if first is not None and one.store.manifest.preprocessing != made:
                raise RunError(
                    f"{first} and {one.folder} were found in different features, and no photo has "
                    "both; join extractors of the same features."
                )
            made, first = one.store.manifest.preprocessing, one.folder
    return made


def _fingerprint(folders: Sequence[ConceptFolder], common: Common) -> str:
    sums = [[one.source.kind, one.source.checksum] for one in folders]
    digest = hashlib.sha256(json.dumps([sums, common.words.words]).encode())
    for split, names in common.splits.items():
        for name in names:
            digest.update(f"{split}\0{name}\0".encode())
            digest.update(common.targets[name].numpy().tobytes())
    return digest.hexdigest()


def _fitted(
    joined: Joined, folders: Sequence[ConceptFolder], common: Common, side: dict[str, int]
) -> tuple[Joined, dict[int, torch.Tensor]]:
    """Fit on all training pictures, and for each half of them on the other half.

    Ranks need no numbers.
    """
    if joined.method == "ranks":
        return joined, dict.fromkeys((0, 1), joined.numbers)
    read = reader([one.store for one in folders])
    by_half = {}
    for half in (0, 1):
        others = [name for name, mine in side.items() if mine != half]
        by_half[half] = fit(joined, others, common.targets, read).float()
    numbers = fit(joined, list(side), common.targets, read).float()
    return Joined(joined.method, joined.members, joined.prior, numbers), by_half


def _keep(one: ConceptFolder, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if one.source.is_lists:
        one.source.save(folder)
    else:
        copy(one.folder, folder)


def _store(
    joined: Joined, folders: Sequence[ConceptFolder], source: ConceptSource, made: Record,
    path: Path, by_name: dict[str, torch.Tensor], quiet: bool,
) -> None:  # fmt: skip
    read = reader([one.store for one in folders])

    def score(names: Sequence[str]) -> list[torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for mine in _alike(names, by_name):
            scores = joined.scores(read(mine), by_name.get(mine[0]))
            found |= dict(zip(mine, scores, strict=True))
        return [found[name] for name in names]

    set_aside: dict[str, str] = {}
    for one in folders:
        for name, reason in one.store.set_aside.items():
            set_aside.setdefault(name, reason)
    shared = [n for n in folders[0].store.names if all(n in one.store for one in folders)]
    store_scores(
        path, source, made, shared, score, set_aside=set_aside, photos=_photos(folders), quiet=quiet
    )


def _alike(names: Sequence[str], by_name: dict[str, torch.Tensor]) -> list[list[str]]:
    """Group pictures that are scored with the same numbers."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(id(by_name.get(name)), []).append(name)
    return list(groups.values())
