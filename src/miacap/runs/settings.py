"""The settings of one run, written whole into its folder."""

from dataclasses import dataclass, field
from typing import Any, Literal

from miacap import captioners
from miacap.decoding.settings import SearchSettings
from miacap.errors import SettingsError
from miacap.runs.objectives import CrossEntropy, Objective, SelfCritical
from miacap.settings import check_at_least, check_at_most, check_pixels, check_share
from miacap.training import TrainingSettings

_STAGES = 9
"""As `visual.learning.STAGES`, which needs torch; lists of runs and recipes do without."""

FORMAT = 2
"""Newest layout of a run folder that this version reads and the one that it writes."""


_ELSEWHERE = {
    "name": "the run's captioner decides it (--captioner)",
    "source": "the run's source decides it (--source)",
    "words": "the vocabulary decides it (minimum_count)",
    "region_width": "the features decide it",
}
"""What building a captioner also needs, and who decides it."""


DECIDED = {
    "region_width": _ELSEWHERE["region_width"],
    "start": "give the run to begin with as --from RUN",
    "word_vectors": "give the file as --word-vectors FILE",
}
"""Settings of a run that are written down and not chosen, and what decides them."""


DECIDED_WITH_FEATURES = {
    **DECIDED,
    "tuning": "features come from a fixed network; miacap tune DATA --from RUN has these settings",
}
"""The same where a captioner is trained on features."""


def captioner_training() -> TrainingSettings:
    """Training settings that suit a captioner on two cores (docs/log.md has what they reach)."""
    return TrainingSettings(
        epochs=12,
        learning_rate=1e-3,
        optimiser="adamw",
        warmup_steps=200,
        schedule="cosine",
        clip_norm=5.0,
        patience=3,
    )


def tuned_training() -> TrainingSettings:
    """Training settings that suit a captioner whose backbone learns with it."""
    return TrainingSettings(
        epochs=6,
        learning_rate=2e-4,
        optimiser="adamw",
        warmup_steps=100,
        schedule="cosine",
        clip_norm=5.0,
        patience=3,
        checkpoint_every=100,
    )


def self_critical_training(captioner: str) -> TrainingSettings:
    """Training settings that suit a captioner which has learned to say the references.

    Adam at 5e-5, or at the rate that the captioner names (a Transformer 1e-5), as public code of
    self-critical training has it.
    """
    return TrainingSettings(
        epochs=12,
        learning_rate=captioners.self_critical_rate(captioner),
        optimiser="adam",
        weight_decay=0.0,
        schedule="constant",
        clip_norm=5.0,
        patience=3,
    )


def usual_training(captioner: str, objective: Objective) -> TrainingSettings:
    """Give the training settings that suit an objective."""
    if isinstance(objective, SelfCritical):
        return self_critical_training(captioner)
    return captioner_training()


@dataclass(frozen=True)
class Start:
    """The run whose best weights a training began with."""

    run: str
    """Name of its folder, or of an installed captioner."""
    weights_sha256: str
    """Checksum of its weights."""

    def same(self, other: "Start | None") -> bool:
        """Whether another one has the same weights, whatever its folder is called."""
        return other is not None and self.weights_sha256 == other.weights_sha256


@dataclass(frozen=True)
class BackboneTuning:
    """How the backbone learns along with the captioner. Raises SettingsError."""

    stages: int = _STAGES
    """How many of the network's last stages learn: 9 are all of them (stem, seven stages of
    blocks, head)."""
    rate: float = 0.3
    """The backbone's learning rate, as a part of `training.learning_rate`."""
    decay: float = 0.0
    """Pull of the backbone's matrices towards zero, in place of `training.weight_decay`."""
    flips: bool = True
    """Mirror every second photo, at random. The words left and right are then learned wrongly."""
    crops: float = 0.2
    """Show a part of a photo, at random, whose sides are at least 1 - `crops` of its own; 0 shows
    the whole."""
    size: int | tuple[int, int] | None = None
    """What the network sees of a whole photo, in pixels; none: as much as in the run that it begins
    with. Features of the new run are made with it."""
    crop_size: int | tuple[int, int] | None = None
    """What it sees while it learns, in pixels; none: as much as of a whole photo. A part of a photo
    shows things larger: with `crops` at 0.2, seven eighths of `size` show them about as large."""

    def __post_init__(self) -> None:
        check_at_least(1, stages=self.stages)
        check_at_most(_STAGES, stages=self.stages)
        check_at_least(0, rate=self.rate, decay=self.decay)
        check_at_most(100, rate=self.rate)
        check_share(crops=self.crops)
        check_pixels(size=self.size, crop_size=self.crop_size)


