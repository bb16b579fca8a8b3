"""The page of an evaluated split: its numbers, hostile captions, absent photos, its size."""

import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from miacap.captioning import Evaluation, Row
from miacap.captioning.inspecting import Facts, inspect_captions
from miacap.data import Dataset
from miacap.data.dataset import Entry
from miacap.errors import DataError, MissingExtra
from miacap.explain import report
from miacap.explain.report import write_report
from miacap.metrics import score
from miacap.metrics.comparisons import paired_bootstrap
from miacap.runs import Confidence

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;{{7*7}}<!--"
TURNED = "dog \u202egod \ud800 \x00"


class Photos:
    """Small photos; those of names that begin with "lost" are absent, "broken" ones no photos."""

    def __init__(self, side: int = 64) -> None:
        self.side = side

    def read(self, id: str) -> bytes:
        if id.startswith("lost"):
            raise DataError(f"{id}: no such photo.")
        if id.startswith("broken"):
            return b"<svg onload=alert(1)>"
        buffer = io.BytesIO()
        Image.effect_noise((self.side, self.side), 60).convert("RGB").save(buffer, "JPEG")
        return buffer.getvalue()

    def __contains__(self, id: object) -> bool:
        return True


def evaluated(captions: dict[str, str | None], **kinds: Any) -> tuple[Dataset, Evaluation]:
    """Captions of pictures "a dog runs on grass NAME"; None is a picture that was set aside."""
    entries = [
        Entry(name, (f"a dog runs on grass {n}", "two dogs by a zebra"), "dev")
        for n, name in enumerate(captions)
    ]
    train = Entry("t", ("a dog runs on grass",) * 4_000, "train")
    dataset = Dataset("d", (*entries, train), Photos())
    rows = [
        Row(name, text, -7.0, per_word=-1.0 - n / 10, **kinds)
        if text is not None
        else Row(name, error=f"{name}: <b>no photo</b>.")
        for n, (name, text) in enumerate(captions.items())
    ]
    said = {row.id: row.caption or "" for row in rows if row.error is None}
    scores = score({n: dataset.captions[n] for n in said}, said, metrics=("BLEU-4", "CIDEr-D"))
    return dataset, Evaluation(tuple(rows), 1.0, scores)


