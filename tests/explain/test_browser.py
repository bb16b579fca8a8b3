"""The page in a browser: maps and numbers, keyboard, slider, dark and light, a narrow phone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from miacap import explain
from miacap.explain import Look
from miacap.explain.record import EVEN, evenness

pytestmark = pytest.mark.slow

SMALL = {"heads": 2, "inner": 12}


@pytest.fixture
def look(tiny: ModuleType, tmp_path: Path) -> Look:
    return explain.look(tiny.run(tmp_path / "r", **SMALL), tiny.PHOTO, device="cpu")


@pytest.fixture
def shown(browser: Any, look: Look, tmp_path: Path) -> Iterator[Any]:
    """The page at 1280 pixels; whatever it complains of, or asks for, fails the test."""
    file = tmp_path / "page.html"
    file.write_text(look.page(), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url))
    page.goto(file.as_uri())
    troubles[:] = [trouble for trouble in troubles if trouble != file.as_uri()]
    yield page
    page.close()
    assert [t for t in troubles if not t.startswith("data:image/jpeg")] == []


def values(page: Any, what: str) -> Any:
    elements = f".look .{what} rect" if what == "map" else f".look .{what}"
    script = "all => all.map(e => [Number(e.dataset.index), e.dataset.value])"
    told = sorted(page.eval_on_selector_all(elements, script))
    return None if any(value == "" for _, value in told) else [float(value) for _, value in told]


def strengths(page: Any) -> list[float]:
    script = "all => all.map(e => Number(e.getAttribute('fill-opacity')))"
    found: list[float] = page.eval_on_selector_all(".map rect", script)
    return found


def test_maps_differ_between_words_and_equal_the_records_numbers(shown: Any, look: Look) -> None:
    (attended,) = look.attended
    drawn = []
    for place in range(len(look.words)):
        shown.click(f".word >> nth={place}")
        shown.mouse.move(5, 5)
        regions, concepts = values(shown, "map"), values(shown, "concept")
        np.testing.assert_allclose(regions, attended.on_regions[-1][place], atol=2e-5)
        np.testing.assert_allclose(concepts, attended.on_concepts[-1][place], atol=2e-5)
        opacity = strengths(shown)
        wanted = [0.85 * min(1.0, share * 6 / 8) for share in attended.on_regions[-1][place]]
        assert opacity == pytest.approx(wanted, abs=1e-3)
        drawn.append(opacity)
        even = float(evenness(attended.on_regions[-1][place]))
        assert shown.is_visible(".warning") == (even > EVEN)
        if even > EVEN:
            assert f"{even:.3f}" in shown.inner_text(".warning")
    assert any(np.abs(np.subtract(drawn[0], other)).max() > 1e-3 for other in drawn[1:])


def test_the_slider_follows_the_iterations(shown: Any, look: Look) -> None:
    assert look.refinement is not None
    shown.click(".concept >> nth=2")
    shown.check("input[value=refiner]")
    slider = shown.locator(".iterations input")
    for n in (0, 1, 2):
        slider.fill(str(n))
        np.testing.assert_allclose(values(shown, "map"), look.refinement.regions[n][2], atol=2e-5)
        np.testing.assert_allclose(
            values(shown, "concept"), look.refinement.concepts[n][2], atol=2e-5
        )
        assert f"{n} of 2" in shown.inner_text(".iterations output")
    shown.click(".word >> nth=0")
    slider.fill("1")
    np.testing.assert_allclose(values(shown, "map"), look.attended[0].on_regions[1][0], atol=2e-5)


def test_hiding_a_region_shows_each_words_change_beside_its_attention(
    shown: Any, look: Look
) -> None:
    assert look.hidden is not None
    shown.locator(".map rect").nth(4).click()
    shown.mouse.move(5, 5)
    np.testing.assert_allclose(values(shown, "word"), look.hidden.changes[4], atol=1e-6)
    assert shown.locator(".map rect.gone").get_attribute("data-index") == "4"
    first = shown.inner_text(".numbers tbody tr >> nth=0").split()
    share = 100 * look.attended[0].on_regions[-1][0][4]
    assert first[1:3] == [f"{share:.1f}", "%"]
    assert float(first[3]) == pytest.approx(look.hidden.changes[4][0], abs=6e-4)
    shown.click(".word >> nth=1")
    shown.check("input[value=hide]")
    np.testing.assert_allclose(values(shown, "map"), look.hidden.changes[:, 1], atol=1e-6)


def test_a_concept_shows_where_it_was_believed_in(shown: Any, look: Look) -> None:
    shown.click(".concept >> nth=1")
    shown.mouse.move(5, 5)
    np.testing.assert_allclose(values(shown, "map"), look.concepts[1].belief, atol=2e-5)


def test_hovering_shows_and_leaving_goes_back_to_what_was_chosen(shown: Any, look: Look) -> None:
    shown.click(".word >> nth=0")
    shown.hover(".word >> nth=2")
    on_regions = look.attended[0].on_regions[-1]
    np.testing.assert_allclose(values(shown, "map"), on_regions[2], atol=2e-5)
    shown.mouse.move(5, 5)
    np.testing.assert_allclose(values(shown, "map"), on_regions[0], atol=2e-5)
    shown.keyboard.press("Escape")
    assert values(shown, "map") is None


def test_the_keyboard_reaches_everything(shown: Any, look: Look) -> None:
    kinds: dict[str, set[int]] = {"word": set(), "concept": set(), "region": set()}
    order = []
    for _ in range(60):
        shown.keyboard.press("Tab")
        focused = shown.evaluate(
            "[document.activeElement.dataset.kind || document.activeElement.className || "
            "document.activeElement.id || document.activeElement.tagName, "
            "Number(document.activeElement.dataset.index || -1)]"
        )
        if focused[0] in kinds:
            assert shown.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
            kinds[focused[0]].add(focused[1])
            for _ in range(10 if focused[0] != "word" else 0):  # one stop; arrows go on
                shown.keyboard.press("ArrowRight")
                kinds[focused[0]].add(
                    shown.evaluate("Number(document.activeElement.dataset.index)")
                )
        order.append(focused[0])
        if focused[0] == "SUMMARY":
            break
    assert kinds["word"] == set(range(len(look.words)))
    assert kinds["concept"] == kinds["region"] == set(range(6))
    assert order[0] == "plain" and "numbers" in order  # the tour comes first
    shown.locator(".map rect >> nth=0").focus()
    shown.keyboard.press("ArrowDown")  # a row of the grid further
    assert shown.evaluate("Number(document.activeElement.dataset.index)") == 3


def test_nothing_moves_under_a_pointer(shown: Any, look: Look) -> None:
    def places() -> Any:
        return shown.evaluate(
            "[...document.querySelectorAll('.chip, .map rect, .modes')].map(e => "
            "[e.getBoundingClientRect().x, e.getBoundingClientRect().y])"
        )

    before = places()
    for what in (".word", ".concept"):
        for index in range(3):
            shown.hover(f"{what} >> nth={index}")
            assert places() == before
    shown.locator(".map rect").nth(4).hover()
    assert places() == before


def test_the_tour_leads_around_and_ends(shown: Any) -> None:
    shown.click("#tour-start")
    count = int(shown.inner_text("#tour-place").split()[-1])
    titles = [shown.inner_text("#tour-title")]
    for _ in range(count - 1):
        assert shown.locator(".touring").count() == 1
        shown.click("#tour-next")
        titles.append(shown.inner_text("#tour-title"))
    assert len(set(titles)) == count >= 6 and shown.is_disabled("#tour-next")
    shown.keyboard.press("Escape")
    assert not shown.is_visible("#tour")
    assert shown.evaluate("document.activeElement.id") == "tour-start"


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_a_phone_and_follows_the_scheme(
    browser: Any, look: Look, tmp_path: Path, scheme: str, width: int, several: bool
) -> None:
    long = replace(look, caption="word " * 60, notes=("x" * 200,))
    file = tmp_path / "page.html"
    file.write_text(long.page(look if several else None, title="y" * 120), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.goto(file.as_uri())
    for summary in page.query_selector_all("summary"):
        summary.click()
    page.click(".word >> nth=0")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 26)"}[scheme]
    page.close()


_CELLS = """all => all.map(cell => {
  const box = cell.getBBox(), scale = cell.getCTM();
  const ends = [box.x, box.y, box.x + box.width, box.y + box.height];
  return ends.map((end, at) => end * (at % 2 ? scale.d : scale.a));
})"""


@pytest.mark.parametrize("size", [(20_000, 10), (10, 20_000)])
@pytest.mark.parametrize("width", [1280, 390])
def test_regions_of_a_thin_photo_can_be_seen_and_chosen(
    browser: Any, tiny: ModuleType, tmp_path: Path, size: tuple[int, int], width: int
) -> None:
    look = explain.look(tiny.run(tmp_path / "r", **SMALL), Image.new("RGB", size), device="cpu")
    file = tmp_path / "page.html"
    file.write_text(look.page(), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(file.as_uri())
    photo = page.locator(".photo").bounding_box()
    assert min(photo["width"], photo["height"]) == pytest.approx(64)
    assert max(photo["width"], photo["height"]) < max(width, 800)
    assert page.locator(".map").bounding_box() == pytest.approx(photo, abs=0.1)
    cells = page.eval_on_selector_all(".map rect", _CELLS)
    wide, tall = photo["width"], photo["height"]
    wanted = [[x0 * wide, y0 * tall, x1 * wide, y1 * tall] for x0, y0, x1, y1 in look.boxes]
    np.testing.assert_allclose(cells, wanted, atol=0.1)
    page.click(".map rect[data-index='4']")
    assert page.get_attribute(".map rect[data-index='4']", "aria-pressed") == "true"
    page.close()


def test_without_attention_it_says_so(browser: Any, tiny: ModuleType, tmp_path: Path) -> None:
    look = explain.look(tiny.run(tmp_path / "n", "nic", "plain"), tiny.PHOTO, device="cpu")
    file = tmp_path / "page.html"
    file.write_text(look.page(), encoding="utf-8")
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    page.click(".word >> nth=0")
    page.mouse.move(5, 5)
    assert look.hidden is not None
    np.testing.assert_allclose(values(page, "map"), look.hidden.changes[:, 0], atol=1e-6)
    assert "no attention at a word" in page.inner_text(".notes")
    page.close()
    assert errors == []
