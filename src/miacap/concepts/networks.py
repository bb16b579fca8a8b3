"""Extractors: from region rows to what a picture is likely to show (docs/concepts.md).

With z_jw the score of word w at region j, after standardising each column of the rows and an
optional hidden layer (Linear, ReLU, dropout):

    multiple-instance   S_w = - sum_j softplus(z_jw),  P_w = 1 - exp(S_w)        [eq:noisy-or]
                        (Fang et al. 2015: P_w = 1 - prod_j (1 - sigmoid(z_jw)))
    multi-label         P_w = sigmoid(max_j z_jw), the mean row being one more j [eq:multi-label]
                        (Wu et al. 2016)
    pooled              P_w = sigmoid(z_w) of the mean row                       [eq:pooled]

All give log P and log(1 - P), and all are trained on

    loss = - sum_w [ y_w log P_w + (1 - y_w) log(1 - P_w) ]                      [eq:concept-loss]

Axis letters: B pictures, N regions, V region width, A concepts.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from miacap import weights
from miacap.wording import counted

Kind = Literal["multiple-instance", "multi-label", "pooled"]
KINDS: tuple[Kind, ...] = ("multiple-instance", "multi-label", "pooled")

# log(1 - P) is never nearer to 0: log P stays finite where no region believes in a word.
_LEAST = 1e-7


class Beliefs(NamedTuple):
    """What an extractor believes, in logarithms."""

    log_yes: Float[Tensor, "B A"]
    """log P."""
    log_no: Float[Tensor, "B A"]
    """log(1 - P)."""


class Head(nn.Module):
    """Rows to scores z: standardise, hidden layer if wanted, one linear map.

    Args:
        width: V.
        words: A.
        hidden: size of the hidden layer; 0 for none.
        dropout: of the hidden layer, or of the rows where there is none.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, words: int, hidden: int = 0, dropout: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.hidden = nn.Linear(width, hidden) if hidden else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden or width, words)
        nn.init.normal_(self.output.weight, std=0.001)

    def standardise(self, mean: Float[Tensor, " V"], deviation: Float[Tensor, " V"]) -> None:
        """Have every column of the rows shifted and scaled by these from now on."""
        self.mean.copy_(mean)
        # A column that never changes says nothing, and must not be blown up.
        self.scale.copy_(torch.where(deviation > 1e-4, 1 / deviation.clamp(min=1e-4), 0.0))

    def begin_at(self, prior: Float[Tensor, " A"], rows: float) -> None:
        """Set biases so that `rows` silent regions together give each word its prior.

        b = logit(1 - (1 - prior)^(1 / rows))  [eq:prior]. Without it a noisy-OR begins at P = 1,
        where it has no gradient.
        """
        log_no = torch.log1p(-prior.double()) / rows
        self.output.bias.data.copy_(torch.log(-torch.expm1(log_no)) - log_no)

    def forward(self, rows: Float[Tensor, "*B V"]) -> Float[Tensor, "*B A"]:
        """Give z."""
        rows = (rows - self.mean) * self.scale
        if self.hidden is not None:
            rows = torch.relu(self.hidden(rows))
        scores: Tensor = self.output(self.dropout(rows))
        return scores


class MultipleInstance(nn.Module):
    """Noisy-OR over the regions: a word is there if it is at any of them. [eq:noisy-or]"""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, rows: Float[Tensor, "B N V"], mask: Bool[Tensor, "B N"]) -> Beliefs:
        """Give the beliefs; rows that the mask leaves out count for nothing."""
        doubt = softplus(self.head(rows)) * mask[..., None]
        log_no = -doubt.sum(1, dtype=torch.float32).clamp(min=_LEAST)
        return Beliefs(log_one_minus_exp(log_no), log_no)

    def cells(
        self, rows: Float[Tensor, "B N V"], mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B N A"]:
        """Give the probability of each word at each region: a heat map per word."""
        return torch.sigmoid(self.head(rows)) * mask[..., None]


class MultiLabel(nn.Module):
    """The region that fits a word best decides, or the whole picture. [eq:multi-label]"""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, rows: Float[Tensor, "B N V"], mask: Bool[Tensor, "B N"]) -> Beliefs:
        """Give the beliefs; rows that the mask leaves out are never the best."""
        every = torch.cat((rows, mean_row(rows, mask)[:, None]), dim=1)
        valid = torch.cat((mask, mask.any(1, keepdim=True)), dim=1)
        scores = self.head(every).float().masked_fill(~valid[..., None], -math.inf).amax(1)
        return Beliefs(logsigmoid(scores), logsigmoid(-scores))


class Pooled(nn.Module):
    """The whole picture at once: its mean row. [eq:pooled]"""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, rows: Float[Tensor, "B N V"], mask: Bool[Tensor, "B N"]) -> Beliefs:
        """Give the beliefs; the mean leaves out what the mask leaves out."""
        scores = self.head(mean_row(rows, mask)).float()
        return Beliefs(logsigmoid(scores), logsigmoid(-scores))


def build(kind: Kind, width: int, words: int, hidden: int, dropout: float) -> nn.Module:
    """Build an untrained extractor by name.

    Raises:
        SettingsError: it would not fit into memory.
    """

    def make() -> nn.Module:
        head = Head(width, words, hidden, dropout)
        match kind:
            case "multiple-instance":
                return MultipleInstance(head)
            case "multi-label":
                return MultiLabel(head)
            case "pooled":
                return Pooled(head)

    return weights.build(
        make, f"an extractor of width {width}, hidden {hidden}, {counted(words, 'word')}"
    )


def concept_loss(beliefs: Beliefs, targets: Bool[Tensor, "B A"]) -> Float[Tensor, ""]:
    """Sum of the cross-entropies of all words and pictures, in nats. [eq:concept-loss]"""
    return -torch.where(targets, beliefs.log_yes, beliefs.log_no).sum()


def mean_row(rows: Float[Tensor, "B N V"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B V"]:
    """Mean of the rows that the mask keeps."""
    kept = mask[..., None].to(rows.dtype)
    return (rows * kept).sum(1) / kept.sum(1)


def log_one_minus_exp(log_no: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """log(1 - exp(x)) for x < 0 without loss of digits at either end."""
    near = log_no > -math.log(2)
    # Each branch sees only arguments that are safe for it, or its gradient would be NaN.
    small = torch.where(near, log_no, -1.0)
    large = torch.where(near, -1.0, log_no)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))