class Page(HTMLParser):
    """Every tag with its attributes, and the text of each article."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.articles: list[tuple[dict[str, str | None], list[str]]] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "article":
            self.articles.append((dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.articles and data.strip():
            self.articles[-1][1].append(" ".join(data.split()))


CAPTIONS = {
    "a.jpg": "A dog runs on grass 0.",
    "b.jpg": "Two dogs on a",
    "c.jpg": "",
    "d.jpg": None,
    "e.jpg": "A zebra a zebra a zebra.",
}


def test_each_caption_is_looked_at() -> None:
    dataset, evaluation = evaluated(CAPTIONS)
    found = {one.row.id: one for one in inspect_captions(evaluation, dataset, "run").pictures}
    assert {name: one.words for name, one in found.items()} == {
        "a.jpg": 6, "b.jpg": 4, "c.jpg": 0, "d.jpg": 0, "e.jpg": 6,
    }  # fmt: skip
    assert [name for name, one in found.items() if one.bad_ending] == ["b.jpg"]
    assert [name for name, one in found.items() if one.repeats] == ["e.jpg"]
    # Training captions know the words of the first reference alone, and not its number.
    assert (found["e.jpg"].rare_said, found["e.jpg"].rare_missed) == (
        ("zebra",), ("4", "by", "dogs", "two"),
    )  # fmt: skip
    assert found["a.jpg"].rare_said == ("0",) and found["d.jpg"].rare_missed == ()
    inspection = inspect_captions(evaluation, dataset, "run")
    assert inspection.numbers == {
        "words": 4.0, "bad endings": 0.25, "repeats": 0.25, "rare words": (1 + 2 + 0 + 1) / 20,
    }  # fmt: skip
    scores = evaluation.scores
    assert found["b.jpg"].scores == {
        name: scores.per_picture[name][scores.ids.index("b.jpg")] for name in scores
    }
    assert found["d.jpg"].scores == {}


def test_a_word_is_rare_below_one_in_ten_thousand() -> None:
    train = Entry(
        "t", ("dog " * 20, *["cat " * 20] * 499, "fox zebra owl owl " + "cat " * 16), "train"
    )
    picture = Entry("a", ("a fox, an owl and a dog",), "dev")
    dataset = Dataset("d", (train, picture), Photos())
    rows = (Row("a", "an owl", -1.0),)
    (found,) = inspect_captions(Evaluation(rows, 1.0), dataset, "run").pictures
    # 10,020 words: once is rare, twice is not.
    assert (found.rare_said, found.rare_missed) == (("an",), ("a", "and", "fox"))
    alone = inspect_captions(Evaluation(rows, 1.0), Dataset("d", (picture,), Photos()), "run")
    assert not alone.knows_rare and alone.pictures[0].rare_missed == ()


def test_the_pages_numbers_are_those_of_the_evaluation(tmp_path: Path) -> None:
    dataset, evaluation = evaluated(CAPTIONS, confidence=Confidence(0.6, True, False))
    _, other = evaluated({**CAPTIONS, "b.jpg": "A dog runs on grass 1."})
    ours, theirs = (
        inspect_captions(one, dataset, name) for one, name in ((evaluation, "x"), (other, "y"))
    )
    write_report(tmp_path / "r.html", ours, "dev", Photos(), beside=theirs)
    page = Page(tmp_path / "r.html")
    values = [
        float(v) for tag, a in page.tags if (v := a.get("data-value")) and "data-metric" not in a
    ]
    scores = evaluation.scores
    for name in scores:
        assert values.count(float(scores[name])) >= 1 and float(other.scores[name]) in values
    assert set(ours.numbers.values()) <= set(values)
    between = paired_bootstrap(scores, other.scores, "CIDEr-D")
    assert f"{between.difference:+.4f} [{between.low:+.4f}, {between.high:+.4f}]" in page.source
    metric = {
        (name, value)
        for _, a in page.tags
        if (name := a.get("data-metric")) and (value := float(a["data-value"] or "nan")) is not None
    }
    for some in (scores, other.scores):
        assert {(n, v) for n in some for v in some.per_picture[n]} <= metric
    keys = {a["data-id"]: json.loads(a["data-keys"] or "") for a, _ in page.articles}
    order = [name for name in keys if keys[name]]
    assert [keys[name]["CIDEr-D"] for name in order] == sorted(scores.per_picture["CIDEr-D"])
    assert list(keys)[-1] == "d.jpg" and keys["d.jpg"] == {}  # no caption, no number: last
    place = scores.ids.index("b.jpg")
    gap = [one.per_picture["CIDEr-D"][place] for one in (scores, other.scores)]
    assert keys["b.jpg"]["difference in CIDEr-D"] == gap[0] - gap[1] < 0
    assert keys["b.jpg"]["log-probability per word"] == -1.1
    flags = {a["data-id"]: set((a["data-flags"] or "").split()) for a, _ in page.articles}
    assert flags["b.jpg"] == {"bad-ending", "rare-missed", "unsure", "differs"}
    assert flags["d.jpg"] == {"error"} and "repeats" in flags["e.jpg"] and "empty" in flags["c.jpg"]
    text = {a["data-id"]: words for a, words in page.articles}
    assert "Two dogs on a" in text["b.jpg"] and "A dog runs on grass 1." in text["b.jpg"]
    assert (
        "60 % of such captions are wrong" in text["b.jpg"]
        and "two dogs by a zebra" in text["b.jpg"]
    )


def test_hostile_names_and_captions_stay_text(tmp_path: Path) -> None:
    names = {HOSTILE: HOSTILE, f"{TURNED}.jpg": TURNED, f"lost{HOSTILE}": HOSTILE}
    dataset, evaluation = evaluated(names)
    dataset = Dataset("d", tuple(Entry(n, (HOSTILE, TURNED), "dev") for n in names), Photos())
    inspection = inspect_captions(evaluation, dataset, HOSTILE)
    write_report(tmp_path / "r.html", inspection, HOSTILE, Photos())
    page = Page(tmp_path / "r.html")
    assert [tag for tag, _ in page.tags].count("script") == 1
    ours = (
        "html head meta title style body header h1 p div table thead tr th tbody td details "
        "summary dl dt dd noscript form label select option input fieldset legend output main "
        "article img span ul li footer script"
    )
    assert {tag for tag, _ in page.tags} <= set(ours.split())
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    sources = [a["src"] for _, a in page.tags if "src" in a]
    assert all((source or "").startswith("data:image/jpeg;base64,") for source in sources)
    assert (
        "\u202e" not in page.source
        and "\x00" not in page.source
        and "49" not in page.articles[0][1]
    )
    assert HOSTILE in page.articles[0][1] or HOSTILE in page.articles[1][1]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert policy and "default-src 'none'" in policy and "unsafe" not in policy
    assert "http:" not in page.source and "https:" not in page.source


def test_photos_that_cannot_be_read_or_are_left_out_are_told(tmp_path: Path) -> None:
    dataset, evaluation = evaluated({"a.jpg": "A dog.", "lost.jpg": "A cat.", "broken.jpg": "No."})
    inspection = inspect_captions(evaluation, dataset, "run")
    write_report(tmp_path / "r.html", inspection, "dev", Photos())
    page = Page(tmp_path / "r.html")
    assert "2 photos could not be read, the first: " in page.source
    text = {a["data-id"]: words for a, words in page.articles}
    assert "No photo: no such photo." in text["lost.jpg"]
    assert any(words.startswith("No photo: ") for words in text["broken.jpg"])
    assert [tag for tag, _ in page.tags].count("img") == 1
    write_report(tmp_path / "r.html", inspection, "dev")
    without = Page(tmp_path / "r.html")
    assert "Photos were left out." in without.source
    assert "img" not in [tag for tag, _ in without.tags] and "No photo: " not in without.source


def test_a_split_without_captions_is_shown_least_probable_first(tmp_path: Path) -> None:
    dataset = Dataset("d", (Entry("a", (), "x"), Entry("b", (), "x")), Photos())
    rows = (Row("a", "A dog.", -1.0, per_word=-0.5), Row("b", "A cat.", -2.0, per_word=-1.0))
    inspection = inspect_captions(Evaluation(rows, 1.0), dataset, "run")
    write_report(tmp_path / "r.html", inspection, "x")
    page = Page(tmp_path / "r.html")
    assert [a["data-id"] for a, _ in page.articles] == ["b", "a"]
    assert "The split has no captions, so that nothing is scored." in page.source


def test_other_pictures_and_a_missing_library_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, evaluation = evaluated({"a.jpg": "A dog."})
    one = inspect_captions(evaluation, dataset, "one")
    other = inspect_captions(Evaluation((Row("z", "A cat."),), 1.0), dataset, "other")
    with pytest.raises(DataError, match="other has captions of other pictures than one"):
        write_report(tmp_path / "r.html", one, "dev", beside=other)
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    report._template.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'miacap\[explain\]'"):
        write_report(tmp_path / "r.html", one, "dev")
    assert not (tmp_path / "r.html").exists()
    report._template.cache_clear()


def test_facts_are_told_as_confirmed_alone_and_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    dataset, evaluation = evaluated({"a.jpg": "A dog."})
    inspection = inspect_captions(evaluation, dataset, "run")
    facts = Facts(("dog",), ("dog - <red>",), ("zebra", "dog - on - grass"))
    pictures = tuple(replace(one, facts=facts) for one in inspection.pictures)
    write_report(tmp_path / "r.html", replace(inspection, pictures=pictures), "dev")
    ((_, words),) = Page(tmp_path / "r.html").articles
    for said in ("Facts: 1 confirmed, 1 not, 2 missed", "dog", "not in the references: dog - <red>",
                 "missed: zebra", "missed: dog - on - grass"):  # fmt: skip
        assert said in words


@pytest.mark.slow
def test_tuples_are_spices_own(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    dataset, evaluation = evaluated({"a.jpg": "A red dog runs on grass."})
    said = {"a.jpg": "A red dog runs on grass."}
    scores = score({"a.jpg": dataset.captions["a.jpg"]}, said, metrics=("SPICE",))
    (one,) = inspect_captions(Evaluation(evaluation.rows, 1.0, scores), dataset, "run").pictures
    assert one.facts is not None and "dog - red" in one.facts.unconfirmed
    assert "dog" in one.facts.confirmed and any("zebra" in fact for fact in one.facts.missed)
    hits, extra, missed = map(len, (one.facts.confirmed, one.facts.unconfirmed, one.facts.missed))
    precision = hits / (hits + extra)
    matched = precision * (hits + extra)
    assert one.scores["SPICE"] <= 2 * precision * 1 / (precision + 1) and matched == hits and missed


@pytest.mark.slow
def test_a_thousand_photos_stay_below_20_megabytes(tmp_path: Path) -> None:
    """Noise is the most that a JPEG of this size can hold."""
    dataset, evaluation = evaluated({f"{n:04}.jpg": "A dog runs on grass." for n in range(1_001)})
    inspection = inspect_captions(evaluation, dataset, "run")
    write_report(tmp_path / "r.html", inspection, "dev", Photos(side=400))
    assert (tmp_path / "r.html").stat().st_size < 20_000_000
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 1_000 and "Only the first 1,000 pictures" in page
    write_report(tmp_path / "r.html", inspection, "dev")
    assert (tmp_path / "r.html").stat().st_size < 3_000_000


def chromium() -> str:
    import shutil

    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on this machine")


@pytest.mark.slow
def test_a_browser_orders_searches_and_filters(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    captions = {**CAPTIONS, HOSTILE: f"A dog {HOSTILE.split('>')[0]}."}
    dataset, evaluation = evaluated(captions)
    inspection = inspect_captions(evaluation, dataset, "run")
    path = tmp_path / "r.html"
    write_report(path, inspection, "dev", Photos())
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(path.as_uri())

        def shown() -> list[str]:
            return page.eval_on_selector_all(
                "article:not([hidden])", "nodes => nodes.map(node => node.dataset.id)"
            )

        keys = {one.row.id: report._keys(one, None) for one in inspection.pictures}

        assert shown()[-1] == "d.jpg"
        for name in ("CIDEr-D", "words", "log-probability per word"):
            page.select_option("#order", name)
            values = [keys[id].get(name, math.inf) for id in shown()]
            assert values == sorted(values)
        page.check("#reverse")
        values = [keys[id].get("log-probability per word", -math.inf) for id in shown()]
        assert values == sorted(values, reverse=True)
        page.fill("#query", "ZEBRA a zebra")
        assert "e.jpg" in shown() and page.inner_text("#shown") == f"{len(shown())} of 6 pictures"
        page.fill("#query", "B.jpg dogs")
        assert shown() == ["b.jpg"]
        page.fill("#query", "")
        page.check("input[value=repeats]")
        assert shown() == ["e.jpg"]
        page.check("input[value=bad-ending]")
        assert shown() == [] and page.inner_text("#shown") == "0 of 6 pictures"
        page.uncheck("input[value=repeats]")
        assert shown() == ["b.jpg"]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
        assert said == []
        browser.close()
    assert re.search(r"sha256-[A-Za-z0-9+/=]{44}", path.read_text(encoding="utf-8"))
