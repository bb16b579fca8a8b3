"""The whole way from captions to scores: any strings, any order, any neighbours."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miacap.errors import DataError, MissingExtra
from miacap.metrics.spice import CATEGORIES, Spice
from miacap.metrics.spice.parsing import CaptionParser, lemmas, pipeline

CAPTIONS = [
    "a man is riding a brown horse on the beach",
    "two little girls dance in front of a red house",
    "a dog with a ball in its mouth running through grass",
    "a skater in a black shirt jumps over a rail",
    "a group of people standing next to a train",
    "three white plates and a cup on a wooden table",
]


@pytest.mark.parametrize(
    ("caption", "facts"),
    [
        (CAPTIONS[0], {("man", "horse", "ride"), ("man", "beach", "ride on"), ("horse", "brown")}),
        (
            CAPTIONS[1],
            {("girl", "two"), ("girl", "little"), ("girl", "house", "dance in front of")},
        ),
        (CAPTIONS[2], {("dog", "ball", "with"), ("ball", "mouth", "in"), ("mouth",)}),
        (CAPTIONS[3], {("skater", "shirt", "in"), ("skater", "rail", "jump over")}),
        (CAPTIONS[4], {("group", "people", "of"), ("group",), ("people",), ("train",)}),
        (CAPTIONS[5], {("plate", "three"), ("plate", "white"), ("table", "wooden"), ("cup",)}),
    ],
)
def test_plain_captions(spice: Spice, caption: str, facts: set[tuple[str, ...]]) -> None:
    assert facts <= set(spice.parser.parse([caption])[0])


def test_the_worked_example_of_the_docstring_from_its_captions(spice: Spice) -> None:
    references = ["a man on a bike", "a man riding a black bike"]
    row = spice.score([references], ["a man rides a red motorcycle"]).per_picture[0]["All"]
    assert (row["tp"], row["fp"], row["fn"]) == (3, 1, 2)


def test_the_label_names_parser_and_rules(spice: Spice) -> None:
    scores = spice.score([["a dog"]], ["a dog"])
    assert scores.parser == spice.parser.label == "miacap-spacy-sm:3.8 rules:1"
    assert scores.corpus == 1.0


def test_neighbours_and_order_change_nothing(spice: Spice) -> None:
    together = spice.parser.parse(CAPTIONS * 3)
    assert together[: len(CAPTIONS)] == together[len(CAPTIONS) : 2 * len(CAPTIONS)]
    alone = CaptionParser()
    assert [alone.parse([caption])[0] for caption in CAPTIONS] == together[: len(CAPTIONS)]
    references = [[caption, CAPTIONS[0]] for caption in CAPTIONS]
    candidates = CAPTIONS[::-1]
    scores = spice.score(references, candidates)
    order = list(range(len(CAPTIONS)))
    random.Random(7).shuffle(order)
    again = spice.score([references[i] for i in order], [candidates[i] for i in order])
    assert again.values == [scores.values[i] for i in order]
    assert again.corpus == pytest.approx(scores.corpus, abs=1e-12)


def test_each_caption_is_parsed_once(spice: Spice, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = CaptionParser()
    seen: list[str] = []
    parse = parser._parse

    def counted(captions: list[str], progress: Any) -> Any:
        seen.extend(captions)
        return parse(captions, progress)

    monkeypatch.setattr(parser, "_parse", counted)
    monkeypatch.setattr(pipeline, "_KEPT", 2)
    parser.parse(["a dog", "a dog", "a cat"])
    parser.parse(["a cat", "a dog"])
    assert seen == ["a dog", "a cat"]
    assert parser.parse(["a bird", "a dog"]) == [[("bird",)], [("dog",)]]
    assert len(parser._known) == 2


@pytest.mark.parametrize(
    "caption",
    [
        *("", "  ", "\n", "a dog\nruns\r\n\u2028on", "a\0dog\0", "a \ud800 dog \udfff"),
        *("1\u00a01/2 dogs", "-lrb- a dog -rrb-", "x" * 10_000, "in " * 3_300, "dog of " * 1_400),
        "a dog and " * 1_000,
    ],
    ids=lambda caption: ascii(caption[:12]),
)
def test_odd_strings_neither_hang_nor_disturb_others(spice: Spice, caption: str) -> None:
    plain = spice.score([[CAPTIONS[0]]], [CAPTIONS[3]]).values
    scores = spice.score([[caption, caption], [CAPTIONS[0]]], [caption, CAPTIONS[3]])
    assert scores.values[0] in (0.0, 1.0)
    assert scores.values[1:] == plain


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), min_size=1, max_size=4))
def test_any_strings_score_within_bounds(spice: Spice, pairs: list[tuple[str, str]]) -> None:
    scores = spice.score([[reference] for _, reference in pairs], [said for said, _ in pairs])
    assert 0.0 <= scores.corpus <= 1.0
    for picture in scores.per_picture:
        assert list(picture) == list(CATEGORIES)
        assert 0.0 <= picture["All"]["f"] <= 1.0
        assert all(row["tp"] >= 0 and row["fp"] >= 0 for row in picture.values())


def test_lengths_are_compared(spice: Spice) -> None:
    with pytest.raises(DataError, match="Candidates: 1, pictures: 2"):
        spice.score([["a dog"], ["a cat"]], ["a dog"])


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, search, entry in (
        (pipeline.importlib, "import_module", pipeline._model),
        (lemmas.importlib.util, "find_spec", lemmas._lemminflect),
    ):

        def missing(name: str) -> None:
            raise ModuleNotFoundError(name)

        monkeypatch.setattr(
            module, search, missing if search == "import_module" else lambda n: None
        )
        entry.cache_clear()
        try:
            with pytest.raises(MissingExtra, match=r"SPICE needs the extra \[spice\]: pip install"):
                entry()
        finally:
            monkeypatch.undo()
            entry.cache_clear()
