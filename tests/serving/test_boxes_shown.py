"""The page at regions that lie over one another; what it asks for is answered by the test."""

import base64
import importlib.resources
import io
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from miacap.explain.page import SCALE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_NAMES = ("chromium", "chromium-browser", "google-chrome")

BOXES = [[0, 0, 1, 1], [0.3, 0.3, 0.7, 0.7], [0.4, 0.4, 0.6, 0.6], [0.1, 0.1, 0.9, 0.9]]
SHARES = [0.125, 0.125, 0.5, 0.25]
INSIDE = [2, 1, 3, 0]
"""The boxes in the middle, the smallest first."""


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (90, 120, 90)).save(file, "JPEG")
    return file.getvalue()


WORD = {"word": "dog", "text": "dog", "log_probability": -0.5}
ANSWER = {"caption": "A dog.", "log_probability": -0.5, "confidence": None, "words": [WORD],
          "concepts": [], "best": [], "notes": []}  # fmt: skip
LOOK = {
    **ANSWER,
    "photo": {
        "width": 300, "height": 200,
        "jpeg": "data:image/jpeg;base64," + base64.b64encode(jpeg()).decode(),
    },
    "boxes": BOXES, "columns": 0, "regions": [f"box {n}" for n in range(1, 5)],
    "attended": [{"on_regions": [[SHARES]]}],
    "hidden": {"changes": [[-0.1], [-0.2], [-0.3], [-0.4]], "with_it": ""},
}  # fmt: skip


def answered(route: Any) -> None:
    name = route.request.url.rpartition("/")[2].partition("?")[0]
    told: dict[str, Any] = {"health": {"runs": ["r"]}, "caption": ANSWER, "explain": LOOK}
    if name in told:
        route.fulfill(body=json.dumps(told[name]), content_type="application/json")
        return
    file = importlib.resources.files("miacap.serving") / "page" / (name or "index.html")
    kinds = {"css": "text/css", "js": "text/javascript"}
    kind = kinds.get(name.rpartition(".")[2], "text/html")
    route.fulfill(body=file.read_text(encoding="utf-8"), content_type=kind)


@pytest.fixture(params=[1280, 390])
def page(request: pytest.FixtureRequest) -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": request.param, "height": 844})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.route("**/*", answered)
        opened.goto("http://miacap.invalid/")
        sent = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}
        opened.set_input_files("#file", sent)
        opened.wait_for_selector("#cells button")
        yield opened
        browser.close()
        assert errors == []


_DEPTH = """([x, y]) => {
  const canvas = document.getElementById("paint");
  const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
  const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, ...at, 0, 0, 1, 1);
  return copy.getImageData(0, 0, 1, 1).data[3] / 255;
}"""


def test_boxes_do_not_add_up_and_all_are_reached(page: Any) -> None:
    for point, share in (((0.5, 0.5), 0.5), ((0.35, 0.35), 0.25), ((0.05, 0.05), 0.125)):
        wanted = 0.8 * min(1.0, share * len(SHARES) / SCALE)
        assert page.evaluate(_DEPTH, list(point)) == pytest.approx(wanted, abs=0.003)
    seen = page.locator("#cells").bounding_box()
    middle = seen["x"] + seen["width"] / 2, seen["y"] + seen["height"] / 2
    for index in INSIDE:  # again at the same place: the next larger one
        page.mouse.click(*middle)
        assert f"Hidden: box {index + 1}." in page.inner_text("#shown")
        assert page.locator("#cells button[aria-pressed=true]").count() == 1
        assert page.inner_text("#words td.change") == f"\u2212{(index + 1) / 10:.2f}"
    page.mouse.click(*middle)
    assert "Hidden" not in page.inner_text("#shown")
    page.locator("#cells button").first.focus()
    for index in range(1, 4):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert f"Hidden: box {index + 1}." in page.inner_text("#shown")
    page.keyboard.press("Enter")
    assert "Hidden" not in page.inner_text("#shown")
