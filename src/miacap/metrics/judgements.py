"""How well metrics follow people: Kendall's tau between scores and human ratings.

A judgement is a picture, a caption and what one or more people thought of it. Every
(picture, caption) pair is scored against the picture's references as a picture of its own,
also for CIDEr-D's document frequencies. Protocols differ in what counts as one observation
and in pairs whose caption is one of the picture's own references:

    flat       each rating is an observation; such pairs are dropped (CLIPScore, PAC-S)
    flat-all   each rating is an observation; such pairs are kept
    mean       the mean rating is an observation; such pairs are dropped
    mean-all   the mean rating is an observation; such pairs are kept
    crowd      the mean rating; such pairs are kept, their caption leaves the references
               (Flickr8k-CF, where the rating is the share of yes)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from miacap.errors import DataError, UnknownName
from miacap.metrics.kendall import Taus, taus
from miacap.metrics.matching import few
from miacap.metrics.scoring import Scores, score
from miacap.wording import counted


@dataclass(frozen=True)
class Judgement:
    """What people thought of one caption of one picture.

    Attributes:
        picture: id of the picture.
        caption: the caption's text.
        ratings: one number a person; larger is better.
        own: whether the caption is one of the picture's own references.
    """

    picture: str
    caption: str
    ratings: tuple[float, ...]
    own: bool = False


@dataclass(frozen=True)
class Protocol:
    """How judgements become observations.

    Attributes:
        ratings: each rating is an observation, or their mean.
        own: what happens to pairs whose caption is the picture's own.
    """

    ratings: Literal["each", "mean"]
    own: Literal["drop", "keep", "leave out of the references"]


PROTOCOLS: Mapping[str, Protocol] = {
    "flat": Protocol("each", "drop"),
    "flat-all": Protocol("each", "keep"),
    "mean": Protocol("mean", "drop"),
    "mean-all": Protocol("mean", "keep"),
    "crowd": Protocol("mean", "leave out of the references"),
}


@dataclass(frozen=True)
class Agreement:
    """Taus by metric, times 100 as papers print them.

    Attributes:
        taus: metric -> tau-b and tau-c.
        pairs: pairs that were scored.
        dropped: pairs that the protocol dropped.
        observations: ratings that were correlated.
        scores: the pairs' scores.
    """

    taus: Mapping[str, Taus]
    pairs: int
    dropped: int
    observations: int
    scores: Scores


def judge(
    judgements: Sequence[Judgement],
    references: Mapping[str, Sequence[str]],
    metrics: Sequence[str] | None = None,
    protocol: str = "flat",
    *,
    quiet: bool = True,
) -> Agreement:
    """Correlate every metric with human ratings.

    Args:
        judgements: pairs and their ratings, in the file's order.
        references: captions by picture.
        metrics: names; None takes all whose extras are installed.
        protocol: a name out of `PROTOCOLS`.
        quiet: show no progress.

    Raises:
        UnknownName: no such protocol or metric.
        DataError: a picture without references, or nothing left to correlate.
    """
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, PROTOCOLS)
    rule = PROTOCOLS[protocol]
    unknown = dict.fromkeys(j.picture for j in judgements if not references.get(j.picture))
    if unknown:
        have = counted(len(unknown), "judged picture has", "judged pictures have")
        raise DataError(f"{have} no references: {few(unknown)}.")
    kept = [j for j in judgements if rule.own != "drop" or not j.own]
    if len(kept) < 2:
        left = counted(len(kept), "judged pair is", "judged pairs are")
        raise DataError(f"{left} left under {protocol!r}; two are needed.")
    remove = rule.own == "leave out of the references"
    lists = [_references(j, references[j.picture], remove) for j in kept]
    scores = score(lists, [j.caption for j in kept], metrics, quiet=quiet)
    row, ratings = _observations(kept, rule)
    result = {}
    for name in scores:
        values = scores.per_picture[name]
        pair = taus([values[index] for index in row], ratings)
        result[name] = Taus(100 * pair.tau_b, 100 * pair.tau_c)
    return Agreement(result, len(kept), len(judgements) - len(kept), len(ratings), scores)


def _references(judgement: Judgement, captions: Sequence[str], remove: bool) -> list[str]:
    if not remove or not judgement.own:
        return list(captions)
    others = list(captions)
    # Once: what somebody else wrote in the same words is a reference like any other.
    if judgement.caption in others:
        others.remove(judgement.caption)
    if not others:
        raise DataError(
            f"picture {judgement.picture}: its only reference is the judged caption itself."
        )
    return others


def _observations(kept: Sequence[Judgement], rule: Protocol) -> tuple[list[int], list[float]]:
    if rule.ratings == "mean":
        return list(range(len(kept))), [sum(j.ratings) / len(j.ratings) for j in kept]
    row = [index for index, j in enumerate(kept) for _ in j.ratings]
    return row, [rating for j in kept for rating in j.ratings]
