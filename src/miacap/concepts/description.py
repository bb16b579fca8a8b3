"""`concepts.json`: where the concepts of a folder, or of a run trained with one, come from.

A folder of concepts has them from an extractor that was trained (its weights lie beside the
description) or from a file with a list of words for each picture. `ConceptSource` says which; it
is read once, and compared in one place.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from miacap.concepts.networks import KINDS, Kind
from miacap.data.features import Preprocessing, parse
from miacap.data.later import written
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import folder as make_folder
from miacap.files import read_json, write_json
from miacap.settings import check_at_least, check_share

FORMAT = 1
DESCRIPTION = "concepts.json"
LISTS: Literal["lists"] = "lists"
"""Stands in the file where a trained extractor has the kind of its network."""
ZERO_SHOT: Literal["zero-shot"] = "zero-shot"
"""As `LISTS`, for a model of pictures and words."""

JOINED: Literal["joined"] = "joined"
"""As `LISTS`, for several sources as one."""

Origin = Literal["extractor", "lists", "zero-shot", "joined"]
Method = Literal["log-odds", "ranks"]
Scores = Literal["ranks", "probabilities"]


@dataclass(frozen=True)
class Network:
    """How the network of an extractor is built.

    Attributes:
        kind: one of `KINDS`.
        width: V, length of a region row.
        hidden: size of the hidden layer; 0 for none.
        dropout: of the hidden layer, or of the rows where there is none.
    """

    kind: Kind
    width: int
    hidden: int
    dropout: float

    def __post_init__(self) -> None:
        check_at_least(1, width=self.width)
        check_at_least(0, hidden=self.hidden)
        check_share(dropout=self.dropout)


@dataclass(frozen=True)
class ConceptSource:
    """Where concepts come from: an extractor, or a file of lists.

    Attributes:
        words: the concept words, in the order of the scores.
        kind: "extractor", "lists", "zero-shot" or "joined".
        checksum: SHA-256 of the extractor's weights, of the file of lists, or of the words' rows.
        scores: "probabilities", or "ranks" (1 / rank) of lists without any.
        file: name of the file of lists; empty for an extractor.
        network: how the extractor is built; None for all others.
        model: of zero-shot concepts, the model and how photos are prepared for it.
        method: how several sources were joined.
        members: kind and checksum of each of them.
        where: the folder that it was read from, for messages; no part of comparisons.
    """

    words: tuple[str, ...]
    kind: Origin
    checksum: str
    scores: Scores = "probabilities"
    file: str = ""
    network: Network | None = None
    model: Preprocessing | None = None
    method: Method = "log-odds"
    members: tuple[tuple[str, str], ...] = ()
    where: str = field(default="", compare=False)

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> "ConceptSource | None":
        """Read the description in a folder of concepts or a run folder; None where there is none.

        Raises:
            RunError: a newer format, or a damaged description.
        """
        file = Path(folder) / DESCRIPTION
        if not file.is_file():
            return None
        values = _read(file)
        checksum = values.pop("sha256", None)
        readers = {LISTS: _lists, ZERO_SHOT: _zero_shot, JOINED: _joined}
        source = readers.get(str(values.get("kind")), _extractor)(values, file)
        # Descriptions had no checksum of their own at first.
        if checksum not in (None, _digest(values)):
            raise RunError(f"{file}: damaged (its checksum differs); copy the file again.")
        return source

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the description into a folder of concepts or a run folder."""
        values: dict[str, Any]
        if self.model is not None:
            values = {"kind": ZERO_SHOT, "model": written(self.model),
                      "words_sha256": self.checksum}  # fmt: skip
        elif self.kind == JOINED:
            values = {"kind": JOINED, "scores": self.scores, "method": self.method,
                      "members": [list(one) for one in self.members],
                      "numbers_sha256": self.checksum}  # fmt: skip
        elif self.network is None:
            values = {"kind": LISTS, "scores": self.scores, "file": self.file,
                      "file_sha256": self.checksum}  # fmt: skip
        else:
            network = self.network
            values = {"kind": network.kind, "width": network.width, "hidden": network.hidden,
                      "dropout": network.dropout, "weights_sha256": self.checksum}  # fmt: skip
        values = {"format": FORMAT, **values, "words": list(self.words)}
        write_json(make_folder(folder) / DESCRIPTION, {**values, "sha256": _digest(values)})

    @property
    def is_lists(self) -> bool:
        """Whether the concepts were read from a file, so that no extractor finds them."""
        return self.kind == LISTS

    @property
    def looks(self) -> bool:
        """Whether more than an extractor of stored features is needed to find the concepts."""
        return self.kind in (ZERO_SHOT, JOINED)

    @property
    def never_found(self) -> bool:
        """Whether no new photo can have such concepts: from a file, or joined with such."""
        return self.is_lists or any(kind == LISTS for kind, _ in self.members)

    @property
    def needs(self) -> str | None:
        """The file beside the description without which no new photo has concepts."""
        return {
            LISTS: None, ZERO_SHOT: "zero-shot.safetensors", JOINED: "joined.safetensors",
        }.get(self.kind, "extractor.safetensors")  # fmt: skip

    def fits(self, other: "ConceptSource") -> bool:
        """Say whether concepts of `other` may stand for these.

        An extractor's may only where it is the same one. Lists of another file fit, whatever
        their words: they are mapped word by word.
        """
        same = (self.checksum, self.members) == (other.checksum, other.members)
        return self.kind == other.kind and (self.is_lists or same)

    def differences(self, other: "ConceptSource") -> tuple[str, ...]:
        """Say in words what differs; nothing where both are the same."""
        differences = []
        if self.words != other.words:
            differences.append(f"their concept words ({len(self.words)} and {len(other.words)})")
        if self.kind != other.kind:
            differences.append(f"what found them ({_origin(self)}, and {_origin(other)})")
        elif (self.checksum, self.members) != (other.checksum, other.members):
            named = {LISTS: "files", ZERO_SHOT: "models or words", JOINED: "joined sources"}
            what = named.get(self.kind, "extractors")
            sums = f"{self.checksum[:12]} and {other.checksum[:12]}"
            differences.append(f"their {what} (SHA-256 {sums})")
        return tuple(differences)


