"""The pictures of files under the ids that they are kept by, and what the first of them say of all.

A picture is kept under the id that the captions give it; those that the captions do not have, and
those that may be one of several pictures of theirs, are counted and left out.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from miacap.data.dataset import Dataset
from miacap.data.given.boxes import Sizes, UnknownSize, relative
from miacap.data.given.ids import Matching
from miacap.data.given.rows import BadFeatures, Found, Matrix, Rows, Size, checked
from miacap.errors import DataError
from miacap.wording import none

_FIRST = 5
"""Pictures that say how wide the features are."""


@dataclass(frozen=True)
class Sizing:
    """How large photos are: as a file says it, or as the photo itself."""

    sizes: Sizes
    photo_size: Callable[[str], Size | None] | None

    def relative(self, name: str, one: Found, rows: Rows) -> Matrix | None:
        """Give boxes as parts of the photo; see `boxes.relative`."""
        size = None
        if rows.boxes is not None and rows.size is None and rows.scale != "relative":
            size = self.sizes.get(one.id)
            if size is None and self.photo_size is not None:
                size = self.photo_size(name)
        return relative(rows, one.where, size)


class Matched:
    """The pictures of files under the ids that they are kept by; the rest is counted.

    Attributes:
        dataset: whose pictures are kept; None keeps all.
        unknown: how many pictures of the files the dataset does not have.
        ambiguous: how many may be one of several pictures of the dataset.
        first_unknown: what the file calls the first one that is unknown.
        first_ambiguous: the same of the first ambiguous one, and two pictures that it may be.
    """

    def __init__(self, found: Iterator[Found], dataset: Dataset | None) -> None:
        self._found = found
        self._matching = None if dataset is None else Matching(dataset.ids)
        self.dataset = dataset
        self.unknown = self.ambiguous = 0
        self.first_unknown = ""
        self.first_ambiguous: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[str, Found]]:
        for one in self._found:
            found = (one.id,) if self._matching is None else self._matching.candidates(one.id)
            if len(found) == 1 and found[0]:
                yield found[0], one
            elif len(found) > 1:
                self.ambiguous += 1
                self.first_ambiguous = self.first_ambiguous or (one.id, *found)
            else:
                self.unknown += 1
                self.first_unknown = self.first_unknown or one.id or one.where


@dataclass(frozen=True)
class First:
    """The first pictures, and what they say of all.

    Attributes:
        taken: those that were looked at, with their rows or what is wrong with them.
        rest: those that follow.
        width: numbers of a region.
        boxed: whether boxes are kept.
        without_boxes: why boxes that are there are not kept.
    """

    taken: list[tuple[str, Found, Rows | BadFeatures]]
    rest: Iterator[tuple[str, Found]]
    width: int
    boxed: bool
    without_boxes: str

    @classmethod
    def look(cls, matched: Matched, sizes: Sizing, without_boxes: bool, what: str) -> "First":
        """Read the first pictures of `what`. Raises DataError where nothing can be used."""
        rest = iter(matched)
        taken: list[tuple[str, Found, Rows | BadFeatures]] = []
        good: list[tuple[str, Found, Rows]] = []
        for name, one in rest:
            loaded = loaded_of(one)
            if isinstance(loaded, Rows):
                good.append((name, one, loaded))
            # Its bytes are let go: of very many bad rows only the reasons stay.
            taken.append((name, replace(one, load=_nothing), loaded))
            if len(good) == _FIRST:
                break
        if not taken:
            raise DataError(_nothing_matched(what, matched))
        if not good:
            raise DataError(f"{what}: no features that can be used. {taken[0][2]}.")
        widths = Counter(rows.features.shape[1] for _, _, rows in good)
        width = widths.most_common(1)[0][0]
        usual = [taken for taken in good if taken[2].features.shape[1] == width]
        boxed, why = (False, "") if without_boxes else _boxed(usual, sizes)
        return cls(taken, rest, width, boxed, why)

    def pictures(self) -> Iterator[tuple[str, Found, Rows | BadFeatures | None]]:
        """Give all pictures; those that were looked at with what came of it."""
        yield from self.taken
        for name, one in self.rest:
            yield name, one, None


def _boxed(good: Sequence[tuple[str, Found, Rows]], sizes: Sizing) -> tuple[bool, str]:
    """Whether the pictures have boxes that can be made relative, and why not."""
    for name, one, rows in good:
        try:
            if sizes.relative(name, one, rows) is not None:
                return True, ""
        except UnknownSize:
            return False, (
                "boxes are left out: they are in pixels, and the photos' sizes are not known. To "
                "keep them, read the features into another folder with --sizes FILE (annotations "
                "with the photos' width and height) or --photos FOLDER"
            )
        except BadFeatures:
            continue
    return False, ""


def _nothing_matched(what: str, matched: Matched) -> str:
    if not matched.unknown and not matched.ambiguous:
        return f"{what}: no pictures at all."
    assert matched.dataset is not None
    name = matched.dataset.name
    if matched.ambiguous:
        theirs, one, other = matched.first_ambiguous
        return (
            f"{what}: no picture can be told; {theirs!r} may be {one!r} or {other!r} of {name}. "
            "Read features and captions of one split at a time, or write their ids alike."
        )
    return (
        f"{what}: {none(matched.unknown, 'picture', 'the')} is in {name}; the features call them "
        f"like {matched.first_unknown!r}, the captions like {matched.dataset.ids[0]!r}. Name the "
        "captions that these features belong to."
    )


def loaded_of(one: Found) -> Rows | BadFeatures:
    """Read a picture's rows, or give what is wrong with them."""
    try:
        return checked(one.load(), one.where)
    except BadFeatures as error:
        return error


def _nothing() -> Rows:
    raise AssertionError("these rows were read before")
