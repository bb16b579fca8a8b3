"""Long captions: found by words and synsets, with the results of asking each concept."""

import gc
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.metrics.spice import score_tuples
from miacap.metrics.spice.concepts import Concept, Lexicon
from miacap.metrics.spice.graph import SceneGraph
from miacap.metrics.spice.sharing import FEW, Sharing


class Numbered:
    """A dictionary of made-up synsets: neighbouring letters share one."""

    def synsets(self, phrase: str) -> frozenset[int]:
        first = ord(phrase[0])
        return frozenset((first, first + 1)) if phrase[0] in "abcdefgh" else frozenset()


WORDS = st.sampled_from([f"{letter}{n}" for letter in "acegxyz" for n in range(3)] + ["red", "two"])
TUPLES = st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=12)


@settings(deadline=None)
@given(TUPLES, st.lists(TUPLES, max_size=3))
def test_an_index_changes_nothing(
    candidate: list[list[str]], references: list[list[list[str]]]
) -> None:
    def result() -> object:
        scores = score_tuples([references], [candidate], dictionary=Numbered(), detailed=True)
        return scores.statistics.tolist(), scores.matchings[0].printed()

    asked_each = result()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("miacap.metrics.spice.sharing.FEW", 0)
        assert result() == asked_each


@settings(deadline=None)
@given(TUPLES)
def test_a_phrase_stays_with_its_object(tuples: list[list[str]]) -> None:
    """Where every phrase is sought anew among all objects, the same graph comes out."""
    lexicon = Lexicon(Numbered())
    forgetful, usual = SceneGraph(lexicon), SceneGraph(lexicon)
    for parts in tuples:
        forgetful.add([parts])
        forgetful._known.clear()
    assert forgetful.propositions() == usual.add(tuples).propositions()


def test_near_is_rising_and_follows_merges() -> None:
    concepts = Sharing(Concept((f"w{n}",), frozenset((n, n + 1))) for n in range(FEW + 5))
    assert list(concepts.near(Concept(("w7",), frozenset((3,))))) == [2, 3, 7]
    concepts.merge(7, Concept(("new",), frozenset((900,))))
    assert list(concepts.near(Concept(("new",), frozenset()))) == [7]
    assert list(concepts.near(Concept(("other",), frozenset((900,))))) == [7]
    concepts.append(Concept(("last",), frozenset((900,))))
    assert list(concepts.near(Concept(("other",), frozenset((900,))))) == [7, FEW + 5]
    assert concepts.how_many(Concept(("other",), frozenset((900,)))) == 2


@pytest.mark.parametrize("kind", ["objects", "attributes", "one attribute", "relations"])
def test_time_grows_with_the_number_of_tuples(kind: str) -> None:
    def seconds(count: int) -> float:
        words = [f"x{number}" for number in range(count)]
        made = {
            "objects": [[word] for word in words],
            "attributes": [["dog", word] for word in words],
            "one attribute": [[word, "red"] for word in words],
            "relations": [["dog", word, "on"] for word in words],
        }[kind]
        # Collections of cycles go over all that the process holds, whatever is scored here.
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            scores = score_tuples([[made]], [made[::-1]], dictionary=Numbered())
            taken = time.process_time() - start
        finally:
            gc.enable()
        assert np.isclose(scores.corpus, 1)
        return taken

    # A square would take sixteen times as long (and a minute).
    short = min(seconds(2000) for _ in range(3))
    assert min(seconds(8000) for _ in range(3)) < 12 * short
