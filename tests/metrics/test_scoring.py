"""One call: ids, options, warnings, signatures, missing extras, and any strings at all."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miacap.errors import DataError, MissingExtra, UnknownName
from miacap.metrics import (
    METRICS,
    DocumentFrequencies,
    Scores,
    comparisons,
    families,
    score,
    signatures,
)

WORDS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
REFERENCES = {"a": ["A dog runs."] * 5, "b": ["Two men."] * 5, "c": ["A red bus."] * 5}
CANDIDATES = {"b": "two men", "a": "a dog", "c": "the bus"}


def test_scores_are_a_mapping_in_the_order_of_the_references() -> None:
    scores = score(REFERENCES, CANDIDATES, WORDS)
    assert isinstance(scores, Mapping) and list(scores) == list(WORDS) and len(scores) == 6
    assert scores.ids == ("a", "b", "c")
    assert set(scores.per_picture) == set(WORDS)
    assert scores.per_picture["ROUGE-L"][1] == 1.0
    assert type(scores["CIDEr-D"]) is float
    with pytest.raises(KeyError):
        scores["nothing"]
    lines = repr(scores).splitlines()
    assert len(lines) == 7 and lines[4].startswith("ROUGE-L  0.") and "tok:ptb" in lines[6]


def test_ids_that_differ_by_their_folder_are_told() -> None:
    given = {f"photos/{key}": caption for key, caption in CANDIDATES.items()}
    for allowed in (False, True):
        with pytest.raises(DataError, match=r"differ by their folder alone \(b and photos/b\)"):
            score(REFERENCES, given, WORDS, allow_missing=allowed)


def test_lists_go_by_place_and_numbers_are_ids_too() -> None:
    by_place = score(list(REFERENCES.values()), [CANDIDATES[n] for n in REFERENCES], WORDS)
    assert by_place.ids == ("0", "1", "2")
    assert dict(by_place) == dict(score(REFERENCES, CANDIDATES, WORDS))
    by_number = score({7: ["a dog"]}, {"7": ["a dog"]}, ["ROUGE-L"])  # type: ignore[dict-item]
    assert by_number.ids == ("7",) and by_number["ROUGE-L"] == 1


@pytest.mark.parametrize(
    ("references", "candidates", "message"),
    [
        ({"a": ["x"]}, {}, r"1 picture without a candidate: a\.$"),
        ({}, {"a": "x"}, "1 picture with a candidate but no such references: a"),
        (
            {str(n): ["x"] for n in range(9)},
            {"0": "x"},
            "8 pictures without a candidate: 1, 2, 3, ",
        ),
        ({"a": []}, {"a": "x"}, "with an empty list of references: a"),
        (
            {"a": "x"},
            {"a": "x"},
            r"references of a: expected a list of captions, got 'x'; write \[",
        ),
        ({"a": [1]}, {"a": "x"}, "references of a: a caption is text, not 1"),
        (
            {"a": ["x"]},
            {"a": ["x", "y"]},
            r"candidate of a: expected one caption, got \['x', 'y'\]",
        ),
        ({"a": ["x"]}, {"a": None}, "candidate of a: expected one caption, got None"),
        ({"1": ["x"], 1: ["x"]}, {"1": "x"}, "the id 1 occurs as text and as a number"),
        ({"a": ["x"]}, ["x"], "both be mappings .* or both lists"),
        ("abc", ["x"], "references: expected a mapping by id or a list, not str"),
        ([], [], "Nothing to score"),
        ({"": ["x"]}, {"": "x"}, "an id is a non-empty text"),
    ],
)
def test_what_does_not_fit_is_refused(references: Any, candidates: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(references, candidates, WORDS)


def test_missing_pictures_may_be_allowed() -> None:
    more = {**CANDIDATES, "z": "a zebra"}
    del more["c"]
    scores = score(REFERENCES, more, WORDS, allow_missing=True)
    assert scores.ids == ("a", "b")
    assert "left out: 1 picture without a candidate: c" in scores.warnings
    assert "left out: 1 picture with a candidate but no such references: z" in scores.warnings


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "CIDEr-D,BLEU-4",
            r"'CIDEr-D,BLEU-4'; give -m once for each \(in Python a list\)\. Known: ",
        ),
        ("bleu", r"'bleu'; choose one of BLEU-1 to BLEU-4\. Known: "),
    ],
)
def test_several_metrics_in_one_name_and_bleu_without_its_n(name: str, advice: str) -> None:
    with pytest.raises(UnknownName, match=advice):
        score(REFERENCES, CANDIDATES, [name])


def test_unknown_metrics_get_a_hint() -> None:
    with pytest.raises(UnknownName, match=r"No metric named 'CIDErD'\. Did you mean 'CIDEr-D'\?"):
        score(REFERENCES, CANDIDATES, ["CIDErD"])


def test_a_missing_extra_is_named_and_the_rest_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise MissingExtra("meteor", "METEOR")

    monkeypatch.setattr(families, "_meteor", absent)
    monkeypatch.setattr(families, "_spice", absent)
    scores = score(REFERENCES, CANDIDATES)
    assert set(scores) == set(METRICS) - {"METEOR", "SPICE"}
    assert "pip install 'miacap[meteor]'" in scores.skipped["METEOR"]
    with pytest.raises(KeyError, match="METEOR was not computed: METEOR needs the extra"):
        scores["METEOR"]
    with pytest.raises(MissingExtra):
        score(REFERENCES, CANDIDATES, ["METEOR"])


@pytest.mark.parametrize(
    ("references", "candidates", "options", "words"),
    [
        ([["A dog."] * 5], ["a dog"], {}, "one picture: CIDEr-D"),
        ([["A dog."] * 5] * 3, ["a dog"] * 3, {}, "come from 3 pictures only"),
        ([["A dog."] * 2] * 3, ["a dog"] * 3, {}, "2 references a picture"),
        ([["A dog ."] * 5] * 3, ["a dog"] * 3, {}, "the references look tokenised already"),
        (
            [["A dog."] * 5] * 3,
            ["the dog 's ball"] * 3,
            {},
            "the candidates look tokenised already",
        ),
        ([["A dog."] * 5] * 3, ["A dog."] * 3, {"tokenized": True}, "do not look tokenised"),
        ([["A dog."] * 5] * 3, ["a dog", " ", ""], {}, "2 of 3 candidates are empty"),
        ([["A dog."] * 5] * 3, ["a <unk>", "b", "c"], {}, "1 of 3 candidates holds special tokens"),
    ],
)
def test_warnings(references: Any, candidates: Any, options: Any, words: str) -> None:
    found = score(references, candidates, WORDS, **options).warnings
    assert any(words in warning for warning in found), found


def test_a_sound_set_gives_no_warning() -> None:
    references = [["A dog runs.", "Dogs run.", "A brown dog.", "The dog!", "It runs."]] * 100
    assert score(references, ["a dog runs"] * 100, WORDS).warnings == ()


def test_a_signature_changes_with_all_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    def signature(scores: Scores) -> str:
        return scores.signatures["CIDEr-D"]

    plain = signature(score(REFERENCES, CANDIDATES, WORDS))
    assert plain.startswith("CIDEr-D[n:4|sigma:6|df:references] tok:ptb|pictures:3|refs:5|miacap:")
    frequencies = DocumentFrequencies.count([[["a", "dog"]], [["b"]]], name="train")
    others = [
        signature(score(REFERENCES, CANDIDATES, WORDS, tokenized=True)),
        signature(score(REFERENCES, CANDIDATES, WORDS, frequencies=frequencies)),
        signature(score({"a": ["x"]}, {"a": "y"}, WORDS)),
        signature(score({**REFERENCES, "a": ["x"]}, CANDIDATES, WORDS)),
    ]
    monkeypatch.setattr("miacap.metrics.signatures.__version__", "9.9")
    others.append(signature(score(REFERENCES, CANDIDATES, WORDS)))
    assert len({plain, *others}) == 6
    assert "refs:1-5" in others[3]


def test_a_signature_is_one_printable_line() -> None:
    frequencies = DocumentFrequencies.count([[["a", "dog"]]], name="my\n set\udcff")
    scores = score(REFERENCES, CANDIDATES, ["CIDEr-D"], frequencies=frequencies)
    assert r"|df:my set\udcff/1] tok:ptb|" in scores.signature


def test_fixed_frequencies_equal_those_of_the_call_and_rescue_one_picture(tmp_path: Any) -> None:
    lists = [[c.lower().strip(".").split() for c in some] for some in REFERENCES.values()]
    DocumentFrequencies.count(lists).save(tmp_path / "df.json")
    frequencies = DocumentFrequencies.load(tmp_path / "df.json")
    own = score(REFERENCES, CANDIDATES, WORDS)
    fixed = score(REFERENCES, CANDIDATES, WORDS, frequencies=frequencies)
    assert fixed.per_picture["CIDEr-D"] == own.per_picture["CIDEr-D"]
    alone = score({"b": REFERENCES["b"]}, {"b": "two men"}, WORDS, frequencies=frequencies)
    assert alone["CIDEr-D"] == own.per_picture["CIDEr-D"][1] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a file of document frequencies"),
        ('{"format": 2}', "not a file of document frequencies"),
        ('{"format": 1, "pictures": 0, "counts": {}}', "'pictures' must be a number over 0, not 0"),
        ('{"format": 1, "pictures": 2, "counts": []}', "'counts' must map"),
        ('{"format": 1, "pictures": 2, "counts": {"a": "x"}}', "the count of 'a' must be a number"),
        (
            '{"format": 1, "pictures": 2, "counts": {"a": 2, "a b": 3}}',
            "'a b' is in 3 of 2 pictures",
        ),
    ],
)
def test_wrong_frequencies(text: str, message: str, tmp_path: Any) -> None:
    path = tmp_path / "df.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        DocumentFrequencies.load(path)


# ---- any strings at all ----

strange = (
    st.text(st.sampled_from("aB .,'\"-\n\r\t\x00\u2028\ud800é\u00a0😀|1/2$"), max_size=15)
    | st.text(st.characters(exclude_categories=()), max_size=15)  # surrogates are not excluded
    | st.sampled_from(["", "...", "a b c d", "x" * 300, "||| a ||| b"])
)
drawn_sets = st.lists(
    st.tuples(strange, st.lists(strange, min_size=1, max_size=3)), min_size=1, max_size=5
)
TOP = {"CIDEr-D": 10.0}


@settings(deadline=None)
@given(drawn_sets, st.randoms(use_true_random=False))
@example([("a\nb", ["c\r\nd"]), ("\ud800\x00", ["|||"])], None)
def test_any_strings_score_within_bounds_and_order_never_matters(drawn: Any, chance: Any) -> None:
    references = {str(n): some for n, (_, some) in enumerate(drawn)}
    candidates = {str(n): candidate for n, (candidate, _) in enumerate(drawn)}
    wanted = [*WORDS, "METEOR"]
    scores = score(references, candidates, wanted)
    for name, values in scores.per_picture.items():
        top = TOP.get(name, 1.0)
        assert all(-1e-12 <= value <= top + 1e-12 for value in values), name
        assert -1e-12 <= scores[name] <= top + 1e-12
    order = list(references)
    if chance is not None:
        chance.shuffle(order)
    turned = score({n: references[n] for n in order}, candidates, wanted)
    for name in wanted:
        assert turned[name] == pytest.approx(scores[name], abs=1e-12)
        for place, picture in enumerate(turned.ids):
            expected = scores.per_picture[name][scores.ids.index(picture)]
            assert turned.per_picture[name][place] == pytest.approx(expected, abs=1e-12)


# Drawn words, and words that the tokenizer or METEOR cuts up, stems, or holds for the same.
ODD_WORDS = """
a the of Dog dogs geese goose big large can't it's u.s. p.m. rock'n'roll x-ray and/or
5:30pm 50% $5 (555) 1/2 café 漢字 ٣
"""
word = st.text("bcdfgklmprtvz", min_size=3, max_size=7) | st.sampled_from(ODD_WORDS.split())


@settings(deadline=None)
@given(st.lists(word, min_size=4, max_size=9, unique_by=str.lower))
def test_an_identical_caption_is_perfect(words: list[str]) -> None:
    caption = " ".join(words)
    scores = score([[caption], ["zzzz"]], [caption, "yyyy"], [*WORDS, "METEOR"])
    assert scores.per_picture["METEOR"][0] == 1
    assert scores.per_picture["ROUGE-L"][0] == 1
    for k in range(1, 5):
        assert scores.per_picture[f"BLEU-{k}"][0] == pytest.approx(1, abs=1e-6)
    assert scores.per_picture["CIDEr-D"][0] == pytest.approx(10, abs=1e-12)


def test_a_monstrous_caption_leaves_the_others_alone() -> None:
    wanted = [*WORDS, "METEOR"]
    plain = score(REFERENCES, CANDIDATES, wanted)
    for monster in ("word " * 2000, "a\nb\r\u2028c", "\x00" * 50, "\ud800", "'" * 500):
        found = score(REFERENCES, {**CANDIDATES, "c": monster}, wanted)
        for name in wanted:
            assert found.per_picture[name][:2] == plain.per_picture[name][:2]


@pytest.mark.slow
def test_everything_at_once_on_fakecap(fakecap: Any) -> None:
    scores = score(fakecap.references, fakecap.candidates)
    assert list(scores) == list(METRICS)
    fakecap.check(scores, tolerance=1e-9)
    assert scores["SPICE"] == pytest.approx(0.133, abs=0.010)
    assert "parser:" in scores.signature


def test_importing_metrics_is_quick_and_needs_no_torch() -> None:
    code = (
        "import sys, time; start = time.process_time(); import miacap.metrics; "
        "took = time.process_time() - start; "
        "heavy = {'torch', 'numba', 'spacy', 'pycocoevalcap', 'pandas'} & set(sys.modules); "
        "assert not heavy, heavy; assert took < 0.5, took; "
        "miacap.metrics.score([['a dog']], ['a dog'], ['BLEU-4', 'ROUGE-L', 'CIDEr-D']); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metrics_in_any_case_and_in_pycocoevalcaps_names() -> None:
    asked = ["CIDEr", "Bleu_4", "rouge_l"]
    found = score(REFERENCES, CANDIDATES, asked)
    assert list(found) == ["BLEU-4", "ROUGE-L", "CIDEr-D"]
    assert found["Bleu_4"] == found["BLEU-4"] and "ROUGE_L" in found
    again = score(REFERENCES, CANDIDATES, "cider-d")
    assert again["cider"] == found["CIDEr-D"]
    for name in ("CIDEr", "cider_d", "CIDEr-D"):
        interval = comparisons.paired_bootstrap(found, again, name, 20)
        assert interval.difference == 0
        assert comparisons.permutation_test(found, again, name, 20).p == 1
    with pytest.raises(UnknownName):
        score(REFERENCES, CANDIDATES, ["Bleu_5"])


def test_a_metric_that_nothing_computes_is_no_empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "COUNTED", ("BLEU-1",))
    with pytest.raises(RuntimeError, match=r"No family computes ROUGE-L: families\.py lacks"):
        score(REFERENCES, CANDIDATES, ["ROUGE-L"])


def test_every_metric_has_its_part_in_the_signature() -> None:
    assert {signatures.family(name) for name in METRICS} == set(signatures.FIXED)


def test_two_of_ten_captions_that_look_tokenised_are_said() -> None:
    given = ["a dog , running", "a dog 's ball"] + ["a dog"] * 8
    scores = score([["A dog."] * 5] * 10, given, ["ROUGE-L"])
    assert any("candidates look tokenised already" in text for text in scores.warnings)
