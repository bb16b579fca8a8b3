"""Boxes of a detector in a browser: they lie over one another, and are many."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from miacap import explain
from miacap.data import read
from miacap.explain import Look
from miacap.explain.page import SCALE
from miacap.visual import decode, detectors

pytestmark = pytest.mark.slow

SMALL = {"heads": 2, "inner": 12}
BOXES = torch.tensor(
    [
        [0.0, 0.0, 1.0, 1.0],  # the whole photo, as the first of a detector's rows is
        [0.1, 0.1, 0.9, 0.9],
        [0.4, 0.4, 0.6, 0.6],
        [0.3, 0.3, 0.7, 0.7],
        [0.5, 0.0, 1.0, 0.5],
        [0.5, 0.0, 1.0, 0.5],  # of two classes, say
    ]
)
INSIDE = [2, 3, 1, 0]
"""The boxes at the point (0.45, 0.55), the smallest first."""


@pytest.fixture
def look(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    monkeypatch.setattr(tiny.MadeUp, "boxes", BOXES)
    return explain.look(tiny.run(tmp_path / "r", **SMALL), tiny.PHOTO, device="cpu")


@contextmanager
def opened(browser: Any, file: Path, width: int = 1280, **options: Any) -> Iterator[Any]:
    """Open a page; whatever it complains of fails the test."""
    with browser.new_context(viewport={"width": width, "height": 844}, **options) as context:
        page = context.new_page()
        troubles: list[str] = []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(file.as_uri())
        yield page
        assert troubles == []


@pytest.fixture
def file(look: Look, tmp_path: Path) -> Path:
    assert look.columns == 0
    page = tmp_path / "page.html"
    page.write_text(look.page(), encoding="utf-8")
    return page


_PIXEL = """([x, y]) => {
  const canvas = document.querySelector(".paint");
  const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
  const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, ...at, 0, 0, 1, 1);
  return [...copy.getImageData(0, 0, 1, 1).data];
}"""
_POINTS = [(0.05, 0.95), (0.2, 0.2), (0.35, 0.35), (0.45, 0.55), (0.55, 0.45), (0.8, 0.2)]


def strongest(look: Look, values: Any, point: tuple[float, float]) -> float:
    """Give the value of largest size among the boxes that cover a point."""
    x, y = point
    covering = [
        value for value, (x0, y0, x1, y1) in zip(values, look.boxes, strict=True)
        if x0 <= x < x1 and y0 <= y < y1
    ]  # fmt: skip
    return float(max(covering, key=abs))


def test_each_place_has_the_colour_of_its_strongest_box(
    browser: Any, look: Look, file: Path
) -> None:
    assert look.hidden is not None
    with opened(browser, file) as page:
        for place in range(len(look.words)):
            page.click(f".word >> nth={place}")
            page.mouse.move(5, 5)
            for point in _POINTS:
                share = strongest(look, look.attended[0].on_regions[-1][place], point)
                depth = page.evaluate(_PIXEL, list(point))[3] / 255
                assert depth == pytest.approx(0.85 * min(1.0, share * 6 / SCALE), abs=0.003)
        page.check("input[value=hide]")
        for point in _POINTS:
            change = strongest(look, look.hidden.changes[:, place], point)
            red, _, blue, depth = page.evaluate(_PIXEL, list(point))
            assert depth / 255 == pytest.approx(0.85 * min(1.0, abs(change) ** 0.5), abs=0.003)
            assert depth < 20 or (blue > red) == (change > 0)
        assert not any(
            float(opacity) for opacity in page.eval_on_selector_all(
                ".map rect", "all => all.map(e => e.getAttribute('fill-opacity'))")
        )  # fmt: skip


@pytest.mark.parametrize("touch", [False, True])
def test_again_at_the_same_place_comes_the_next_larger_box(
    browser: Any, look: Look, file: Path, touch: bool
) -> None:
    assert look.hidden is not None
    with opened(browser, file, 390 if touch else 1280, has_touch=touch) as page:
        page.locator(".map").scroll_into_view_if_needed()
        seen = page.locator(".map").bounding_box()
        at = seen["x"] + 0.45 * seen["width"], seen["y"] + 0.55 * seen["height"]
        for index in [*INSIDE, INSIDE[0]]:
            (page.touchscreen.tap if touch else page.mouse.click)(*at)
            pressed = page.locator(".map rect[aria-pressed=true]")
            assert [
                int(n) for n in pressed.evaluate_all("all => all.map(e => e.dataset.index)")
            ] == [index]
            assert page.input_value(".boxes-list") == str(index)
            told = page.eval_on_selector_all(".look .word", "all => all.map(e => e.dataset.value)")
            np.testing.assert_allclose(
                [float(value) for value in told], look.hidden.changes[index], atol=1e-6
            )


def test_the_list_reaches_every_box_by_keyboard(browser: Any, look: Look, file: Path) -> None:
    with opened(browser, file) as page:
        names = page.locator(".boxes-list option").all_inner_texts()
        assert names == ["none", *(look.region_name(index) for index in range(6))]
        assert names[1] == "the whole photo"
        page.focus(".boxes-list")
        for index in range(6):
            page.keyboard.press("ArrowDown")
            assert page.locator(".map rect.chosen").get_attribute("data-index") == str(index)
        page.select_option(".boxes-list", "")
        assert page.locator(".map rect.chosen").count() == 0


@pytest.fixture
def real(tiny: ModuleType, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with the boxes that PicoDet finds in a photo, the whole photo before them."""
    photo = decode(read(shared / "flickr8k").photos.read("1001773457_577c3a7d70.jpg"))
    detector = detectors.load(shared / "detector" / "picodet_s_416_coco.onnx", "cpu")
    boxes = detector.detect(detector.see(photo)).distinct().boxes[:60]
    monkeypatch.setattr(tiny.MadeUp, "boxes", torch.cat([BOXES[:1], boxes]))
    look = explain.look(tiny.run(tmp_path / "r", "spatial-attention", "plain"), photo, device="cpu")
    assert len(look.boxes) == 1 + len(boxes) >= 37
    page = tmp_path / "page.html"
    page.write_text(look.page(), encoding="utf-8")
    return page


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_many_real_boxes_are_all_reached_and_fit(
    browser: Any, real: Path, width: int, scheme: str
) -> None:
    with opened(browser, real, width, color_scheme=scheme) as page:
        count = page.locator(".map rect").count()
        page.locator(".map rect[data-index='0']").focus()
        reached = {0}
        for _ in range(count - 1):
            page.keyboard.press("ArrowRight")
            reached.add(int(page.locator(".map rect.chosen").get_attribute("data-index")))
        assert reached == set(range(count))
        page.select_option(".boxes-list", str(count - 1))
        assert page.locator(".map rect.chosen").get_attribute("data-index") == str(count - 1)
        page.click(".word >> nth=0")
        page.mouse.move(5, 5)
        assert page.locator(".map rect.strong").count() == 3
        assert page.locator(".map rect.strongest").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
