"""METEOR 1.5 for pictures with several references: the sentences in, scores and statistics out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from miacap.metrics import lengths
from miacap.metrics.meteor import search
from miacap.metrics.meteor.lexicon import Lexicon, function_words, stemmer
from miacap.metrics.meteor.matches import CandidateMatches, Phrases
from miacap.metrics.meteor.normaliser import normalise
from miacap.metrics.meteor.paraphrases import Paraphrases
from miacap.metrics.meteor.statistics import aggregate, count, score

_BLOCK = 5000  # pictures whose words and phrases are looked up together: bounds the memory
_BAR = "|||"


@dataclass(frozen=True)
class MeteorScores:
    """What METEOR says about a corpus.

    Attributes:
        corpus: the corpus value, 0 to 1; not the mean of the pictures.
        per_picture: each picture's value, 0 to 1: that of its best reference.
        statistics: P x 23, the best references' counts; see `aggregate`.
        beyond: index of a picture -> words of its longest caption, where one has more than
            `lengths.METEOR`; only so many were read.
    """

    corpus: float
    per_picture: list[float]
    statistics: NDArray[np.int64]
    beyond: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Alignment:
    """How a candidate was aligned with one reference.

    Attributes:
        candidate: its normalised words.
        reference: the reference's.
        matches: candidate start and length, reference start and length, module (0 exact, 1 stem,
            2 synonym, 3 paraphrase), by reference position.
        chunks: runs of matches that are in the same order on both sides.
        statistics: the 23 counts.
        score: the pair's score.
    """

    candidate: list[str]
    reference: list[str]
    matches: list[search.Match]
    chunks: int
    statistics: list[int]
    score: float


class Meteor:
    """METEOR 1.5 (English, normalised, all four modules), equal to the official program.

    It aligns the words of a candidate with those of each reference by equality, stem, synonym and
    paraphrase, and scores precision, recall and order: see `statistics` for the formula, `search`
    for the alignment, `normaliser` for what a word is.

    Example, by hand: "a red dog" against "a dog" matches a, a function word, and dog, in two chunks
    since "red" lies between. P = (.75 + .25) / (.75 2 + .25) = 1 / 1.75, R = 1, Fmean =
    1 / (.15 1.75 + .85) = .8989, frag = 2 / 2, score = Fmean (1 - .6) = .3596. Against "a dogs"
    only a matches: a stem in no chunk with others is worth nothing to the search.

    Differs from what people expect: other programs called METEOR (nltk's, for one) have other
    parameters and no paraphrases, and their values differ by .1 and more; the corpus value is not
    the mean of the pictures' values; a lone stem or synonym between unmatched words is left out.

    Source: Denkowski & Lavie 2014, "Meteor Universal", and the program of coco-caption.

    Args:
        quiet: show no progress when the index of paraphrases is built (once, 15 s).

    Raises:
        MissingExtra: pycocoevalcap, whose tables are read, or snowballstemmer is missing.
        DataError: the installed tables are damaged.
    """

    def __init__(self, quiet: bool = False) -> None:
        stemmer()  # what is missing shall be said before the index is built
        self._paraphrases = Paraphrases.load(quiet)
        self._function_words = function_words()

    def score(self, references: Sequence[Sequence[str]], candidates: Sequence[str]) -> MeteorScores:
        """Score candidates.

        Args:
            references: for each picture its captions, tokenised, words joined by blanks. A
                picture without any counts as having an empty one.
            candidates: for each picture one caption, tokenised like them.

        Raises:
            ValueError: the two have different lengths.
        """
        if len(references) != len(candidates):
            raise ValueError(
                f"candidates: {len(candidates)}, pictures: {len(references)}: give one for each"
            )
        rows: list[list[int]] = []
        values: list[float] = []
        beyond: dict[int, int] = {}
        for alignments in self._pictures(references, candidates, beyond):
            best = max(alignments, key=lambda alignment: alignment.score)
            rows.append(best.statistics)
            values.append(best.score)
        statistics = np.array(rows, np.int64).reshape(len(rows), -1 if rows else 23)
        corpus = aggregate(statistics)
        assert isinstance(corpus, float)
        return MeteorScores(corpus, values, statistics, beyond)

    def align(self, reference: str, candidate: str) -> Alignment:
        """Align one candidate with one reference, both tokenised: what the score rests on.

        Only the first `lengths.METEOR` words of each are read.
        """
        (alignments,) = self._pictures([[reference]], [candidate], {})
        return alignments[0]

    def _pictures(
        self,
        references: Sequence[Sequence[str]],
        candidates: Sequence[str],
        beyond: dict[int, int],
    ) -> Iterator[list[Alignment]]:
        """Give the alignments of each picture's candidate with its references.

        Args:
            references: for each picture its captions.
            candidates: for each picture one caption.
            beyond: is told which pictures have captions that are too long.
        """
        for begin in range(0, len(candidates), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            ours = [normalise(c.replace(_BAR, "")) for c in candidates[block]]
            theirs = [_references(group) for group in references[block]]
            captions = ([one, *group] for one, group in zip(ours, theirs, strict=True))
            for index, words in lengths.longest(captions, lengths.METEOR).items():
                beyond[begin + index] = words
                del ours[index][lengths.METEOR :]
                for caption in theirs[index]:
                    del caption[lengths.METEOR :]
            phrases = Phrases.find(self._paraphrases, ours, theirs)
            lexicon = Lexicon(word for group in theirs for words in group for word in words)
            for picture, (candidate, group) in enumerate(zip(ours, theirs, strict=True)):
                yield self._picture(
                    CandidateMatches(
                        candidate,
                        phrases.candidates[picture],
                        frozenset(word for words in group for word in words),
                        lexicon,
                        phrases.listed,
                    ),
                    candidate,
                    group,
                    phrases.references[picture],
                )

    def _picture(
        self,
        matcher: CandidateMatches,
        candidate: list[str],
        group: list[list[str]],
        phrases: list[list[tuple[int, int, int]]],
    ) -> list[Alignment]:
        is_function = [word in self._function_words for word in candidate]
        alignments = []
        for reference, theirs in zip(group, phrases, strict=True):
            matches, chunks = search.align(matcher.against(reference, theirs))
            row = count(
                is_function,
                [word in self._function_words for word in reference],
                matches,
                chunks,
            )
            alignments.append(Alignment(candidate, reference, matches, chunks, row, score(row)))
        return alignments


def _references(captions: Sequence[str]) -> list[list[str]]:
    """Cut references into words; three bars inside one separate two, as in the official program."""
    lines = [part for caption in captions for part in caption.split(_BAR)] or [""]
    return [normalise(line) for line in lines]
