"""What people would say of captions, by their CIDEr-D: the four ratings of Flickr8k-Expert.

Three people rated each of 2,879 captions (Hodosh et al. 2013) from 1 (has nothing to do with the
photo) to 4 (describes it without a fault); here the median of the three is a caption's rating k,
and a caption is wrong where it is 1 or 2. With s = sqrt(CIDEr-D) against the references of the
photo a multinomial logistic regression says how probable each rating is among these captions:

    P(k | s)  is proportional to  exp(a_k + b_k s),   a_1 = b_1 = 0               [eq:people]

But these captions were retrieved from other photos: 88 in 100 of them are wrong. Among captions of
another kind (people's own, a captioner's) each rating has another share q_k in place of theirs,
p_k. Where captions of one rating score alike whoever wrote them (label shift),

    P_q(k | s)  is proportional to  q_k / p_k P(k | s)                            [eq:shift]

and the shares are those under which they are the mean of what they say of each caption,
q_k = mean_n P_q(k | s_n), found by EM from equal shares (Saerens, Latinne and Decaestecker 2002,
*Adjusting the outputs of a classifier to new a priori probabilities*).

Four ratings and not right and wrong alone: the wrong captions of a captioner are near misses,
where those of the judged pool are mostly of another scene and score nothing.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["JUDGED", "PEOPLE", "called_wrong", "rating_shares"]

PEOPLE = ((0.0, 0.0), (-1.957, 6.222), (-4.577, 10.107), (-7.583, 12.648))
"""a_k and b_k of [eq:people], from half of Flickr8k-Expert; a test fits them anew."""

JUDGED = (1724 / 2879, 811 / 2879, 277 / 2879, 67 / 2879)
"""p_k: shares of the ratings 1 to 4 among the judged captions."""

_WRONG = 2
"""The first so many ratings are called wrong."""

_ROUNDS = 20_000
_DONE = 1e-8


def rating_shares(cider: Float[Tensor, " N"]) -> tuple[float, float, float, float]:
    """Estimate which shares of captions people would rate 1, 2, 3 and 4. [eq:shift]

    Args:
        cider: CIDEr-D of each of some captions of one kind, against about five references.
    """
    likelihood = _likelihood(cider)
    shares = torch.full((len(JUDGED),), 1 / len(JUDGED), dtype=torch.float64)
    for _ in range(_ROUNDS):
        last, shares = shares, _posterior(likelihood, shares).mean(0)
        if float((shares - last).abs().max()) <= _DONE:
            break
    one, two, three, four = shares.tolist()
    return one, two, three, four


def called_wrong(
    cider: Float[Tensor, " N"], shares: tuple[float, float, float, float] = JUDGED
) -> Float[Tensor, " N"]:
    """Give how probably people call each caption wrong.

    Args:
        cider: CIDEr-D of each caption.
        shares: of the four ratings among captions of its kind, as `rating_shares` finds them;
            without it those of the judged captions, 88 % of which are wrong.
    """
    wanted = torch.tensor(shares, dtype=torch.float64)
    return _posterior(_likelihood(cider), wanted)[:, :_WRONG].sum(1)


def _likelihood(cider: Float[Tensor, " N"]) -> Float[Tensor, "N 4"]:
    """Give P(s | k), each row up to a factor of its own."""
    numbers = torch.tensor(PEOPLE, dtype=torch.float64)
    root = cider.double().clamp(min=0).sqrt()[:, None]
    return torch.softmax(numbers[:, 0] + numbers[:, 1] * root, 1) / torch.tensor(
        JUDGED, dtype=torch.float64
    )


def _posterior(
    likelihood: Float[Tensor, "N 4"], shares: Float[Tensor, " 4"]
) -> Float[Tensor, "N 4"]:
    weighed = likelihood * shares
    return weighed / weighed.sum(1, keepdim=True)
