"""How features were made: one record of four kinds, kept in stores and run folders.

    grid      a photo, prepared, through a backbone; a row is a cell of its last map
    detector  the whole photo and boxes that a detector finds, each pooled from a backbone's map
    box-head  the same of a two-stage detector, with the features of its own second stage
    given     features that somebody brings; no photo can be turned into them

A record is read once (`parse`) and compared by one function (`require_same`). Telling how
features were made needs no torch; making them again is the work of `visual`.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from miacap.data.detectors import Description
from miacap.errors import RunError, SettingsError
from miacap.reading import short
from miacap.settings import check_pixels, from_json, to_json

Alpha: TypeAlias = Literal["white", "black"]
Exif: TypeAlias = Literal["apply", "ignore"]
Precision: TypeAlias = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Preprocessing:
    """The cells of a backbone's map: everything that decides which numbers a photo becomes.

    Attributes:
        backbone: its name, as `visual.load` takes it.
        weights_sha256: checksum of the backbone's weights.
        size: what the backbone sees, in pixels: the side of a square, or height and width.
        resize: "squash" shows the whole photo, its sides scaled alone; "crop" cuts out the
            largest middle part that has the proportions of `size`, and scales it.
        interpolation: Pillow's filter, antialiased, on 8-bit values (integers: the same
            result on every machine).
        mean, std: per channel, for values in [0, 1].
        colour: order of the channels.
        grid: rows and columns of cells that the map is pooled to (adaptive average pooling);
            one number stands for both; None keeps the map's own.
        alpha: what shines through transparent pixels.
        exif: "apply" turns the photo as its EXIF orientation says.
        precision: "bfloat16" has the backbone compute under autocast: products in bfloat16, sums
            and weights as they are. What it gives is float32 again.
        flips: the backbone looks at the photo and at its mirror image, and the map is the mean of
            both, that of the mirror image mirrored back.

    Raises:
        SettingsError: a size, grid, mean or std out of range.
    """

    kind: Literal["grid"] = field(default="grid", kw_only=True)
    backbone: str
    weights_sha256: str
    size: int | tuple[int, int] = 224
    resize: Literal["squash", "crop"] = "squash"
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    colour: Literal["RGB", "BGR"] = "RGB"
    alpha: Alpha = "white"
    exif: Exif = "apply"
    grid: int | tuple[int, int] | None = None
    precision: Precision = "float32"
    flips: bool = False

    def __post_init__(self) -> None:
        check_pixels(**{"preprocessing: size": self.size})
        if self.cells is not None and not all(1 <= side <= 128 for side in self.cells):
            raise SettingsError(f"preprocessing: grid is 1 to 128 cells a side, not {self.grid}.")
        if not all(math.isfinite(m) for m in self.mean):
            raise SettingsError(f"preprocessing: mean has to be finite, not {self.mean}.")
        if not all(math.isfinite(s) and s > 0 for s in self.std):
            raise SettingsError(f"preprocessing: std has to be above 0, not {self.std}.")

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of what the backbone sees, in pixels."""
        return _both(self.size)

    @property
    def cells(self) -> tuple[int, int] | None:
        """Rows and columns that the map is pooled to; None for its own."""
        return None if self.grid is None else _both(self.grid)

    @property
    def title(self) -> str:
        """What made the features, in a word or two: the backbone."""
        precision = "" if self.precision == "float32" else f" in {self.precision}"
        return self.backbone + precision + (" with flips" if self.flips else "")

    @property
    def side(self) -> int:
        """The longest side in pixels to which a photo is reduced."""
        return max(self.sides)


def _both(number: int | tuple[int, int]) -> tuple[int, int]:
    return (number, number) if isinstance(number, int) else number


