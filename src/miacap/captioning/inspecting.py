"""What is right and wrong with each caption of an evaluated split, for a person who looks at it.

bad ending   the caption ends on a word that cannot end a sentence ("a man riding a")
repeats      it says a word twice in a row, or three words twice
rare words   words that are fewer than 1 in 10,000 words of the training captions; a picture's
             rare words are those of its references, recall is the share that its caption says
facts        SPICE's tuples: those of the caption that the references confirm, those that they
             do not, and those of the references that the caption lacks
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from miacap.captioning.evaluation import Evaluation
from miacap.captioning.rows import Row
from miacap.data import Dataset
from miacap.metrics.diversity import BAD_ENDINGS, repeats
from miacap.metrics.spice import Spice
from miacap.metrics.tokens import tokenised

__all__ = ["Facts", "Inspected", "Inspection", "inspect_captions"]

RARE = 10_000
"""A word is rare where the training captions have more words than this for each time it occurs."""


@dataclass(frozen=True)
class Facts:
    """SPICE's tuples of one picture, each as its words."""

    confirmed: tuple[str, ...]
    """Of the caption, and in the references."""
    unconfirmed: tuple[str, ...]
    """Of the caption alone."""
    missed: tuple[str, ...]
    """Of the references alone."""


@dataclass(frozen=True)
class Inspected:
    """One picture's caption.

    Attributes:
        row: caption, log-probability and confidence; or an error.
        references: of the picture.
        scores: metric -> the picture's score; empty where it was not scored.
        words: number of words of the caption.
        bad_ending: see above.
        repeats: see above.
        rare_said: rare words of the references that the caption says.
        rare_missed: those that it does not.
        facts: SPICE's tuples, where SPICE was scored.
    """

    row: Row
    references: tuple[str, ...]
    scores: Mapping[str, float]
    words: int
    bad_ending: bool
    repeats: bool
    rare_said: tuple[str, ...]
    rare_missed: tuple[str, ...]
    facts: Facts | None


@dataclass(frozen=True)
class Inspection:
    """The captions of a split.

    Attributes:
        name: of the run, for people.
        evaluation: what they came from.
        pictures: in the split's order.
        knows_rare: whether there are training captions to tell which words are rare.
    """

    name: str
    evaluation: Evaluation
    pictures: tuple[Inspected, ...]
    knows_rare: bool

    @property
    def captioned(self) -> tuple[Inspected, ...]:
        """The pictures that have a caption."""
        return tuple(one for one in self.pictures if one.row.error is None)

    @property
    def numbers(self) -> dict[str, float]:
        """What the scores do not say, by name; shares are from 0 to 1.

        "words" is the mean length; "rare words" is there where the references have any.
        """
        some = self.captioned
        if not some:
            return {}
        said = sum(len(one.rare_said) for one in some)
        wanted = said + sum(len(one.rare_missed) for one in some)
        return {
            "words": sum(one.words for one in some) / len(some),
            "bad endings": sum(one.bad_ending for one in some) / len(some),
            "repeats": sum(one.repeats for one in some) / len(some),
            **({"rare words": said / wanted} if wanted else {}),
        }


def inspect_captions(evaluation: Evaluation, dataset: Dataset, name: str) -> Inspection:
    """Look at each caption of an evaluated split.

    Args:
        evaluation: of the split; where SPICE is among its scores, its tuples are shown too.
        dataset: has the references, and the training captions.
        name: of the run, for people.

    Raises:
        MissingExtra: SPICE was scored elsewhere, and its packages are not here.
    """
    train = [c for entry in dataset if entry.split == "train" for c in entry.captions]
    rare = _rare(train)
    rows = evaluation.rows
    references = [dataset.captions.get(row.id, ()) for row in rows]
    said = tokenised(row.caption or "" for row in rows)
    flat = iter(tokenised(text for texts in references for text in texts))
    wanted = [[next(flat) for _ in texts] for texts in references]
    scores, facts = _scores(evaluation), _facts(evaluation, rows, said, wanted)
    pictures = []
    for row, texts, sentence, others in zip(rows, references, said, wanted, strict=True):
        words = sentence.split()
        known = set(words)
        uncommon = sorted({w for text in others for w in text.split() if rare.get(w, True)})
        if not train or row.error is not None:
            uncommon = []
        pictures.append(
            Inspected(
                row=row,
                references=tuple(texts),
                scores=scores.get(row.id, {}),
                words=len(words),
                bad_ending=bool(words) and words[-1] in BAD_ENDINGS,
                repeats=repeats(words),
                rare_said=tuple(word for word in uncommon if word in known),
                rare_missed=tuple(word for word in uncommon if word not in known),
                facts=facts.get(row.id),
            )
        )
    return Inspection(name, evaluation, tuple(pictures), bool(train))


def _rare(captions: Sequence[str]) -> dict[str, bool]:
    """Say of each word of the training captions whether it is rare; any other is."""
    counts = Counter(word for text in tokenised(captions) for word in text.split())
    total = counts.total()
    return {word: times * RARE < total for word, times in counts.items()}


def _scores(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    found = evaluation.scores
    if found is None:
        return {}
    return {
        name: {metric: found.per_picture[metric][index] for metric in found}
        for index, name in enumerate(found.ids)
    }


def _facts(
    evaluation: Evaluation,
    rows: Sequence[Row],
    said: Sequence[str],
    wanted: Sequence[Sequence[str]],
) -> dict[str, Facts]:
    """Give the tuples of the pictures that were scored; their parses are kept since then."""
    if evaluation.scores is None or "SPICE" not in evaluation.scores:
        return {}
    scored = set(evaluation.scores.ids)
    chosen = [index for index, row in enumerate(rows) if row.id in scored]
    found = Spice().score(
        [wanted[index] for index in chosen], [said[index] for index in chosen], detailed=True
    )
    facts = {}
    for index, matching in zip(chosen, found.matchings, strict=True):
        ours, theirs = matching.printed()
        facts[rows[index].id] = Facts(
            confirmed=_told(parts for parts, hit in ours if hit),
            unconfirmed=_told(parts for parts, hit in ours if not hit),
            missed=_told(parts for parts, hit in theirs if not hit),
        )
    return facts


def _told(tuples: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(" - ".join(parts) for parts in tuples)
