"""Additive attention over a captioner's rows.

    z_i = u^T tanh(W_x x_i + W_q q)          [eq:additive-score]
    alpha = softmax(z), ctx = sum_i alpha_i x_i  [eq:additive-read]

W_x x_i is the same at every word: it is computed once a picture (`keys`). Masked rows are
left out before the softmax, in single precision at least.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

__all__ = ["Additive", "masked_softmax"]


class Additive(nn.Module):
    """The scorer; no biases, as in the papers.

    Args:
        rows: width of x.
        query: width of q.
        width: of the layer in between; 49 in Lu et al. and MIA's code, 512 in Up-Down.

    Raises:
        ValueError: `width` below 1; captioners call it `scorer`.
    """

    def __init__(self, rows: int, query: int, width: int) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"scorer is at least 1, not {width}.")
        self.key = nn.Linear(rows, width, bias=False)
        self.query = nn.Linear(query, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def keys(self, rows: Float[Tensor, "B R D"]) -> Float[Tensor, "B R S"]:
        """W_x x of every row, once a picture."""
        keys: Tensor = self.key(rows)
        return keys

    def scores(
        self, query: Float[Tensor, "B Q H"], keys: Float[Tensor, "B R S"]
    ) -> Float[Tensor, "B Q R"]:
        """z: how well each row answers each of Q queries ([eq:additive-score])."""
        mixed = torch.tanh(keys.unsqueeze(1) + self.query(query).unsqueeze(2))
        scores: Tensor = self.score(mixed).squeeze(-1)
        return scores

    def own_score(
        self, query: Float[Tensor, "B Q H"], keys: Float[Tensor, "B Q S"]
    ) -> Float[Tensor, "B Q"]:
        """z of one row that each query has for itself: a sentinel."""
        score: Tensor = self.score(torch.tanh(keys + self.query(query))).squeeze(-1)
        return score

    def weigh(
        self,
        query: Float[Tensor, "B Q H"],
        keys: Float[Tensor, "B R S"],
        mask: Bool[Tensor, "B R"],
    ) -> Float[Tensor, "B Q R"]:
        """alpha: shares of the valid rows, summing to 1."""
        return masked_softmax(self.scores(query, keys), mask.unsqueeze(1))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis of what the mask leaves in; the rest gets exactly 0."""
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1)
