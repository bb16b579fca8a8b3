"""The second stage by hand: graphs, matches, counts, scores."""

import math
from typing import Any

import numpy as np
import pytest

from miacap.errors import DataError
from miacap.metrics.meteor.lexicon import java_hash
from miacap.metrics.spice import CATEGORIES, SpiceScores, aggregate, score_tuples
from miacap.metrics.spice.concepts import Concept, Lexicon, _table_order
from miacap.metrics.spice.graph import SceneGraph


def _score(few_synonyms: Any, candidate: list[Any], *references: list[Any]) -> SpiceScores:
    synonyms = few_synonyms(bike={1, 2}, motorcycle={2, 3}, red={7}, crimson={7, 8}, ruby={8})
    return score_tuples([list(references)], [candidate], dictionary=synonyms, detailed=True)


def test_the_worked_example_of_the_docstring(few_synonyms: Any) -> None:
    candidate = [["man", "motorcycle", "ride"], ["motorcycle", "red"], ["man"], ["motorcycle"]]
    first = [["man", "bike", "on"], ["man"], ["bike"]]
    second = [["man", "bike", "ride"], ["bike", "black"], ["man"], ["bike"]]
    scores = _score(few_synonyms, candidate, first, second)
    row = scores.per_picture[0]["All"]
    assert (row["tp"], row["fp"], row["fn"]) == (3, 1, 2)
    assert (row["pr"], row["re"]) == (3 / 4, 3 / 5)
    assert scores.corpus == pytest.approx(2 / 3)
    said, wanted = scores.matchings[0].printed()
    assert (("motorcycle", "red"), False) in said
    assert (("man", "ride", "bike"), True) in wanted
    assert (("man", "on", "bike"), False) in wanted


def test_similar_objects_become_one_node_with_both_names(few_synonyms: Any) -> None:
    lexicon = Lexicon(few_synonyms(bike={1, 2}, motorcycle={2, 3}, dog={5}))
    graph = SceneGraph(lexicon).add([["bike"], ["motorcycle"], ["motorcycle", "old"], ["dog"]])
    names = [[part.name for part in proposition] for proposition in graph.propositions()]
    assert len(names) == 3
    assert ["dog"] in names
    assert any(set(name[0].split("/")) == {"bike", "motorcycle"} for name in names)


def test_the_more_similar_node_wins_and_the_older_one_on_a_tie(few_synonyms: Any) -> None:
    lexicon = Lexicon(few_synonyms(one={1, 2, 3}, two={4, 5}, new={3, 4, 5}, tie={3, 9}))
    near = SceneGraph(lexicon).add([["one"], ["two"], ["new"]]).propositions()
    assert {frozenset(p[0].words) for p in near} == {frozenset({"one"}), frozenset({"two", "new"})}
    lexicon = Lexicon(few_synonyms(one={1}, two={2}, tie={1, 2}))
    tied = SceneGraph(lexicon).add([["one"], ["two"], ["tie"]]).propositions()
    assert {frozenset(p[0].words) for p in tied} == {frozenset({"one", "tie"}), frozenset({"two"})}


def test_a_leading_be_says_nothing(few_synonyms: Any) -> None:
    scores = _score(few_synonyms, [["man", "hat", "be in"]], [["man", "hat", "in"]])
    assert scores.corpus == 1.0


def test_a_merged_color_is_no_color(few_synonyms: Any) -> None:
    merged = [["hat", "red"], ["hat", "crimson"]]
    row = _score(few_synonyms, [["hat", "red"]], merged).per_picture[0]
    assert row["Attribute"]["tp"] == 1  # red is in red/crimson
    assert row["Color"]["tp"] == 0
    assert row["Color"]["fp"] == 1
    assert math.isnan(row["Color"]["f"])
    assert _score(few_synonyms, [["hat", "red"]], [["hat", "red"]]).categories["Color"] == 1.0


def test_numbers_and_sizes_have_their_own_categories(few_synonyms: Any) -> None:
    facts = [["dog", "two"], ["dog", "tiny"], ["dog", "wet"]]
    row = _score(few_synonyms, facts, facts).per_picture[0]
    counts = {name: row[name]["tp"] for name in CATEGORIES}
    assert (counts.pop("All"), counts.pop("Object"), counts.pop("Attribute")) == (4, 1, 3)
    assert counts == {"Relation": 0, "Cardinality": 1, "Size": 1, "Color": 0}


