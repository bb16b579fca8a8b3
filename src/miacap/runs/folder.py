"""A run folder on disk: create, load, list."""

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from miacap import captioners, weights
from miacap.concepts import ConceptFolder, ConceptSource, Extractor, Finder
from miacap.concepts.extractor import WEIGHTS
from miacap.concepts.extractor import copy as copy_extractor
from miacap.concepts.looking import load as load_finder
from miacap.data import Source
from miacap.data.features import Detector, Record, parse, require_same
from miacap.data.later import written
from miacap.data.leaks import Leak
from miacap.devices import Device, choose
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import claim, read_json, write_json
from miacap.locks import lock
from miacap.runs.overview import near
from miacap.runs.settings import FORMAT, RunSettings
from miacap.settings import first_difference, from_json, to_json
from miacap.text import Vocabulary
from miacap.version import __version__
from miacap.visual import Places, detectors, tuned

CARRIED_FILES = (
    WEIGHTS,
    "zero-shot.safetensors",
    "joined.safetensors",
    "concepts.json",
    tuned.WEIGHTS,
    tuned.DESCRIPTION,
)


@dataclass(frozen=True)
class Run:
    """A run folder, read. Its networks are built when asked for. See `Trained`.

    Raises RunError, everywhere, where the folder lacks something or disagrees with itself.
    """

    folder: Path
    settings: RunSettings
    vocabulary: Vocabulary
    preprocessing: Record
    concepts: ConceptSource | None = None

    @property
    def members(self) -> "tuple[Run, ...]":
        """This run alone."""
        return (self,)

    @cached_property
    def reads(self) -> frozenset[str]:
        """What the captioner reads of a picture: "regions", "concepts", "scores"."""
        return self.settings.reads

    @property
    def rows(self) -> Literal["match", "aligned"]:
        """Whether a picture has as many concepts as regions."""
        return self.settings.rows

    def extractor(self, device: Device = "auto") -> Extractor | None:
        """Load the concept extractor; None for a run without one."""
        if self.concepts is not None and self.concepts.looks:
            return None
        if self.concepts is None and not (self.folder / WEIGHTS).exists():
            return None
        return Extractor.load(self.folder, device)

    def finder(self, device: Device = "auto", places: Places | None = None) -> Finder | None:
        """Load what finds concepts in photos, where that is more than an extractor; else None."""
        if self.concepts is None or not self.concepts.looks:
            return None
        return load_finder(self.folder, self.concepts, device, places)

    def captioner(self, device: Device = "auto") -> nn.Module:
        """Build the captioner with the best weights, in eval mode."""
        module: nn.Module = build(self.settings, len(self.vocabulary))
        _fill(module, self.folder / "weights.safetensors")
        return module.eval().to(choose(device))


def build(settings: RunSettings, words: int) -> nn.Module:
    """Build a run's captioner for a vocabulary of `words` ids, untrained.

    Raises:
        SettingsError: it would not fit into memory.
    """
    return weights.build(lambda: make(settings, words), f"the captioner {settings.captioner!r}")


def make(settings: RunSettings, words: int) -> nn.Module:
    """Build a run's captioner on the default device, however large it is."""
    module: nn.Module = captioners.build(
        settings.captioner,
        source=settings.source,
        words=words,
        region_width=settings.region_width,
        **settings.sizes,
    )
    return module