@dataclass(frozen=True)
class VectorFile:
    """The file of word vectors that a word table began with."""

    name: str
    """Without its folder."""
    sha256: str
    """Checksum of its bytes."""
    words: int
    """How many words of the vocabulary it has."""


@dataclass(frozen=True)
class RunSettings:
    """What makes a run: captioner, source, words, decoding, training.

    `sizes` are the captioner's own (width, dropout, iterations, ...); a name that it
    does not know is refused when it is built.
    """

    captioner: str = "spatial-attention"
    source: str = "combined"
    sizes: dict[str, Any] = field(default_factory=dict)
    region_width: int = 1280
    concepts: int | None = None
    """Concepts per picture under sizes.rows = aligned; match takes as many as regions."""
    minimum_count: int = 5
    """A word must occur this often in the training captions to be in the vocabulary."""
    maximum_words: int = 20
    """Longest caption, in training and in search."""
    beam: int = 3
    """Hypotheses of the search; 1 is greedy."""
    minimum_words: int = 1
    """Shortest caption of the search; 0 allows empty ones."""
    length_penalty: float = 0.0
    """a in score = log p / length^a, by which the search compares finished captions; 0 is off."""
    block_repeats: int = 0
    """No sequence of so many words comes twice in a caption; 0 is off, 3 is common."""
    pictures_per_batch: int = 16
    """Photos in a training batch, each with all of its captions."""
    objective: Objective = field(default_factory=CrossEntropy)
    """What training seeks; a kind and its own settings."""
    training: TrainingSettings = field(default_factory=captioner_training)
    start: Start | None = None
    """The run that training began with (`--from`); None: with weights drawn from the seed."""
    word_vectors: VectorFile | None = None
    """The file of word vectors that the word table began with (`--word-vectors`)."""
    tuning: BackboneTuning | None = None
    """How the backbone learns too (`miacap tune --from RUN`); None: features are stored."""
    format: int = FORMAT

    @property
    def parsed_sizes(self) -> captioners.Sizes:
        """The captioner's own sizes, read. Raises SettingsError, UnknownName."""
        return captioners.sizes(
            self.captioner, self.source, region_width=self.region_width, **self.sizes
        )

    @property
    def reads(self) -> frozenset[str]:
        """What the captioner reads of a picture; see `captioners.reads`."""
        return captioners.reads(
            self.captioner, self.source, region_width=self.region_width, **self.sizes
        )

    @property
    def rows(self) -> Literal["match", "aligned"]:
        """Whether a picture gets as many concepts as regions: the captioner's size `rows`."""
        return self.parsed_sizes.rows

    @property
    def search(self) -> SearchSettings:
        """Settings of the search."""
        return SearchSettings(
            beam=self.beam,
            maximum_words=self.maximum_words,
            minimum_words=self.minimum_words,
            length_penalty=self.length_penalty,
            block_repeats=self.block_repeats,
        )

    def __post_init__(self) -> None:
        check_at_least(
            1,
            region_width=self.region_width,
            concepts=self.concepts,
            minimum_count=self.minimum_count,
            pictures_per_batch=self.pictures_per_batch,
        )
        _ = self.search  # refuses what no search can use
        for name, decides in _ELSEWHERE.items():
            if name in self.sizes:
                raise ValueError(f"sizes.{name} cannot be set: {decides}.")
        if not isinstance(self.objective, CrossEntropy) or not self.objective.regulariser:
            return
        if captioners.regulariser(self.captioner) is None:
            having = [name for name in captioners.names() if captioners.regulariser(name)]
            raise SettingsError(
                f"objective.regulariser={self.objective.regulariser} weighs a regulariser, which "
                f"{self.captioner!r} does not have. Captioners that have one: {', '.join(having)}."
            )
