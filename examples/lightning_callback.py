"""Caption scores after each validation epoch of Lightning.

Trainer(callbacks=[CaptionScores(), ModelCheckpoint(monitor="CIDEr-D", mode="max")])

`validation_step` of the module returns {"captions": [...], "references": [[...], ...]}.
"""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback

from miacap.metrics.adapters import CaptionScore


class CaptionScores(Callback):
    def __init__(self, metrics: Sequence[str] = ("BLEU-4", "ROUGE-L", "CIDEr-D")) -> None:
        self.score = CaptionScore(metrics)  # a misspelt metric is said here, not after an epoch

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.score.reset()

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, *batch: Any, **named: Any
    ) -> None:
        self.score.update(outputs["captions"], outputs["references"])

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.world_size > 1:  # the mean of parts is not the score of the whole
            raise RuntimeError("Validate in one process, or gather the captions of all before.")
        if not trainer.sanity_checking:  # a few batches before training: no score of an epoch
            pl_module.log_dict(self.score.compute(), prog_bar=True)