@dataclass(frozen=True)
class Detector:
    """The whole photo and boxes that a detector finds, each pooled from the map of a backbone.

    A row's features are the mean of its aligned cells (RoI-align, half-pixel convention). Boxes
    from `threshold` on are taken, at least `fewest` and at most `boxes`, best first.

    Attributes:
        weights_sha256: checksum of the detector's file.
        description: what the detector's input, outputs and classes are.
        pooling: the backbone whose map is pooled, and how photos are prepared for it.
        rows: what a photo's rows are: "boxes" alone, or "grid+boxes": the map's cells first.
        boxes: how many boxes a photo has at most; the whole photo is the first of them.
        fewest: how many it has at least, where the detector finds as many, whatever their scores.
        threshold: the score from which on boxes beyond `fewest` are taken, 0 to 1.
        bins: aligned cells of a box, on each axis.
        samples: points of an aligned cell, on each axis.

    Raises:
        SettingsError: a number out of range, or a map that does not show the whole photo.
    """

    kind: Literal["detector"] = field(default="detector", kw_only=True)
    weights_sha256: str
    description: Description
    pooling: Preprocessing
    rows: Literal["boxes", "grid+boxes"] = "boxes"
    boxes: int = 36
    fewest: int = 36
    threshold: float = 0.2
    bins: int = 7
    samples: int = 2

    def __post_init__(self) -> None:
        _check_boxes("detector", self.boxes, self.fewest, self.threshold)
        for name, number in (("bins", self.bins), ("samples", self.samples)):
            if not 1 <= number <= 64:
                raise SettingsError(f"detector: {name} is 1 to 64, not {number}.")
        if self.pooling.resize != "squash":
            raise SettingsError(
                "detector: boxes lie anywhere in a photo, so its map has to show the whole of it; "
                "pooling.resize is 'squash'."
            )
        if self.pooling.grid is not None and self.rows == "boxes":
            raise SettingsError(
                "detector: boxes are pooled from the map's own cells, so grid says nothing here; "
                "leave it out, or join the cells: --regions grid+detector:FILE.onnx"
            )

    @property
    def title(self) -> str:
        """What made the features, in a word or two: the detector and the backbone."""
        joined = " with the grid" if self.rows == "grid+boxes" else ""
        return f"{self.description.name} on {self.pooling.title}{joined}"

    @property
    def side(self) -> int:
        """The longest side in pixels to which a photo is reduced."""
        seen = self.description.input
        return max(self.pooling.side, seen.width, seen.height)

    @property
    def alpha(self) -> Alpha:
        """What shines through transparent pixels."""
        return self.pooling.alpha

    @property
    def exif(self) -> Exif:
        """Whether the EXIF orientation is applied."""
        return self.pooling.exif

    def count(self, scores: Sequence[float]) -> int:
        """Say how many of a photo's boxes are taken, beside the whole photo."""
        return _count(scores, self.boxes, self.fewest, self.threshold)


def _check_boxes(kind: str, boxes: int, fewest: int, threshold: float) -> None:
    if not 1 <= boxes <= 1000:
        raise SettingsError(f"{kind}: boxes is 1 to 1000, not {boxes}.")
    if not 1 <= fewest <= boxes:
        raise SettingsError(f"{kind}: fewest is 1 to the number of boxes ({boxes}), not {fewest}.")
    if not 0 <= threshold <= 1:
        raise SettingsError(f"{kind}: threshold is 0 to 1, not {threshold}.")


def _count(scores: Sequence[float], boxes: int, fewest: int, threshold: float) -> int:
    """Count the scores from `threshold` on; the whole photo is one box of `fewest` and `boxes`."""
    above = sum(score >= threshold for score in scores)
    return min(max(above, fewest - 1), boxes - 1, len(scores))


@dataclass(frozen=True)
class BoxHead:
    """The whole photo and boxes of a two-stage detector, with the features of its own box head.

    Attributes:
        detector: its name, "torchvision:NAME".
        weights_sha256: checksum of its weights.
        size: pixels to which a photo's shorter side is scaled, and of its longer side at most.
        boxes, fewest, threshold: which boxes are taken; see `Detector`.
        least_score: boxes are looked at that score more; the networks' own limit, 0.05, leaves too
            few on many photos.
        overlap: of two boxes of one class whose intersection over union is greater, the better one
            stays.
        found: how many boxes are kept at most.
        interpolation: Pillow's filter, antialiased.
        alpha, exif: see `Preprocessing`.

    Raises:
        SettingsError: a number out of range.
    """

    kind: Literal["box-head"] = field(default="box-head", kw_only=True)
    detector: str
    weights_sha256: str
    size: tuple[int, int] = (800, 1333)
    boxes: int = 36
    fewest: int = 36
    threshold: float = 0.2
    least_score: float = 0.01
    overlap: float = 0.5
    found: int = 1000
    interpolation: Literal["bilinear"] = "bilinear"
    alpha: Alpha = "white"
    exif: Exif = "apply"

    def __post_init__(self) -> None:
        check_pixels(**{"box-head: size": self.size})
        for name, share in (("least_score", self.least_score), ("overlap", self.overlap)):
            if not 0 <= share <= 1:
                raise SettingsError(f"box-head: {name} is 0 to 1, not {share}.")
        if not 1 <= self.found <= 1000:
            raise SettingsError(f"box-head: found is 1 to 1000, not {self.found}.")
        _check_boxes("box-head", self.boxes, self.fewest, self.threshold)

    @property
    def title(self) -> str:
        """What made the features, in a word or two: the detector."""
        return self.detector

    @property
    def side(self) -> int:
        """The longest side in pixels to which a photo is reduced."""
        return max(self.size)

    def count(self, scores: Sequence[float]) -> int:
        """Say how many of a photo's boxes are taken, beside the whole photo."""
        return _count(scores, self.boxes, self.fewest, self.threshold)


