"""Caption scores while a Hugging Face `Seq2SeqTrainer` evaluates.

Seq2SeqTrainer(
    model=model, eval_dataset=dev, compute_metrics=caption_scores(tokenizer, references),
    args=Seq2SeqTrainingArguments(..., eval_strategy="epoch", predict_with_generate=True,
                                  metric_for_best_model="CIDEr-D"))
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miacap.metrics.adapters import CaptionScore


def caption_scores(
    tokenizer: Any,
    references: Sequence[Sequence[str]],  # all captions of each picture, in the order of `dev`
    metrics: Sequence[str] = ("BLEU-4", "ROUGE-L", "CIDEr-D"),
) -> Callable[[Any], dict[str, float]]:
    score = CaptionScore(metrics)  # a misspelt metric is said here, not after an epoch

    def compute_metrics(evaluated: Any) -> dict[str, float]:
        words = np.asarray(evaluated.predictions)
        words = np.where(words < 0, tokenizer.pad_token_id, words)  # the Trainer pads with -100
        score.reset()
        score.update(tokenizer.batch_decode(words, skip_special_tokens=True), references)
        return score.compute()  # logged as eval_BLEU-4, eval_ROUGE-L, eval_CIDEr-D

    return compute_metrics
