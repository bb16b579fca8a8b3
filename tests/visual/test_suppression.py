"""The best pairs without doubles, against the greedy loop."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from miacap.visual.detectors.suppression import best_pairs, iou, suppress


def overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    union = sum(areas) - width * height
    return width * height / union if union > 0 else 0.0


def greedy(boxes: Tensor, classes: Tensor, limit: float) -> list[bool]:
    kept: list[int] = []
    rows = boxes.tolist()
    for i in range(len(rows)):
        if all(classes[i] != classes[j] or overlap(rows[i], rows[j]) <= limit for j in kept):
            kept.append(i)
    return [i in kept for i in range(len(rows))]


corner = st.integers(0, 6)
boxes_of = st.lists(st.tuples(corner, corner, corner, corner, st.integers(0, 1)), max_size=25)


@settings(max_examples=100, deadline=None)
@given(boxes_of, st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_what_stays_equals_the_greedy_loop(rows, limit) -> None:
    x0, y0, dx, dy, classes = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5).T
    boxes = torch.stack([x0, y0, x0 + dx, y0 + dy], 1)
    kept = suppress(boxes, classes.long(), limit)
    assert kept.tolist() == greedy(boxes, classes, limit)


def test_a_box_that_is_gone_removes_nothing() -> None:
    # 1 loses to 0; 2 overlaps 1 alone, so it stays; 3 is of another class.
    boxes = torch.tensor([[0, 0, 10, 4], [4, 0, 14, 4], [8, 0, 18, 4], [0, 0, 10, 4]]).float()
    assert suppress(boxes, torch.tensor([0, 0, 0, 1]), 0.4).tolist() == [True, False, True, True]


def test_the_overlap_of_two_known_boxes() -> None:
    found = iou(torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5]]))
    torch.testing.assert_close(found[0], torch.tensor([1, 1 / 7, 0]))
    assert float(found[2, 2]) == 0


def test_ties_go_by_place_and_nothing_at_0_is_a_pair() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.0], [0.5, 0.5, 0.2]])
    assert best_pairs(scores, 3).tolist() == [1, 0, 3]
    assert best_pairs(scores, 10).tolist() == [1, 0, 3, 4, 5]
    assert best_pairs(torch.zeros(2, 3), 3).tolist() == []
