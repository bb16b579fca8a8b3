"""What can be chosen about concepts."""

from dataclasses import dataclass, field

from miacap.concepts.description import Method
from miacap.concepts.networks import KINDS, Kind
from miacap.errors import SettingsError
from miacap.settings import check_at_least, check_at_most, check_seed, check_share
from miacap.training import TrainingSettings

_MOST_FOLDS = 100
"""An extractor is trained for each fold."""


def extractor_training() -> TrainingSettings:
    """Training settings that suit an extractor on frozen features (chosen on Flickr8k's dev)."""
    return TrainingSettings(
        epochs=6,
        learning_rate=1e-3,
        optimiser="adamw",
        weight_decay=0.0,
        warmup_steps=50,
        schedule="cosine",
        clip_norm=0.0,
        precision="bfloat16",
        patience=2,
    )


@dataclass(frozen=True)
class ListSettings:
    """Settings of `concepts.read`. Raises SettingsError where a value makes no sense."""

    minimum_count: int = 5
    """A concept occurs at least this often in the training captions, as caption words do."""
    words: int = 5000
    """Concepts, at most: those that most training pictures list. Each costs every picture four
    bytes on disk."""

    def __post_init__(self) -> None:
        check_at_least(1, minimum_count=self.minimum_count, words=self.words)


@dataclass(frozen=True)
class DetectSettings:
    """Settings of `concepts.detect`. Raises SettingsError where a value makes no sense."""

    minimum_count: int = 5
    """A concept occurs at least this often in the training captions, as caption words do."""
    words_file: str | None = None
    """A file that says what classes are called in captions: a JSON object, class name -> list of
    words. Classes that it does not name go by their own names."""

    def __post_init__(self) -> None:
        check_at_least(1, minimum_count=self.minimum_count)


@dataclass(frozen=True)
class ZeroShotSettings:
    """Settings of `concepts.zero_shot`. Raises SettingsError where a value makes no sense."""

    prompts: tuple[str, ...] = (
        "a photo of {}.",
        "a photo of a {}.",
        "a photo that shows {}.",
        "a photo of someone or something {}.",
    )
    """Texts in which {} stands for the word; the mean of their rows stands for it."""
    words: int = 1000
    """Concepts, at most: the most frequent content words of the training captions."""
    words_file: str | None = None
    """A file of words, one a line, to look for instead."""
    minimum_count: int = 5
    """A concept occurs at least this often in the training captions, as caption words do."""
    batch_size: int = 16
    """Photos that go through the model together."""

    def __post_init__(self) -> None:
        check_at_least(
            1, words=self.words, minimum_count=self.minimum_count, batch_size=self.batch_size
        )
        if not self.prompts or not all("{}" in prompt for prompt in self.prompts):
            raise SettingsError("prompts: one at least, and each with {} where the word stands.")


@dataclass(frozen=True)
class JoinSettings:
    """Settings of `concepts.join`."""

    method: Method = "log-odds"
    """log-odds: weights of the sources are fitted on training pictures. ranks: the mean of each
    word's ranks, nothing is fitted."""


@dataclass(frozen=True)
class ConceptSettings:
    """Settings of `concepts.train`. Raises SettingsError where a value makes no sense."""

    extractor: Kind = "multiple-instance"
    words: int = 1000
    """Concepts, at most: the most frequent content words of the training captions."""
    words_file: str | None = None
    """A file of words, one a line, to look for instead."""
    minimum_count: int = 5
    """A concept occurs at least this often in the training captions, as caption words do."""
    hidden: int = 512
    """Size of the extractor's hidden layer; 0 for none. Twice as wide with dropout 0.5 raises
    mAP on Flickr8k's dev from .185 to .192, at twice the time."""
    dropout: float = 0.3
    """Of the hidden layer, or of the rows where there is none."""
    folds: int = 5
    """Extractors that share the training split, so that none scores what it learned from."""
    batch_size: int = 64
    """Pictures a step."""
    seed: int = 0
    """Of folds, order, first weights and dropout; `training.seed` is not used."""
    training: TrainingSettings = field(default_factory=extractor_training)

    def __post_init__(self) -> None:
        check_at_least(
            1, words=self.words, minimum_count=self.minimum_count, batch_size=self.batch_size
        )
        check_at_least(0, hidden=self.hidden)
        check_seed(self.seed)
        check_at_least(2, folds=self.folds)
        check_at_most(_MOST_FOLDS, folds=self.folds)
        check_share(dropout=self.dropout)
        if self.extractor not in KINDS:
            raise SettingsError(f"extractor is one of {', '.join(KINDS)}, not {self.extractor!r}.")
