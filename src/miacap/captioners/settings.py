"""Sizes: all that building a captioner needs, as frozen settings that JSON can hold."""

from dataclasses import dataclass
from typing import Literal

from miacap.errors import SettingsError, nearest
from miacap.settings import check_at_least, check_share

__all__ = ["REFINED", "FedSizes", "Sizes", "check_same_width", "check_source"]

REFINED = ("regions", "concepts", "combined", "both")
"""Sources that have a refiner."""


@dataclass(frozen=True)
class Sizes:
    """What every captioner has; a family adds its own."""

    name: str
    """The registered name."""
    words: int
    """W: size of the vocabulary, the four special ids included."""
    source: str = "combined"
    """What the captioner is fed."""
    region_width: int = 1280
    """V: width of a region's features."""
    rows: Literal["match", "aligned"] = "match"
    """"aligned" lets a picture have more or fewer concepts than regions."""

    @property
    def width_multiple(self) -> int:
        """What every possible `width` is a multiple of."""
        return 1

    @property
    def adjustable(self) -> str | None:
        """A size that adds a few parameters where one more of `width` adds too many, or None."""
        return None

    def __post_init__(self) -> None:
        if self.words < 5:
            raise ValueError(
                f"words counts the four special ids and at least one word, not {self.words}."
            )
        check_at_least(1, region_width=self.region_width)


@dataclass(frozen=True)
class FedSizes(Sizes):
    """Sizes of a captioner that is fed projected, perhaps refined rows."""

    width: int = 512
    """d_h: width of rows, of hidden states and of the refiner."""
    word_width: int | None = None
    """e: width of word vectors; None: as wide as the rows."""
    dropout: float = 0.5
    """On region features, pooled rows, input words and the output; the refiner has its own."""
    region_dropout: float | None = None
    """On region features and their pooled rows; None: as `dropout`."""
    forget_bias: float = 0.0
    """Added to the forget gate's initial bias; 1 helps long memories early in training. A captioner
    without such a gate leaves it unread."""
    iterations: int = 2
    """N; 0 gives the control LayerNorm(I_0 + T_0) under `combined`."""
    heads: int = 8
    """Attention heads of the refiner; divide `width`."""
    inner: int = 2048
    """Width of the refiner's feed-forward layers."""
    preset: Literal["paper", "released"] = "paper"
    """"released": as the authors' code, whose visual step has one more residual."""
    order: Literal["concepts-first", "regions-first"] = "concepts-first"
    """Who queries first; "regions-first" is appendix A.1."""
    attention: Literal["mutual", "self"] = "mutual"
    """"self": each stream guides itself, the control of section 3.5."""
    residual: Literal["value", "query", "none"] = "value"
    """The refiner's first residual; "query" and "none" are ablations."""
    refiner_dropout: float = 0.1
    """On the refiner's attention weights and sub-layer outputs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, width=self.width, heads=self.heads, inner=self.inner)
        check_at_least(1, word_width=self.word_width)
        check_share(dropout=self.dropout, refiner_dropout=self.refiner_dropout)
        check_share(region_dropout=self.dropout_of_regions)
        if self.iterations < 0:
            raise ValueError(f"iterations is 0 or more, not {self.iterations}.")
        if self.iterations > 1_000:
            raise ValueError(f"iterations is at most 1,000, not {self.iterations}.")
        if (self.source, self.rows) == ("combined", "aligned") and not self._rows_meet:
            raise ValueError(
                "source='combined' has no sum of regions and concepts whose rows never meet: "
                "refine at least once, with attention='mutual', or keep rows='match'."
            )

    @property
    def width_multiple(self) -> int:
        """What every possible `width` is a multiple of: the refiner's heads, if there is one."""
        return self.heads if self.source in REFINED else 1

    @property
    def adjustable(self) -> str | None:
        """The width of words, where it is not that of rows."""
        return None if self.word_width is None else "word_width"

    @property
    def _rows_meet(self) -> bool:
        """Whether some step gives both streams the rows of one."""
        return self.iterations > 0 and self.attention == "mutual"

    @property
    def dropout_of_regions(self) -> float:
        """Dropout of region features and pooled rows, resolved."""
        return self.dropout if self.region_dropout is None else self.region_dropout

    @property
    def embedding_width(self) -> int:
        """e, resolved."""
        return self.width if self.word_width is None else self.word_width


def check_same_width(sizes: FedSizes, why: str) -> None:
    """Refuse word vectors of another width than rows; raises ValueError."""
    if sizes.embedding_width != sizes.width:
        raise ValueError(
            f"{sizes.name} {why}: word_width is {sizes.width}, as width, not {sizes.word_width}."
        )


def check_source(name: str, source: str, sources: tuple[str, ...]) -> None:
    """Refuse what a captioner cannot be fed; raises SettingsError that lists what it can."""
    if source not in sources:
        raise SettingsError(
            f"Captioner {name!r} cannot be fed {source!r}.{nearest(source, sources)} "
            f"It takes: {', '.join(sources)}."
        )
