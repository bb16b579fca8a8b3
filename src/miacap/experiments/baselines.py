"""The baselines: each with its own paper's sizes and training, and small for one CPU.

One function a baseline. Its docstring says where the numbers come from and what differs,
because the trainer lacks it or because no source has it: *read* in public code, *cited* from
the literature without reading it again, or *chosen* by us. Full forms are meant for COCO
(113,287 training pictures of five captions); small forms for some thousand photos on two
cores: width 256, dropout 0.3, AdamW, twelve epochs at most.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from miacap.runs import CrossEntropy, RunSettings, SelfCritical
from miacap.runs.settings import self_critical_training
from miacap.training import TrainingSettings

__all__ = ["BASELINES", "Baseline"]

_GRID = "grid cells, 7 x 7"


@dataclass(frozen=True)
class Baseline:
    """A captioner of the paper with the features that it was reported with."""

    name: str
    captioner: str
    """Registered name."""
    full: Callable[[], RunSettings]
    """Its own paper's form; the source is filled in by the recipe."""
    features: str = _GRID
    """What a row of features is."""
    refined: str = "regions"
    """Source of the self-attention control: its own slots, each refined by itself."""
    small_sizes: tuple[tuple[str, Any], ...] = ()
    """Sizes of the small form, beside width and dropout."""
    optimised: bool = False
    """Whether the paper also reports it after CIDEr optimisation (Table 4)."""
    small_objective: SelfCritical = SelfCritical()  # noqa: RUF009 - frozen
    """Of the small form's self-critical training."""

    def settings(self, small: bool) -> RunSettings:
        """Give the settings of one form, the source still to be chosen."""
        return _small(self) if small else replace(self.full(), captioner=self.captioner)

    def self_critical(self, settings: RunSettings, small: bool) -> RunSettings:
        """Give the settings of self-critical training that begins with a run of `settings`.

        Rennie et al. 2017, whom the paper cites for Table 4: the greedy caption is the baseline.
        Chosen: five samples a picture and Adam at 5e-5 (a Transformer 1e-5), as public code
        has them, 20 epochs, patience 5. The small form: 12 epochs, patience 3; the mean of the
        other samples is the baseline (Luo 2020), and for Up-Down it learns from a beam's hypotheses
        (Anderson et al. 2018, its own paper): by samples a small one lost (docs/log.md).
        """
        training = self_critical_training(self.captioner)
        if small:
            return replace(settings, objective=self.small_objective, training=training)
        training = replace(training, epochs=20, patience=5)
        return replace(settings, objective=SelfCritical(baseline="greedy"), training=training)


def _small(baseline: Baseline) -> RunSettings:
    sizes: dict[str, Any] = {"width": 256, "inner": 1024, "dropout": 0.3}
    return RunSettings(captioner=baseline.captioner, sizes=sizes | dict(baseline.small_sizes))


def _common(**changes: Any) -> TrainingSettings:
    """Give what public code of several captioners shares.

    Adam 5e-4, x 0.8 every 3 epochs, gradients at most 5 long, 30 epochs; for papers whose own
    training is not known.
    """
    values: dict[str, Any] = {
        "epochs": 30,
        "optimiser": "adam",
        "learning_rate": 5e-4,
        "weight_decay": 0.0,
        "schedule": "step",
        "step_epochs": 3,
        "step_factor": 0.8,
        "clip_norm": 5.0,
    }
    return TrainingSettings(**(values | changes))


_SLOW: dict[str, Any] = {
    "schedule": "exponential",
    "constant_epochs": 20,
    "step_epochs": 50,
    "step_factor": 0.5,
}
"""The rate of Lu et al.'s code: constant for 20 epochs, then halved every 50."""


def nic() -> RunSettings:
    """NIC (Vinyals et al. 2015): 512 wide, SGD without momentum, beam 3.

    Rate 2.0 halved every 8 epochs, batch 32 captions, clip 5, dropout 0.3: read in the authors'
    code. Chosen: 6 pictures of five captions a batch; 30 epochs; the picture itself stays free
    of noise, and the LSTM begins with a long memory (captioners/nic.py says why).
    """
    training = _common(
        optimiser="sgd", momentum=0.0, learning_rate=2.0, step_epochs=8, step_factor=0.5
    )
    sizes = {"width": 512, "word_width": 512, "dropout": 0.3}
    return RunSettings(sizes=sizes, pictures_per_batch=6, training=training)


def spatial_attention() -> RunSettings:
    """Spatial-Attention (Lu et al. 2017, without the sentinel): 512 wide, scorer 49, beam 3.

    Adam 5e-4 with betas (0.8, 0.999), 80 captions a batch, at most 50 epochs, stop after 6
    without a gain, dropout 0.5, captions up to 18 words, gradients clipped at 0.1 a number, from
    epoch 20 on the rate halves every 50 epochs: cited, and read in the authors' code.
    Differs: the backbone stays frozen.
    """
    training = _common(
        betas=(0.8, 0.999), epochs=50, patience=6, clip_norm=0.0, clip_value=0.1, **_SLOW
    )
    sizes = {"width": 512, "word_width": 512, "scorer": 49, "dropout": 0.5}
    return RunSettings(sizes=sizes, maximum_words=18, pictures_per_batch=16, training=training)


def adaptive() -> RunSettings:
    """Adaptive attention (Lu et al. 2017, with the sentinel): trained as Spatial-Attention."""
    return spatial_attention()


