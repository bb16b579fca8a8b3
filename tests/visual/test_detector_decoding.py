"""Outputs of each kind as boxes and scores, against plain loops of their equations."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from miacap.data.detectors import (
    BoxOutputs,
    Description,
    DetectorInput,
    GflOutputs,
    TableOutput,
    YoloxOutputs,
)
from miacap.errors import RunError
from miacap.visual.detectors.decoding import Candidates, decode

CLASSES = ("cat", "dog", "hat")


def described(outputs: Any, width: int = 64, height: int = 96) -> Description:
    return Description("thing", DetectorInput(width, height), outputs, CLASSES)


def drawn(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_yolox_equals_plain_loops() -> None:
    how = described(YoloxOutputs("out", strides=(16, 32)))
    x = drawn(1, 24 + 6, 8)
    found = decode([x], how)
    row = 0
    for stride in (16, 32):
        for i in range(96 // stride):
            for j in range(64 // stride):
                a, b, w, h, objectness, *scores = x[0, row].tolist()
                cx, cy = (a + j) * stride, (b + i) * stride
                w, h = math.exp(w) * stride, math.exp(h) * stride
                wanted = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
                assert found.boxes[row].tolist() == pytest.approx(wanted, rel=1e-5)
                probabilities = [objectness * score for score in scores]
                assert found.scores[row].tolist() == pytest.approx(probabilities, rel=1e-5)
                row += 1
    assert row == len(found.boxes)


def test_distributions_of_sides_equal_plain_loops() -> None:
    how = described(GflOutputs(("s0", "s1"), ("b0", "b1"), (16, 48), "sigmoid"))
    counts = [(96 // 16) * (64 // 16), 2 * 2]  # 64 / 48 is rounded up
    scores, sides = [drawn(1, n, 3) for n in counts], [5 * drawn(1, n, 4 * 5) for n in counts]
    found = decode([*scores, *sides], how)
    row = 0
    for level, (stride, columns) in enumerate(((16, 4), (48, 2))):
        for cell in range(counts[level]):
            x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride
            distances = []
            for side in range(4):
                bins = [
                    math.exp(v) for v in sides[level][0, cell, side * 5 : side * 5 + 5].tolist()
                ]
                mean = sum(i * share for i, share in enumerate(bins)) / sum(bins)
                distances.append(mean * stride)
            wanted = [x - distances[0], y - distances[1], x + distances[2], y + distances[3]]
            assert found.boxes[row].tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-4)
            probabilities = [1 / (1 + math.exp(-v)) for v in scores[level][0, cell].tolist()]
            assert found.scores[row].tolist() == pytest.approx(probabilities, rel=1e-5)
            row += 1
    assert row == len(found.boxes)


def test_labelled_boxes_as_torchvision_exports_them() -> None:
    how = described(BoxOutputs("boxes", "scores", "labels", background="first"))
    boxes = torch.tensor([[1.0, 2, 30, 40], [5, 6, 7, 8]])
    found = decode([boxes, torch.tensor([0.9, 0.4]), torch.tensor([3, 1])], how)
    assert torch.equal(found.boxes, boxes)
    torch.testing.assert_close(found.scores, torch.tensor([[0, 0, 0.9], [0.4, 0, 0]]))


def test_queries_of_a_transformer_with_a_class_for_nothing() -> None:
    how = described(
        BoxOutputs("b", "l", corners="cxcywh", unit="relative", activation="softmax",
                   background="last")
    )  # fmt: skip
    logits = torch.tensor([[[1.0, 2.0, 0.0, 3.0]]])
    found = decode([torch.tensor([[[0.5, 0.25, 0.5, 0.5]]]), logits], how)
    torch.testing.assert_close(found.boxes, torch.tensor([[16.0, 0, 48, 48]]))
    total = sum(math.exp(v) for v in (1, 2, 0, 3))
    wanted = [math.e / total, math.e**2 / total, 1 / total]
    assert found.scores[0].tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("layout", "objectness"), [("rows", True), ("columns", False)])
def test_one_table_of_boxes_and_scores(layout: Any, objectness: bool) -> None:
    how = described(TableOutput("out", layout, objectness))
    rows = torch.tensor([[10.0, 20, 4, 6, *([0.5] if objectness else []), 0.1, 0.2, 0.8]])
    found = decode([rows[None] if layout == "rows" else rows.T[None]], how)
    torch.testing.assert_close(found.boxes, torch.tensor([[8.0, 17, 12, 23]]))
    factor = 0.5 if objectness else 1.0
    torch.testing.assert_close(found.scores, torch.tensor([[0.1, 0.2, 0.8]]) * factor)


@pytest.mark.parametrize(
    ("outputs", "arrays", "message"),
    [
        (YoloxOutputs("out", (32,)), [(1, 7, 8)],
         "thing: output 'out' has shape (7, 8), and the description makes it (6, 8)"),
        (YoloxOutputs("out", (32,)), [(1, 6, 9)], "has shape (6, 9)"),
        (GflOutputs(("s",), ("b",), (32,)), [(1, 6, 3), (1, 6, 10)], "'b' has shape (6, 10)"),
        (GflOutputs(("s",), ("b",), (32,)), [(1, 6, 4), (1, 6, 8)], "output 's' has shape (6, 4)"),
        (BoxOutputs("b", "s"), [(2, 4), (2, 4)], "output 's' has shape (2, 4)"),
        (BoxOutputs("b", "s"), [(2, 5), (2, 3)], "output 'b' has shape (2, 5)"),
        (BoxOutputs("b", "s", "l"), [(2, 4), (3,), (2,)], "output 's' has shape (3,)"),
        (TableOutput("t"), [(1, 5, 8)], "output 't' has shape (5, 8)"),
    ],
)  # fmt: skip
def test_other_shapes_than_described_are_named(outputs: Any, arrays: Any, message: str) -> None:
    with pytest.raises(RunError) as e:
        decode([torch.zeros(shape) for shape in arrays], described(outputs))
    assert message in str(e.value)


def test_a_class_beyond_the_list_is_named() -> None:
    how = described(BoxOutputs("b", "s", "l"))
    with pytest.raises(RunError, match=r"finds class 3 .*numbers them 0 to 2"):
        decode([torch.zeros(1, 4), torch.ones(1), torch.tensor([3])], how)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    how = described(BoxOutputs("b", "s"))
    with pytest.raises(RunError, match=r"thing: its outputs hold numbers that are not finite"):
        decode([torch.full((1, 4), value), torch.zeros(1, 3)], how)


def test_a_side_beyond_every_photo_stays_a_number() -> None:
    x = torch.zeros(1, 6, 8)
    x[..., 2] = 1e9
    found = decode([x], described(YoloxOutputs("out", (32,))))
    assert isinstance(found, Candidates) and bool(found.boxes.isfinite().all())
