"""SPICE of captions, and of tuples that another parser made."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from miacap.errors import DataError, MissingExtra
from miacap.metrics import lengths
from miacap.metrics.meteor.dictionary import Dictionary as MeteorDictionary
from miacap.metrics.spice.concepts import Dictionary, Lexicon
from miacap.metrics.spice.graph import SceneGraph, Tuple
from miacap.metrics.spice.matching import counts, match
from miacap.metrics.spice.scores import SpiceScores, scores_of


class Parser(Protocol):
    """Whatever makes tuples of captions."""

    @property
    def label(self) -> str:
        """Name and version, for signatures."""
        ...

    def parse(self, captions: Sequence[str]) -> Sequence[Sequence[Tuple]]:
        """Tuples of each caption: (object,), (object, attribute), (subject, object, relation)."""
        ...


class Spice:
    """Scores captions by the facts that they share with the references.

    Args:
        parser: what makes tuples of captions; by default our own, made on first use.
        dictionary: synsets of phrases; by default METEOR's.
        quiet: show no progress.
    """

    def __init__(
        self,
        parser: Parser | None = None,
        dictionary: Dictionary | None = None,
        quiet: bool = True,
    ) -> None:
        self._parser = parser
        self._dictionary = dictionary
        self._quiet = quiet

    @property
    def parser(self) -> Parser:
        """The parser in use.

        Raises:
            MissingExtra: the default one is not installed.
        """
        if self._parser is None:
            self._parser = _default_parser(self._quiet)
        return self._parser

    def score(
        self,
        references: Sequence[Sequence[str]],
        candidates: Sequence[str],
        detailed: bool = False,
    ) -> SpiceScores:
        """Score each candidate against all references of its picture.

        Args:
            references: per picture its references, PTB-tokenised without punctuation.
            candidates: one caption per picture, tokenised alike.
            detailed: keep which tuples were matched, in `SpiceScores.matchings`.

        Only the first `lengths.SPICE` words of a caption are read.

        Raises:
            DataError: not as many candidates as pictures.
            MissingExtra: spaCy, its model, lemminflect or METEOR's tables are not installed.
        """
        _check_lengths(references, candidates)
        captions = [*candidates, *(caption for group in references for caption in group)]
        beyond = lengths.longest(
            (
                [caption.split() for caption in (candidate, *group)]
                for candidate, group in zip(candidates, references, strict=True)
            ),
            lengths.SPICE,
        )
        if beyond:
            captions = [_read(caption) for caption in captions]
        parsed = self.parser.parse(captions)
        start = len(candidates)
        groups: list[Sequence[Sequence[Tuple]]] = []
        for group in references:
            groups.append(parsed[start : start + len(group)])
            start += len(group)
        scores = score_tuples(
            groups,
            parsed[: len(candidates)],
            parser=self.parser.label,
            dictionary=self._dictionary,
            detailed=detailed,
        )
        return replace(scores, beyond=beyond)


def _read(caption: str) -> str:
    """Give what is read of a caption."""
    words = caption.split()
    return " ".join(words[: lengths.SPICE]) if len(words) > lengths.SPICE else caption


def score_tuples(
    references: Sequence[Sequence[Sequence[Tuple]]],
    candidates: Sequence[Sequence[Tuple]],
    *,
    parser: str = "unknown",
    dictionary: Dictionary | None = None,
    detailed: bool = False,
) -> SpiceScores:
    """Score tuples, whatever parser made them.

    Args:
        references: per picture and reference, its tuples (order matters: see `SceneGraph`).
        candidates: per picture, the candidate's tuples.
        parser: label of what made them, for the signature.
        dictionary: synsets of phrases; by default METEOR's.
        detailed: keep which tuples were matched, in `SpiceScores.matchings`.

    Raises:
        DataError: not as many candidates as pictures, or a tuple that is none.
        MissingExtra: METEOR's tables are not installed.
    """
    _check_lengths(references, candidates)
    lexicon = _default_lexicon() if dictionary is None else Lexicon(dictionary)
    tables, matchings = [], []
    for index, (group, candidate) in enumerate(zip(references, candidates, strict=True)):
        try:
            said = SceneGraph(lexicon).add(candidate)
            wanted = SceneGraph(lexicon)
            for reference in group:
                wanted.add(reference)
        except ValueError as error:
            raise DataError(f"Picture {index} (counted from 0): {error}") from None
        matching = match(said, wanted)
        tables.append(counts(matching))
        if detailed:
            matchings.append(matching)
    return scores_of(tables, parser, matchings)


def _check_lengths(references: Sequence[object], candidates: Sequence[object]) -> None:
    if len(references) != len(candidates):
        raise DataError(
            f"Candidates: {len(candidates)}, pictures: {len(references)}; "
            "give one candidate for each picture."
        )


@functools.cache
def _default_parser(quiet: bool) -> Parser:
    from miacap.metrics.spice.parsing import CaptionParser

    return CaptionParser(quiet)


@functools.cache
def _default_lexicon() -> Lexicon:
    try:
        return Lexicon(MeteorDictionary.load())
    except MissingExtra:
        raise MissingExtra("spice", "SPICE") from None