def up_down() -> RunSettings:
    """Up-Down (Anderson et al. 2018): 1000 wide, scorer 512, no dropout, beam 5.

    SGD 0.01 with momentum 0.9 falling linearly to 0, weight decay 5e-4, gradient length 10,
    batch 100 captions, 60,000 steps (11 epochs of COCO), forget bias 1: read in the authors'
    code. Differs: regions are projected in every source (`sizes.raw_features` under plain
    feeds them as they are); a word may come twice in a caption.
    """
    training = TrainingSettings(
        epochs=11,
        optimiser="sgd",
        momentum=0.9,
        learning_rate=0.01,
        weight_decay=5e-4,
        schedule="linear",
        clip_norm=10.0,
    )
    sizes = {
        "width": 1000,
        "word_width": 1000,
        "scorer": 512,
        "dropout": 0.0,
        "forget_bias": 1.0,
    }
    return RunSettings(sizes=sizes, beam=5, pictures_per_batch=20, training=training)


def att_cnn_lstm() -> RunSettings:
    """Att-CNN+LSTM (Wu et al. 2016): 512 wide, beam 3.

    Chosen, all of it: the original's sizes and training could not be recovered.
    """
    sizes = {"width": 512, "word_width": 512, "dropout": 0.5}
    return RunSettings(sizes=sizes, pictures_per_batch=16, training=_common())


def att_fcn() -> RunSettings:
    """ATT-FCN (You et al. 2016): 512 wide, RMSProp, batch 256 captions, beam 3.

    Width of the hidden state, RMSProp and batch are cited; its rate is chosen. Differs: words are
    512 wide, not 300, as they are compared with concepts; as many concepts as regions, where
    the original takes ten; no regulariser on the attentions (`objective.regulariser` weighs them);
    one model, where the original's scores are an ensemble of five (`miacap evaluate --with`
    averages runs).
    """
    sizes = {"width": 512, "dropout": 0.5}
    training = _common(optimiser="rmsprop")
    return RunSettings(sizes=sizes, pictures_per_batch=51, training=training)


def lstm_a() -> RunSettings:
    """LSTM-A (Yao et al. 2017): input and hidden state 1024 wide, beam 3.

    SGD 0.01 and 1,024 captions a batch are cited. Chosen: momentum 0.9, 30 epochs, dropout 0.5.
    Differs: a concept is a row of the word table, where the original feeds 1,000 probabilities
    (`sizes.concept_input=probabilities` and `sizes.concepts`, their number, under plain do so).
    """
    training = _common(optimiser="sgd", momentum=0.9, learning_rate=0.01, schedule="constant")
    sizes = {"width": 1024, "word_width": 1024, "dropout": 0.5}
    return RunSettings(sizes=sizes, pictures_per_batch=205, training=training)


def concept_attention() -> RunSettings:
    """Concept attention, as in MIA's released code: 512 wide, scorer 49, beam 3.

    Adam 5e-4 with betas (0.8, 0.999), 80 captions a batch, 30 epochs, label smoothing 0.1,
    dropout 0.5, at most 19 words, from epoch 20 on the rate halves every 50: read in that code.
    Differs: the optimiser keeps its moments from epoch to epoch, gradients are clipped and
    weights are not.
    """
    training = _common(betas=(0.8, 0.999), **_SLOW)
    sizes = {"width": 512, "scorer": 49, "dropout": 0.5}
    return RunSettings(
        sizes=sizes,
        maximum_words=19,
        objective=CrossEntropy(label_smoothing=0.1),
        pictures_per_batch=16,
        training=training,
    )


def transformer() -> RunSettings:
    """Transformer, the modern baseline: 6 + 6 layers of 512, 8 heads, beam 3.

    Ten pictures a batch, Adam with betas (0.9, 0.98), 15 epochs, 3e-4 after a warm-up of 33,000
    steps (three epochs of COCO), halved every 3 epochs: read in public code. Differs: the first
    halving comes at epoch 3, counted from the start.
    """
    training = _common(
        epochs=15, betas=(0.9, 0.98), learning_rate=3e-4, warmup_steps=33_000, step_factor=0.5
    )
    sizes = {"width": 512, "layers": 6, "layer_heads": 8, "layer_inner": 2048, "dropout": 0.5}
    return RunSettings(sizes=sizes, pictures_per_batch=10, training=training)


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("nic", "nic", nic),
        Baseline("spatial-attention", "spatial-attention", spatial_attention),
        Baseline("adaptive", "adaptive", adaptive),
        Baseline(
            "up-down-resnet",
            "up-down",
            up_down,
            "grid cells, 7 x 7 (the original's were 10 x 10)",
            small_sizes=(("scorer", 128), ("forget_bias", 1.0)),
            optimised=True,
            small_objective=SelfCritical(baseline="beam"),
        ),
        Baseline(
            "up-down-rcnn",
            "up-down",
            up_down,
            "a detector's boxes, 36 or 10 to 100 a picture",
            small_sizes=(("scorer", 128), ("forget_bias", 1.0)),
            optimised=True,
            small_objective=SelfCritical(baseline="beam"),
        ),
        Baseline("att-cnn-lstm", "att-cnn-lstm", att_cnn_lstm, refined="concepts"),
        Baseline("att-fcn", "att-fcn", att_fcn, refined="concepts"),
        *(
            Baseline(f"lstm-a{number}", f"lstm-a{number}", lstm_a, refined="both")
            for number in (2, 3, 4, 5)
        ),
        Baseline(
            "concept-attention",
            "concept-attention",
            concept_attention,
            refined="concepts",
        ),
        Baseline(
            "transformer",
            "transformer",
            transformer,
            small_sizes=(("layers", 3), ("layer_inner", 1024)),
        ),
    )
}
"""By name, in the paper's order; ours beside them."""
