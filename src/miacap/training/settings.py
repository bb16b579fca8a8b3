"""What can be chosen about a training run; names and defaults in one place."""

import math
from dataclasses import dataclass
from typing import Literal

from miacap.errors import SettingsError
from miacap.settings import check_at_least, check_at_most, check_seed, check_share

Optimiser = Literal["adamw", "adam", "sgd", "rmsprop"]
Schedule = Literal["cosine", "constant", "step", "linear", "exponential", "inverse-root"]
Average = Literal["none", "exponential", "epochs"]
Precision = Literal["float32", "bfloat16"]

_MOST_THREADS = 1024
_MOST_AVERAGED = 100


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one call of `fit`. Raises SettingsError where a value makes no sense."""

    epochs: int = 10
    """Passes over the training pictures, at most."""
    learning_rate: float = 1e-3
    """Highest rate, reached at the end of the warm-up."""
    optimiser: Optimiser = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's two running means; unused by the others."""
    momentum: float = 0.9
    """Of sgd; unused by the others."""
    rms_decay: float = 0.99
    """Decay of RMSProp's running mean of squares; unused by the others."""
    weight_decay: float = 0.01
    """Pull of matrices towards zero (decoupled in adamw); biases and norms are spared."""
    warmup_steps: int = 0
    """Steps over which the rate climbs linearly from nothing; at most half of all steps."""
    schedule: Schedule = "cosine"
    """How the rate falls after the warm-up."""
    schedule_epochs: int | None = None
    """Epochs over which cosine and linear fall; None: `epochs`."""
    final_factor: float = 0.0
    """Where cosine and linear end, as a part of `learning_rate`."""
    step_epochs: int = 3
    """Schedules step and exponential: epochs between two falls, or in which the rate falls once."""
    step_factor: float = 0.8
    """Schedules step and exponential: what each fall multiplies the rate by."""
    constant_epochs: int = 0
    """Schedules step and exponential: epochs at the full rate before falling begins."""
    clip_norm: float = 5.0
    """Longest gradient, all parameters together; 0: never clipped."""
    clip_value: float = 0.0
    """Largest number in a gradient, clipped before its length is; 0: never clipped."""
    precision: Precision = "float32"
    """bfloat16: the loss is computed under autocast; parameters stay float32."""
    watch: str = ""
    """Score of the evaluation that picks the best weights and ends patience; with a minus sign
    before it ("-loss per word") lower is better. Empty: the task's own (captions: CIDEr-D)."""
    average: Average = "none"
    """Average of weights that is evaluated and kept: of all steps, decaying, or of the ends of the
    last epochs."""
    average_decay: float = 0.999
    """Average exponential: how much of it each step keeps, at most."""
    average_epochs: int = 5
    """Average epochs: how many of the last epochs count."""
    patience: int = 0
    """Evaluations without a gain after which training stops; 0: never."""
    evaluate_every: int = 1
    """Epochs between two evaluations; the last epoch is always evaluated."""
    checkpoint_every: int = 0
    """Steps between two checkpoints, besides one after each epoch; 0: only these."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    seed: int = 0
    """Of the global generators (dropout, say) while training runs."""
    threads: int | None = None
    """CPU threads of torch; None: left as they are."""
    device: str = "auto"
    """auto: a GPU where torch sees one, otherwise the CPU; or any name that torch knows."""
    tensorboard: bool = False
    """Also write TensorBoard events under checkpoints/; needs the extra [watch]."""

    def __post_init__(self) -> None:
        check_at_least(
            1,
            epochs=self.epochs,
            evaluate_every=self.evaluate_every,
            accumulate=self.accumulate,
            step_epochs=self.step_epochs,
            threads=self.threads,
            schedule_epochs=self.schedule_epochs,
            average_epochs=self.average_epochs,
        )
        check_at_least(
            0,
            warmup_steps=self.warmup_steps,
            clip_norm=self.clip_norm,
            clip_value=self.clip_value,
            constant_epochs=self.constant_epochs,
            patience=self.patience,
            checkpoint_every=self.checkpoint_every,
            weight_decay=self.weight_decay,
        )
        check_seed(self.seed)
        check_at_most(_MOST_THREADS, threads=self.threads)
        check_at_most(_MOST_AVERAGED, average_epochs=self.average_epochs)
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"learning_rate is above 0, not {self.learning_rate}.")
        check_share(
            momentum=self.momentum, rms_decay=self.rms_decay, average_decay=self.average_decay
        )
        for beta in self.betas:
            check_share(betas=beta)
        for name in ("final_factor", "step_factor"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} lies in [0, 1], not {getattr(self, name)}.")
        self._one_of("optimiser", Optimiser)
        self._one_of("schedule", Schedule)
        self._one_of("precision", Precision)
        self._one_of("average", Average)

    def _one_of(self, name: str, choices: object) -> None:
        known: tuple[str, ...] = choices.__args__  # type: ignore[attr-defined]
        if getattr(self, name) not in known:
            raise SettingsError(
                f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}."
            )