def test_nothing_said_and_nothing_wanted(few_synonyms: Any) -> None:
    for candidate, reference in (([], [["man"]]), ([["man"]], []), ([], [])):
        scores = _score(few_synonyms, candidate, reference)
        row = scores.per_picture[0]
        assert scores.corpus == row["All"]["f"] == 0.0
        assert math.isnan(row["Object"]["f"]) == (reference == [])


def test_a_reference_tuple_may_serve_several_of_the_candidate(few_synonyms: Any) -> None:
    """Two separate attributes that both match one merged attribute of the reference."""
    candidate, reference = [["hat", "red"], ["hat", "ruby"]], [["hat", "crimson"]]
    row = _score(few_synonyms, candidate, reference).per_picture[0]["Attribute"]
    assert (row["tp"], row["fp"], row["fn"]) == (2, 0, -1)


def test_the_corpus_score_is_the_mean_of_the_pictures() -> None:
    table = np.zeros((3, 7, 3), dtype=np.int64)
    table[0, 0], table[1, 0], table[2, 0] = (1, 2, 4), (0, 3, 5), (2, 2, 2)
    f = [2 * 1 / (2 + 4), 0.0, 1.0]
    assert aggregate(table) == pytest.approx(sum(f) / 3)
    assert aggregate(table, np.array([0, 2, 1])) == pytest.approx(1 / 3)
    both = aggregate(table, np.array([[1, 1, 1], [3, 0, 0]]))
    np.testing.assert_allclose(both, [sum(f) / 3, f[0]])
    assert math.isnan(float(aggregate(table, category="Color")))
    table[1, CATEGORIES.index("Color")] = (1, 1, 1)
    assert aggregate(table, category="Color") == 1.0  # pictures without colors are left out


def test_no_pictures() -> None:
    scores = score_tuples([], [], parser="x")
    assert scores.corpus == 0.0
    assert scores.per_picture == []
    assert scores.parser == "x"


def test_what_does_not_fit_is_named(few_synonyms: Any) -> None:
    with pytest.raises(DataError, match="Candidates: 2, pictures: 1; give one candidate for each"):
        score_tuples([[]], [[], []], dictionary=few_synonyms())
    with pytest.raises(DataError, match=r"Picture 1 .*1 to 3 parts, not 4: \['a', 'b', 'c', 'd'\]"):
        score_tuples([[], [[["a", "b", "c", "d"]]]], [[], []], dictionary=few_synonyms())


def test_java_orders_strings_by_their_hash() -> None:
    assert java_hash("hello") == 99162322  # "hello".hashCode()
    assert java_hash("fire hydrant") == sum(
        ord(c) * 31 ** (11 - i) for i, c in enumerate("fire hydrant")
    ) % (1 << 32)
    # One letter hashes to its code; 16 buckets: "q" (113) is in bucket 1, "a" (97) too, "b" in 2.
    assert _table_order(["b", "q", "a"], java_hash) == ("q", "a", "b")
    # The thirteenth word doubles the buckets to 32, which parts "q" (17) from "a" (1).
    many = [*"bqacdefghijkl"]
    assert _table_order(many, java_hash).index("q") > _table_order(many, java_hash).index("a")


def test_similarity_is_a_shared_word_or_the_jaccard_index() -> None:
    one = Concept(("bike",), frozenset({1, 2}))
    two = Concept(("cycle",), frozenset({2, 3, 4}))
    assert one.similarity(two) == two.similarity(one) == 1 / 4
    assert one.similarity(Concept(("bike", "bicycle"), frozenset())) == 1.0
    assert one.similarity(Concept(("dog",), frozenset())) == 0.0
    assert one.merged(two).synsets == {1, 2, 3, 4}


def test_an_attribute_joins_the_first_that_it_matches(few_synonyms: type) -> None:
    from miacap.metrics.spice.concepts import Lexicon
    from miacap.metrics.spice.graph import SceneGraph

    lexicon = Lexicon(few_synonyms(big={1}, tall={2}, large={1, 2}))
    graph = SceneGraph(lexicon).add([("dog", "big"), ("dog", "tall"), ("dog", "large")])
    attributes = [parts[1].word_set for parts in graph.propositions() if len(parts) == 2]
    assert sorted(map(sorted, attributes)) == [["big", "large"], ["tall"]]
