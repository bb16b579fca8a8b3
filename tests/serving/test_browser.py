"""The page in a real browser: a photo chosen, dropped, pasted; words, regions, refusals."""

import base64
import contextlib
import http.server
import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image

from miacap import explain
from miacap.explain.page import SCALE

from .conftest import Served, photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide", "phone"])
def page(browser: Any, server: Served, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page; whatever the browser complains of fails the test."""
    width, scheme = request.param
    size = {"width": width, "height": 800}
    with browser.new_context(viewport=size, color_scheme=scheme) as context:
        opened = context.new_page()
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.goto(server.address)
        yield opened
        assert not [text for text in said if "status of 4" not in text]


def gradient() -> bytes:
    """A photo whose parts differ."""
    image = Image.linear_gradient("L").resize((320, 200))
    file = io.BytesIO()
    Image.merge("RGB", (image, image.rotate(180), image.rotate(90))).save(file, "PNG")
    return file.getvalue()


def seen(page: Any) -> None:
    """Wait until the page has all of a photo."""
    page.wait_for_selector("#cells button", timeout=120_000)
    page.wait_for_function("document.getElementById('status').textContent === ''")


_GIVE = """([data, event, kind]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], "photo.png", { type: kind }));
  const named = event === "drop" ? { dataTransfer: given } : { clipboardData: given };
  const maker = event === "drop" ? DragEvent : ClipboardEvent;
  document.body.dispatchEvent(new maker(event, { bubbles: true, cancelable: true, ...named }));
}"""


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_photo_gets_its_caption(page: Any, server: Served, way: str) -> None:
    data = gradient()
    expected = httpx.post(f"{server.address}/v1/caption", content=data, timeout=60).json()
    if way == "choose":
        page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": data})
    else:
        page.evaluate(_GIVE, [base64.b64encode(data).decode(), way, "image/png"])
    seen(page)
    assert page.locator("#caption").inner_text() == expected["caption"]
    words = page.locator("#words tbody button").all_inner_texts()
    assert words == [w["word"].replace("<eos>", "(end)") for w in expected["words"]]
    assert page.locator("#best li").count() == len(expected["best"]) - 1
    concepts = page.locator("#concepts button").all_inner_texts()
    assert [text.split()[0] for text in concepts] == [c["word"] for c in expected["concepts"]]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


_ALPHAS = """all => all.map((cell) => {
  const parts = getComputedStyle(cell).backgroundColor.match(/[\\d.]+/g).map(Number);
  return parts.length === 4 ? parts[3] : 1;
})"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads as the server has: sums differ with them, and rows, which are rounded to half
    precision, by so much at times that a share changes in its fourth digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_words_and_regions_show_the_numbers_of_the_look(
    page: Any, server: Served, real_run: Path, one_thread: None
) -> None:
    look = explain.look(real_run, gradient())
    assert look.hidden is not None
    maps = [one for one in look.attended[0].on_regions if one is not None][-1]
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": gradient()})
    seen(page)
    shown = []
    for place in range(2):
        page.locator("#words tbody button").nth(place).click()
        shares = page.locator("#cells button").evaluate_all("all => all.map(x => +x.dataset.share)")
        assert shares == pytest.approx(maps[place].tolist(), rel=1e-4, abs=1e-9)
        shown.append(shares)
        alphas = page.locator("#cells button").evaluate_all(_ALPHAS)
        full = [min(1.0, share * len(shares) / SCALE) for share in shares]
        assert alphas == pytest.approx([0.8 * one for one in full], abs=0.005)
        assert page.locator("#ends").inner_text() == "0 to 16 % and more"
    assert shown[0] != shown[1]
    page.locator("#cells button").nth(10).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "Hidden: row 2, column 5" in page.locator("#shown").inner_text()
    changes = page.locator("#words td.change").all_inner_texts()
    told = [float(text.replace("\u2212", "-")) for text in changes]
    assert told == pytest.approx(look.hidden.changes[11].tolist(), abs=0.0051)
    page.locator("#concepts button").first.click()
    assert "was believed in" in page.locator("#shown").inner_text()


@pytest.mark.parametrize("size", [(5_000, 3), (3, 5_000)])
def test_regions_of_a_thin_photo_can_be_seen(page: Any, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG")
    thin = {"name": "a.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.set_input_files("#file", thin)
    seen(page)
    image = page.locator("#image").bounding_box()
    assert min(image["width"], image["height"]) == pytest.approx(64)
    cells = [cell.bounding_box() for cell in page.locator("#cells button").all()]
    assert min(min(cell["width"], cell["height"]) for cell in cells) > 8
    assert cells[0]["x"] == pytest.approx(image["x"], abs=1)
    last = cells[-1]
    assert last["x"] + last["width"] == pytest.approx(image["x"] + image["width"], abs=1)
    assert last["y"] + last["height"] == pytest.approx(image["y"] + image["height"], abs=1)


def test_what_is_no_photo_is_refused_with_a_reason(page: Any) -> None:
    sent = base64.b64encode(b"<script>alert(1)</script>").decode()
    page.evaluate(_GIVE, [sent, "drop", "text/html"])
    page.wait_for_selector("#status.wrong", timeout=60_000)
    assert "not an image" in page.locator("#status").inner_text()
    assert page.locator("#answer").is_hidden()
    small = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo()}
    page.set_input_files("#file", small)  # and the next one is looked at
    seen(page)


_HEARD = """() => {
  window.heard = [];
  const status = document.getElementById("status");
  new MutationObserver(() => heard.push(status.textContent)).observe(status, { childList: true });
}"""


def test_a_screen_reader_is_told_the_caption_and_the_words_are_heads(page: Any) -> None:
    page.evaluate(_HEARD)
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": gradient()})
    seen(page)
    caption = page.locator("#caption").inner_text()
    assert any(text.startswith(caption) for text in page.evaluate("heard"))
    rows = page.locator("#words tbody tr").count()
    assert page.locator("#words tbody th[scope=row] button").count() == rows > 0


_SENDS = """address => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: address, enctype: "multipart/form-data" });
  document.body.append(form);
  form.submit();
}"""


class Foreign(http.server.BaseHTTPRequestHandler):
    """A page of somebody else on this machine: another port, no policy of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title>")

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_of_another_origin_cannot_send_a_photo(browser: Any, server: Served) -> None:
    """A form needs no leave of the server to be sent; what comes back is a refusal."""
    foreign = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=foreign.serve_forever, daemon=True).start()
    with contextlib.closing(foreign.socket), browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{foreign.server_port}/")
        with page.expect_navigation(url="**/v1/caption") as sent:
            page.evaluate(_SENDS, f"{server.address}/v1/caption")
        assert sent.value.status == 403
        assert "(Origin)" in page.locator("body").inner_text()
        foreign.shutdown()


def test_the_description_is_read_without_a_script(browser: Any, server: Served) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{server.address}/docs")
        assert "POST /v1/caption" in page.locator("main").inner_text()
        page.goto(f"{server.address}/openapi.json")
        assert json.loads(page.locator("body").inner_text())["info"]["title"] == "miacap"