def check_same(own: ConceptSource, given: ConceptSource) -> None:
    """See that what goes on has the concepts that it was begun with. Raises RunError."""
    differences = own.differences(given)
    if differences:
        raise RunError(
            f"{own.where}: trained with other concepts than those in {given.where}: "
            f"{' and '.join(differences)} differ. Choose another run folder, or the same concepts "
            "to go on."
        )


def check_fits(own: ConceptSource, given: ConceptSource, *, reads_scores: bool) -> None:
    """See that stored concepts may stand for those that a captioner was trained with.

    Args:
        own: what it was trained with.
        given: what it is to have now.
        reads_scores: whether it reads the scores of all concepts, in their order, rather than
            the best words.

    Raises:
        RunError: `given` comes from another extractor, from a file where `own` does not, or has
            other words where all scores are read.
    """
    if own.kind != given.kind:
        raise RunError(
            f"{own.where}: trained with concepts of {_origin(own)}, but those in {given.where} "
            f"come from {_origin(given)}. Give the folder that it was trained with."
        )
    if not own.fits(given):
        raise RunError(
            f"{own.where}: trained with another concept extractor than that of {given.where}. "
            "Give the folder that it was trained with."
        )
    if reads_scores and own.words != given.words:
        raise RunError(
            f"{own.where}: reads probabilities of its own concepts, in their order; those in "
            f"{given.where} are others. Give the folder that it was trained with."
        )


def what_to_know(own: ConceptSource, split: str, given: ConceptSource | None = None) -> str | None:
    """Say what a reader of a split's scores has to know about the concepts, if anything.

    Args:
        own: what the captioner was trained with.
        split: which pictures are captioned.
        given: where their concepts come from; None where the captioner's own extractor finds
            them.
    """
    if given is None:
        if split != "train" or own.kind != "extractor":
            return None
        return (
            "the run's extractor learned from the captions of these pictures, so their concepts "
            "are better than those of new photos; out of fold they are those of the folder that "
            "it was trained with: --concepts FOLDER"
        )
    if own.is_lists and given.is_lists and own.checksum != given.checksum:
        return (
            f"{own.where} was trained on the lists of {own.file}; those in {given.where} are of "
            f"another file, {given.file}"
        )
    return None


def no_extractor(source: ConceptSource) -> RunError:
    """Say that concepts came from a file, so that there is nothing to find them with."""
    if not source.is_lists:
        return RunError(
            f"{source.where}: its concepts were joined with those of a file, so that nothing finds "
            "them in a new photo. Caption pictures that have them stored with: miacap evaluate "
            "--concepts FOLDER; for new photos, join sources that find concepts in photos."
        )
    return RunError(
        f"{source.where}: its concepts were read from a file ({source.file}), so there is no "
        "extractor that finds them in a photo. Caption pictures that have lists with: miacap "
        "evaluate --concepts FOLDER (filled by miacap concepts read); for new photos, train with "
        "the concepts of: miacap concepts train"
    )