def create(
    folder: str | os.PathLike[str],
    settings: RunSettings,
    vocabulary: Vocabulary,
    preprocessing: Record,
    sources: Sequence[Source],
    concepts: ConceptFolder | None = None,
    features: str | os.PathLike[str] | None = None,
    leaks: Sequence[Leak] = (),
) -> Run:
    """Lay a run folder, or find the same one again to go on with it.

    Args:
        folder: where; may exist if it holds a run of the same settings, words and pictures.
        settings: everything that makes the run.
        vocabulary: of the training captions.
        preprocessing: how the features were made.
        sources: files that were read, with hashes and terms, for data.json.
        concepts: what the captioner reads; the run keeps their extractor, or what is known of
            their file.
        features: the store of the features; the run keeps the detector and the tuned backbone that
            it carries.
        leaks: pictures that are in two splits, for data.json.

    Raises:
        RunError: the folder holds something else, or the store lacks its detector.
    """
    folder = Path(folder)
    if settings.format != FORMAT:
        raise SettingsError(f"format is {FORMAT} for new runs, not {settings.format}.")
    if (folder / "settings.json").exists():
        run = _same(_read(folder), settings, vocabulary, preprocessing, sources)
        _keep_concepts(concepts, folder)
        _keep_networks(preprocessing, features, folder)
        return replace(run, concepts=ConceptSource.of(folder))
    claim(folder, "run")  # a folder that an earlier call began and did not finish is ours, too
    for name in CARRIED_FILES:  # of that call, which may have had others, or any at all
        (folder / name).unlink(missing_ok=True)
    vocabulary.save(folder / "vocabulary.json")
    write_json(folder / "preprocessing.json", written(preprocessing))
    _keep_concepts(concepts, folder)
    _keep_networks(preprocessing, features, folder)
    data = {"sources": [to_json(source) for source in sources]}
    if leaks:
        data["leaks"] = [to_json(leak) for leak in leaks]
    write_json(folder / "data.json", data)
    write_json(folder / "environment.json", environment())
    write_json(folder / "settings.json", to_json(settings))  # last: now it is a run
    return Run(folder, settings, vocabulary, preprocessing, ConceptSource.of(folder))


@contextlib.contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other commands out of a run folder, from before it is laid to the end of training.

    Raises:
        RunError: another command is at work in it, or it holds something else.
    """
    path = Path(folder)
    if not (path / "settings.json").exists():
        claim(path, "run")  # before anything, a lock too, is written into it
    with lock(path / ".lock", timeout=2.0):
        yield


def _keep_concepts(concepts: ConceptFolder | None, folder: Path) -> None:
    if concepts is None:
        return
    if not concepts.source.is_lists:
        copy_extractor(concepts.folder, folder)
    elif ConceptSource.of(folder) != concepts.source:
        concepts.source.save(folder)


def _keep_networks(record: Record, features: str | os.PathLike[str] | None, folder: Path) -> None:
    if features is None:
        return
    if isinstance(record, Detector):
        detectors.copy(record, features, folder)
    tuned.copy(record, features, folder)


def environment() -> dict[str, Any]:
    """Say on what a run was made."""
    return {
        "miacap": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def load(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder. Raises RunError that says what is missing or wrong in it."""
    run = _read(Path(folder))
    if run.concepts is None and not run.reads.isdisjoint(("concepts", "scores")):
        raise RunError(
            f"{folder}: {run.settings.captioner} fed {run.settings.source!r} reads concepts, and "
            "concepts.json is absent; copy the run folder again."
        )
    return run


def _read(folder: Path) -> Run:
    if not (folder / "settings.json").is_file():
        raise RunError(
            f"{folder}: no run folder (it has no settings.json).{near(folder)} "
            "List runs: miacap runs"
        )
    if not (folder / "vocabulary.json").exists():
        raise RunError(
            f"{folder}: no whole run folder (it has no vocabulary.json); copy it again, or choose "
            "another folder."
        )
    try:
        tree = read_json(folder / "settings.json")
        _check_format(folder, tree)
        settings = from_json(RunSettings, _newest(tree), str(folder / "settings.json"))
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        file = folder / "preprocessing.json"
        preprocessing = parse(read_json(file), str(file))
    except (DataError, SettingsError) as error:
        raise RunError(str(error)) from None
    return Run(folder, settings, vocabulary, preprocessing, ConceptSource.of(folder))


