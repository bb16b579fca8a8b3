"""A parser that keeps its parses on disk says the same, and keeps none where told so."""

from pathlib import Path

import pytest

from miacap.errors import SettingsError
from miacap.metrics.spice import Spice
from miacap.metrics.spice.parsing import CaptionParser, kept, pipeline
from miacap.metrics.spice.parsing.kept import wanted

CAPTIONS = ["a man rides a red horse", "", "two dogs on a beach", "a \ud800 dog", "x" * 300]


def test_a_hit_gives_what_a_miss_gives(
    spice: Spice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path))
    expected = CaptionParser(on_disk=False).parse(CAPTIONS)
    assert not list(tmp_path.iterdir())
    assert CaptionParser(on_disk=True).parse(CAPTIONS) == expected

    monkeypatch.setattr(CaptionParser, "_parse", lambda *_: pytest.fail("parsed again"))
    monkeypatch.setattr(pipeline, "_model", lambda: pytest.fail("the model was loaded"))
    again = CaptionParser(on_disk=True)
    assert again.parse(CAPTIONS) == expected
    assert again.label == "miacap-spacy-sm:3.8 rules:1"


@pytest.mark.parametrize(
    ("said", "kept"), [("no", False), (" FALSE", False), ("off", False), ("1", True), ("on", True)]
)
def test_the_variable_in_words(said: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIACAP_SPICE_CACHE", said)
    assert wanted() is kept


def test_a_variable_that_says_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIACAP_SPICE_CACHE", "nope")
    with pytest.raises(SettingsError, match=r"'nope': write 0 \(no, false, off\) to keep no"):
        wanted()


def test_the_variable_turns_it_off(
    spice: Spice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path))
    monkeypatch.setenv("MIACAP_SPICE_CACHE", "0")
    CaptionParser().parse(["a dog"])
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("MIACAP_SPICE_CACHE")
    CaptionParser().parse(["a dog"])
    assert [path.name for path in tmp_path.iterdir()] == ["spice-parses-1.sqlite"]


def test_a_change_of_the_rules_is_another_parser(tmp_path: Path) -> None:
    rules = tmp_path / "spice" / "parsing"
    rules.mkdir(parents=True)
    (tmp_path / "meteor").mkdir()
    others = ("../word_sets.py", "../../meteor/dictionary.py", "../../meteor/sources.py")
    for name in others:
        (rules / name).write_text("WORDS = 1")
    digests = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "1"), *((n, "2") for n in others)):
        (rules / name).write_text(text)
        kept._digest_of.cache_clear()
        digests.add(kept._digest_of(rules))
    kept._digest_of.cache_clear()
    assert len(digests) == 6


def test_other_weights_are_another_parser(
    spice: Spice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same name and version too, as a model that somebody trained on has them."""
    model = tmp_path / "model"
    (model / "parser").mkdir(parents=True)
    digests = set()
    for name, text in (("parser/model", "1"), ("parser/model", "2"), ("model", "2")):
        (model / name).write_text(text)
        kept.digest_of.cache_clear()
        digests.add(kept.digest_of(model))
    assert len(digests) == 3
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path / "cache"))
    keys = set()
    for place in (pipeline._folder(), model):
        monkeypatch.setattr(pipeline, "_folder", lambda place=place: place)
        found = CaptionParser(on_disk=True)._kept
        assert found is not None
        keys.add(found._parser)
    real = pipeline._distribution
    monkeypatch.setattr(pipeline, "_distribution", lambda n: "0" if n == "numpy" else real(n))
    found = CaptionParser(on_disk=True)._kept
    assert found is not None and len(keys | {found._parser}) == 3


def test_what_was_parsed_is_kept_when_the_rest_is_not(
    spice: Spice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C costs the piece that is parsed just then."""
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path))
    monkeypatch.setattr(pipeline, "_PIECE", 2)
    captions = [f"a {word} dog" for word in ("red", "blue", "green", "brown", "black")]
    expected = CaptionParser(on_disk=False).parse(captions)
    real, pieces = CaptionParser._parse, []

    def parse(self: CaptionParser, captions: list[str], progress: object) -> object:
        pieces.append(captions)
        if len(pieces) == 2:
            raise KeyboardInterrupt
        return real(self, captions, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(CaptionParser, "_parse", parse)
    with pytest.raises(KeyboardInterrupt):
        CaptionParser(on_disk=True).parse(captions)
    assert CaptionParser(on_disk=True).parse(captions) == expected
    assert pieces == [captions[:2], captions[2:4], captions[2:4], captions[4:]]
