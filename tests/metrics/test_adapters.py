"""Scores in the manner of torchmetrics (update, compute) and of evaluate (add, compute)."""

from typing import Any

import pytest

from miacap.errors import DataError, UnknownName
from miacap.metrics.adapters import CaptionEvaluation, CaptionScore

LEXICAL = ["BLEU-4", "ROUGE-L", "CIDEr-D"]


def test_update_and_compute(edge: Any) -> None:
    metric = CaptionScore(LEXICAL, tokenized=True)
    candidates, references = edge.tokenized_candidates, edge.tokenized_references
    alone = metric(candidates[:100], references[:100])
    metric.update(candidates[100:-1], references[100:-1])
    metric.update(candidates[-1], references[-1])
    found = metric.compute()
    assert found["CIDEr-D"] == pytest.approx(edge.content["corpus"]["CIDEr"], abs=1e-12)
    assert alone["ROUGE-L"] != found["ROUGE-L"]
    metric.reset()
    metric.update("a dog", "a dog")
    assert metric.compute()["ROUGE-L"] == 1
    with pytest.raises(DataError, match="2 captions but references for 1 picture"):
        metric.update(["a", "b"], [["a"]])
    assert metric.target == [["a dog"]]


@pytest.mark.parametrize(
    ("preds", "target"),
    [
        ("a dog", ["a cat", "a dog"]),
        ("a dog", [["a cat", "a dog"]]),
        (["a dog"], [("a cat", "a dog")]),
        (("a dog",), [["a cat", "a dog"]]),
    ],
)
def test_one_caption_in_every_form(preds: Any, target: Any) -> None:
    metric = CaptionScore(["ROUGE-L"])
    metric.update(preds, target)
    assert metric.preds == ["a dog"] and metric.target == [["a cat", "a dog"]]
    assert metric.compute()["ROUGE-L"] == 1


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        (["a"], [None], "references are text or a list of texts, not None"),
        (["a"], [["b", 1]], "A caption is text, not 1"),
        (["a", None], [["b"], ["c"]], "A caption is text, not None"),
        (["a", "b"], "cd", "2 captions but references for one text"),
    ],
)
def test_a_wrong_batch_adds_nothing(preds: Any, target: Any, message: str) -> None:
    metric = CaptionScore(LEXICAL)
    with pytest.raises(DataError, match=message):
        metric.update(preds, target)
    assert metric.preds == [] and metric.target == []


def test_a_misspelt_metric_or_option_is_said_before_the_first_batch() -> None:
    for kind in (CaptionScore, CaptionEvaluation):
        with pytest.raises(UnknownName, match="Did you mean 'CIDEr-D'"):
            kind(["CIDEr-E"])
        with pytest.raises(TypeError, match="tokenised"):
            kind(LEXICAL, tokenised=True)


def test_predictions_and_references(edge: Any) -> None:
    metric = CaptionEvaluation(LEXICAL, tokenized=True)
    candidates, references = edge.tokenized_candidates, edge.tokenized_references
    found = metric.compute(predictions=candidates, references=references)
    assert found["BLEU-4"] == pytest.approx(edge.content["corpus"]["BLEU-4"], abs=1e-12)
    assert "pictures:330" in str(found["signature"])
    metric.add(prediction="a dog", references="a dog")
    metric.add_batch(predictions=["a cat"], references=[["a cow"]])
    assert metric.compute()["ROUGE-L"] == 0.75
    with pytest.raises(DataError, match="both predictions and references, or neither"):
        metric.compute(predictions=["a"])
    metric.add(prediction="a dog", reference=["a dog"])  # evaluate's own name for them
    with pytest.raises(DataError, match="once: reference or references"):
        metric.add(prediction="a dog")
    with pytest.raises(DataError, match="Nothing to score"):
        CaptionEvaluation(LEXICAL).compute()
    metric.add_batch(predictions=["x"], references=[[]])
    with pytest.raises(DataError, match="empty list of references"):
        metric.compute()
    assert metric.compute(predictions=["a"], references=["a"])["ROUGE-L"] == 1  # all forgotten