def _check_format(folder: Path, tree: Any) -> None:
    number = tree.get("format", FORMAT) if isinstance(tree, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RunError(f"{folder / 'settings.json'}: not the settings of a run; copy them again.")
    if number > FORMAT:
        raise RunError(
            f"{folder}: run format {number}, but this miacap {__version__} reads up to {FORMAT}; "
            "install a newer miacap."
        )


def _newest(tree: dict[str, Any]) -> dict[str, Any]:
    """Give the settings of an older format in the newest one."""
    if tree.get("format", FORMAT) != 1:
        return tree
    known = {"label_smoothing": "label_smoothing", "attention_penalty": "regulariser"}
    objective = {new: tree[old] for old, new in known.items() if old in tree}
    rest = {name: value for name, value in tree.items() if name not in known}
    return {**rest, "objective": {"kind": "cross-entropy", **objective}, "format": FORMAT}


def _same(
    run: Run,
    settings: RunSettings,
    vocabulary: Vocabulary,
    preprocessing: Record,
    sources: Sequence[Source],
) -> Run:
    if run.settings.start is not None and run.settings.start.same(settings.start):
        settings = replace(settings, start=run.settings.start)  # its folder may have a new name
    old, new = to_json(run.settings), to_json(settings)
    old.pop("training"), new.pop("training")  # training.fit compares its own
    difference = first_difference(old, new)
    if difference is not None:
        raise RunError(
            f"{run.folder}: holds a run with {difference}; choose another folder, or "
            f"{difference.advice}."
        )
    if run.vocabulary.words != vocabulary.words:
        raise RunError(f"{run.folder}: made from other training captions; choose another folder.")
    require_same(run.preprocessing, preprocessing, str(run.folder), "the store")
    _check_sources(run.folder, sources)
    return replace(run, settings=settings)


def keep_settings(run: Run) -> None:
    """Write the settings with which a run went on, once its training has accepted them."""
    file = run.folder / "settings.json"
    settings = to_json(run.settings)
    if read_json(file) != settings:
        write_json(file, settings)


def _check_sources(folder: Path, sources: Sequence[Source]) -> None:
    """Refuse to go on with other captions or splits than those a run was begun with."""
    before = {row.get("sha256"): row.get("name") for row in read_sources(folder)}
    now = {source.sha256: source.name for source in sources}
    changed = [
        name for digest, name in (before | now).items() if (digest in before) != (digest in now)
    ]
    if changed:
        raise RunError(
            f"{folder}: begun with other data ({changed[0]} is not what it was); choose another "
            "folder to train anew."
        )


def read_sources(folder: Path) -> list[dict[str, Any]]:
    """Give the files that a run was made from, as data.json says them. Raises RunError."""
    path = folder / "data.json"
    try:
        value = read_json(path)
    except DataError as error:
        raise RunError(f"{error} It says what the run was made from; copy it again.") from None
    rows = value.get("sources") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RunError(f'{path}: expected an object with a list "sources"; copy the file again.')
    for index, row in enumerate(rows):
        for name in ("name", "sha256"):
            if not isinstance(row.get(name), str):
                raise RunError(
                    f"{path}: {name!r} of source {index + 1} is {row.get(name)!r}, not text; copy "
                    "the file again."
                )
    return rows


def _fill(module: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise RunError(f"{path.parent}: no weights yet; train it to the end of one epoch first.")
    what = weights.misfit(path, module)
    if what is not None:  # said before anything large is read
        raise RunError(
            f"{path}: these weights do not fit the run's settings or vocabulary ({what}); copy the "
            "run folder again."
        )
    tensors = weights.read_weights(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        # torch lists every tensor; the first says enough.
        first = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), "")
        raise RunError(
            f"{path}: these weights do not fit the run's settings or vocabulary "
            f"({first or error}); copy the run folder again."
        ) from None
    broken = weights.not_finite(module)
    if broken is not None:
        raise RunError(f"{path}: the weights {broken!r} are not finite; copy the run folder again.")