def not_in_features(source: ConceptSource) -> RunError:
    """Say that concepts are found in photos, so that stored features are not enough."""
    return RunError(
        f"{source.where}: its concepts are found in the photos themselves, and not in stored "
        "features; give the folder that holds them: --concepts FOLDER (filled by miacap concepts "
        f"{'join' if source.kind == JOINED else 'zero-shot'})"
    )


def _origin(source: ConceptSource) -> str:
    told = {
        LISTS: "a file of lists", ZERO_SHOT: "a model of pictures and words",
        JOINED: "several sources",
    }  # fmt: skip
    return told.get(source.kind, "an extractor")


def _read(file: Path) -> dict[str, Any]:
    try:
        values = read_json(file)
    except DataError as error:
        raise RunError(str(error)) from None
    number = values.get("format") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(number, int) or isinstance(number, bool):
        raise RunError(f"{file}: not the description of concepts; copy the file again.")
    if number > FORMAT:
        raise RunError(
            f"{file}: format {number}, this miacap reads {FORMAT}; install a newer miacap."
        )
    return values


def _digest(values: Mapping[str, Any]) -> str:
    """Give one SHA-256 over all that a description says, its words above all."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _lists(values: Mapping[str, Any], file: Path) -> ConceptSource:
    _require(values, {"file": str, "file_sha256": str, "words": list}, file)
    if values.get("scores") not in get_args(Scores):
        raise RunError(f"{file}: scores is absent or of the wrong type; copy the file again.")
    return ConceptSource(
        tuple(values["words"]), LISTS, values["file_sha256"], values["scores"], values["file"],
        where=str(file.parent),
    )  # fmt: skip


def _extractor(values: Mapping[str, Any], file: Path) -> ConceptSource:
    kinds = {"kind": str, "width": int, "hidden": int, "dropout": (float, int),
             "weights_sha256": str, "words": list}  # fmt: skip
    _require(values, kinds, file)
    if values["kind"] not in KINDS:
        raise RunError(
            f"{file}: an extractor of kind {values['kind']!r} is unknown to this miacap."
        )
    try:
        network = Network(values["kind"], values["width"], values["hidden"], values["dropout"])
    except SettingsError as error:
        raise RunError(f"{file}: {error}") from None
    return ConceptSource(
        tuple(values["words"]), "extractor", values["weights_sha256"], network=network,
        where=str(file.parent),
    )  # fmt: skip


def _zero_shot(values: Mapping[str, Any], file: Path) -> ConceptSource:
    _require(values, {"model": dict, "words_sha256": str, "words": list}, file)
    try:
        model = parse(values["model"], str(file))
    except SettingsError as error:
        raise RunError(str(error)) from None
    if not isinstance(model, Preprocessing):
        raise RunError(f"{file}: model is no record of how photos are prepared; copy it again.")
    return ConceptSource(
        tuple(values["words"]), ZERO_SHOT, values["words_sha256"], model=model,
        where=str(file.parent),
    )  # fmt: skip


_MOST_MEMBERS = 100


def _joined(values: Mapping[str, Any], file: Path) -> ConceptSource:
    _require(values, {"members": list, "numbers_sha256": str, "words": list}, file)
    pairs = values["members"]
    whole = all(
        isinstance(one, list) and len(one) == 2 and all(isinstance(x, str) for x in one)
        for one in pairs
    )
    whole = whole and 2 <= len(pairs) <= _MOST_MEMBERS
    if not whole or values.get("method") not in get_args(Method):
        raise RunError(f"{file}: members or method are of the wrong type; copy the file again.")
    if values.get("scores") not in get_args(Scores):
        raise RunError(f"{file}: scores is absent or of the wrong type; copy the file again.")
    return ConceptSource(
        tuple(values["words"]), JOINED, values["numbers_sha256"], values["scores"],
        method=values["method"], members=tuple((kind, digest) for kind, digest in pairs),
        where=str(file.parent),
    )  # fmt: skip


def _require(values: Mapping[str, Any], kinds: Mapping[str, Any], file: Path) -> None:
    for name, kind in kinds.items():
        value: Any = values.get(name)
        fits = isinstance(value, kind) and not isinstance(value, bool)
        if fits and name == "words":
            fits = all(isinstance(word, str) for word in value)
        if not fits:
            raise RunError(f"{file}: {name} is absent or of the wrong type; copy the file again.")