@dataclass(frozen=True)
class Given:
    """Features that somebody brings; how to make them from a photo is not known here.

    Attributes:
        name: what they are called.
        origin: where they come from, in free text.

    Raises:
        SettingsError: no name.
    """

    kind: Literal["given"] = field(default="given", kw_only=True)
    name: str
    origin: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise SettingsError("given features need a name.")

    @property
    def title(self) -> str:
        """What made the features, in a word or two: their name."""
        return self.name


OfPhotos: TypeAlias = Preprocessing | Detector | BoxHead
"""How features were made that a photo can be turned into."""

Record: TypeAlias = OfPhotos | Given
"""How features were made; its `kind` says which of the four it is."""


@dataclass(frozen=True)
class _Holder:
    """What `settings` needs to read one of several kinds."""

    features: Record


def parse(value: Any, where: str) -> Record:
    """Read a record from JSON values; one without a kind is of the kind grid.

    Args:
        value: what a manifest or a run's preprocessing.json says.
        where: the file, for the message.

    Raises:
        SettingsError: an unknown, missing or wrong setting.
    """
    return from_json(_Holder, {"features": tagged(value)}, where).features


def tagged(value: Any) -> Any:
    """Give JSON values of a record with their kind, where an earlier miacap wrote none."""
    if not isinstance(value, Mapping) or "kind" in value:
        return value
    if "concepts" in value:  # words per picture that were read from a file
        return {
            "kind": "given",
            "name": str(value["concepts"]),
            "origin": f"file of SHA-256 {value.get('file_sha256')}",
        }
    return {"kind": "grid", **value}


def differences(one: Record, other: Record) -> dict[str, tuple[Any, Any]]:
    """Give what two records say of each setting in which they differ; nothing if they agree.

    Settings within settings have their full name ("pooling.size"). Records of two kinds differ
    in their kind alone.
    """
    if one.kind != other.kind:
        return {"kind": (one.kind, other.kind)}
    return _differences(to_json(one), to_json(other))


def _differences(mine: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    differing: dict[str, tuple[Any, Any]] = {}
    for name in {**mine, **others}:
        one, other = mine.get(name), others.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            inner = _differences(one, other)
            differing |= {f"{name}.{deeper}": pair for deeper, pair in inner.items()}
        elif one != other:
            differing[name] = one, other
    return differing


def require_same(
    expected: Record, other: Record, run: str, store: str, owner: Literal["run", "concepts"] = "run"
) -> None:
    """Refuse features that were not made as a run's were.

    Args:
        expected: the run's record.
        other: the store's.
        run: where the first lies, for the message.
        store: where the other lies.
        owner: what the first is of: a run, or concepts that were found in features.

    Raises:
        RunError: what differs, and what to do.
    """
    differing = differences(expected, other)
    if not differing:
        return
    if isinstance(expected, Given) or isinstance(other, Given):
        raise RunError(
            f"{run} was made for {_told(expected)}, but {store} holds {_told(other)}. "
            f"Choose the folder of features that belongs to it{_same_name(expected, other)}."
        )
    again = f"Make them as it reads them: miacap features DATA --run {shlex.quote(run)} -o FOLDER"
    if owner == "concepts":
        again = "Give the features that they were found in, or make the concepts again."
    if other_backbone := differing.get("backbone", differing.get("pooling.backbone")):
        backbone, another = other_backbone
        raise RunError(
            f"{run} was made for another backbone: {backbone}, but {store} holds "
            f"features of {another}. {again}"
        )
    what = "; ".join(
        f"{name} (another network, or other weights of it)" if name.endswith("sha256")
        else f"{name} {short(ours)} in the {owner} and {short(theirs)} in the features"
        for name, (ours, theirs) in differing.items()
    )  # fmt: skip
    raise RunError(
        f"{run} was made for photos prepared otherwise than those in {store}: {what}. {again}"
    )


def _same_name(expected: Record, other: Record) -> str:
    """Say how features of one detector get one name, where that may be what is wrong."""
    if not isinstance(expected, Given) or not isinstance(other, Given):
        return ""
    name = shlex.quote(expected.name)
    return f"; what made both alike is read under one name (miacap features read ... --name {name})"


def _told(record: Record) -> str:
    """Name features in a sentence."""
    if isinstance(record, Given):
        origin = f" ({record.origin})" if record.origin else ""
        return f"given features {record.name!r}{origin}"
    return f"features of {record.title}"
