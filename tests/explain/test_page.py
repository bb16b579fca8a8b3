"""The page as a file: what it carries, how it is escaped, and that it asks for nothing."""

import base64
import hashlib
import importlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder

from miacap import explain
from miacap.errors import MissingExtra, SettingsError
from miacap.explain import Look
from miacap.explain import page as rendering
from miacap.runs import Confidence

SMALL = {"heads": 2, "inner": 12}
ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u2028<!--"
_REFERENCE = ("src", "href", "action", "formaction", "poster", "data", "background", "srcset")


class Seen(HTMLParser):
    """Elements and texts as a browser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.inside.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.inside[-1] if self.inside else "", []).append(data)


def data_of(text: str) -> Any:
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert block is not None
    return json.loads(block[1])


def unpacked(packed: dict[str, Any]) -> Any:
    kind = "<u2" if packed["kind"] == "shares" else "<f4"
    numbers = np.frombuffer(base64.b64decode(packed["numbers"]), kind).reshape(packed["shape"])
    return numbers / 65535 if packed["kind"] == "shares" else numbers


@pytest.fixture
def look(tiny: ModuleType, tmp_path: Path) -> Look:
    return explain.look(tiny.run(tmp_path / "r", **SMALL), tiny.PHOTO, device="cpu")


def test_the_page_carries_the_records_numbers(look: Look) -> None:
    (told,) = data_of(look.page())["looks"]
    (attended,), (kept,) = look.attended, told["attended"]
    np.testing.assert_allclose(unpacked(kept["weights"]), attended.weights, atol=1e-5)
    assert len(kept["regions"]) == len(kept["concepts"]) == 3
    for n in range(3):
        np.testing.assert_allclose(unpacked(kept["regions"][n]), attended.on_regions[n], atol=1e-5)
        np.testing.assert_allclose(
            unpacked(kept["concepts"][n]), attended.on_concepts[n], atol=1e-5
        )
        for stream in ("regions", "concepts"):
            wanted = getattr(look.refinement, stream)[n]
            np.testing.assert_allclose(unpacked(told["refinement"][stream][n]), wanted, atol=1e-5)
    assert look.hidden is not None
    np.testing.assert_array_equal(unpacked(told["changes"]), look.hidden.changes)
    np.testing.assert_allclose(
        unpacked(told["belief"]), [concept.belief for concept in look.concepts], atol=1e-5
    )
    assert [word["log"] for word in told["words"]] == [w.log_probability for w in look.words]


def test_nothing_is_asked_for_and_no_other_script_may_run(look: Look) -> None:
    text = look.page()
    seen = Seen(text)
    for tag, attributes in seen.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in _REFERENCE:
            assert (attributes.get(name) or "data:image/jpeg").startswith("data:image/jpeg")
    assert (
        re.search(r"[a-z]+://|@import|url\(", text.replace("http://www.w3.org/2000/svg", ""))
        is None
    )
    (policy,) = [
        attributes["content"] for tag, attributes in seen.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_hostile_names_and_words_are_text(tiny: ModuleType, tmp_path: Path) -> None:
    # A word has no blank, so that the worst of it is this.
    word = HOSTILE.replace(" ", "/").replace("\u2028", "")
    words = (word, *tiny.WORDS[1:])
    folder = tiny.run(tmp_path / "<b>run&", words=words, **SMALL)
    look = explain.Looker(folder, device="cpu").look(tiny.PHOTO, HOSTILE)
    look = replace(look, words=(replace(look.words[0], text=word), *look.words[1:]),
                   notes=(HOSTILE,), caption=HOSTILE)  # fmt: skip
    plain, hostile = (
        Seen(replace(look, caption="a").page()),
        look.page(title=HOSTILE, credit=HOSTILE),
    )
    seen = Seen(hostile)
    assert (
        [tag for tag, _ in seen.tags if tag in ("script", "img", "b")]
        == [tag for tag, _ in plain.tags if tag in ("script", "img", "b")]
        == ["img", "script", "script"]
    )
    assert not any("onerror" in attributes for _, attributes in seen.tags)
    assert "<!--" not in hostile and "\u2028" not in hostile.partition('id="data">')[2]
    (told,) = data_of(hostile)["looks"]
    assert told["words"][0]["text"] == word
    assert HOSTILE in seen.texts["h1"] and HOSTILE in seen.texts["li"]


def test_two_runs_stand_side_by_side_and_the_photo_is_there_once(
    tiny: ModuleType, tmp_path: Path, look: Look
) -> None:
    plain = explain.look(
        tiny.run(tmp_path / "p", "spatial-attention", "plain"), tiny.PHOTO, device="cpu"
    )
    text = plain.page(look)
    assert [told["iterations"] for told in data_of(text)["looks"]] == [0, 2]
    assert "Choose a word, a concept or a region:" in text
    assert "Choose a word or a region:" in replace(plain, concepts=()).page()
    assert text.count("data:image/jpeg;base64,") == 1 and "no refiner" in text
    other = replace(look, photo=replace(look.photo, jpeg=b"other"))
    with pytest.raises(SettingsError, match="same photo"):
        plain.page(other)


def test_a_photo_is_called_by_its_name_and_not_by_where_it_lies(look: Look) -> None:
    photo = replace(look.photo, name="/home/someone/pictures/dog.jpg")
    text = replace(look, photo=photo).page()
    assert "dog.jpg" in text and "someone" not in text


@pytest.mark.parametrize(
    ("trust", "said"),
    [
        (None, None),
        (Confidence(0.254, False, False), "people would call about 25 in 100 wrong."),
        (Confidence(None, True, True), "calibrated on: how far to trust the caption is not known."),
    ],
)
def test_the_page_says_how_far_to_trust_a_caption(
    look: Look, trust: Confidence | None, said: str | None
) -> None:
    written = replace(look, confidence=trust).page()
    assert ('class="trust"' in written) == (said is not None)
    assert said is None or said in written


def test_a_page_stays_under_two_megabytes(look: Look) -> None:
    """One run with 100 regions, 100 concepts, 20 words and 48 heads."""
    rng = np.random.default_rng(0)
    words = tuple(look.words[:1] * 20)

    def shares(*shape: int) -> Any:
        return rng.random(shape, np.float32)

    maps = tuple(shares(20, 100) for _ in range(4))
    attended = tuple(
        replace(look.attended[0], name=f"head {n}", weights=shares(20, 100), on_regions=maps,
                on_concepts=maps) for n in range(48)
    )  # fmt: skip
    rolled = tuple(shares(100, 100) for _ in range(4))
    assert look.refinement is not None and look.hidden is not None
    concepts = tuple(replace(look.concepts[0], belief=shares(100)) for _ in range(100))
    large = replace(
        look, words=words, attended=attended, boxes=shares(100, 4), columns=0, concepts=concepts,
        refinement=replace(look.refinement, iterations=3, regions=rolled, concepts=rolled),
        hidden=replace(look.hidden, changes=shares(100, 20)),
    )  # fmt: skip
    text = large.page()
    assert len(text.encode()) < 2_000_000
    assert "47 attentions more would make this page too large" in text
    assert [told["name"] for told in data_of(text)["looks"][0]["attended"]] == ["head 0"]
    huge = replace(large, refinement=replace(
        large.refinement, regions=rolled * 20, concepts=rolled * 20))  # fmt: skip
    with pytest.raises(SettingsError, match="at most 2 are written"):
        huge.page()


def test_what_lies_in_the_page_is_in_the_wheel() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    parts = {f"miacap/explain/page_parts/{path.name}" for path in
             (ROOT / "src/miacap/explain/page_parts").iterdir()}  # fmt: skip
    assert len(parts) > 4 and parts <= shipped


def test_without_jinja_the_pip_line_is_said(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    rendering._environment.cache_clear()
    with pytest.raises(MissingExtra, match=re.escape("pip install 'miacap[explain]'")):
        look.page()
    rendering._environment.cache_clear()
    assert importlib.import_module("miacap.explain.looking").look is explain.look
