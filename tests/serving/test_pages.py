"""The pages: whole by themselves, nothing from elsewhere, and the description says what is true."""

import re
from pathlib import Path
from typing import Any

import pytest

from miacap import serving
from miacap.serving.reference import reference

from .conftest import ask

FILES = Path(serving.__file__).with_name("page")


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [("/", "index.html", "text/html"), ("/page.css", "page.css", "text/css"),
     ("/page.js", "page.js", "text/javascript")],
)  # fmt: skip
def test_the_files_are_sent_as_they_are(app: Any, path: str, name: str, kind: str) -> None:
    answer = ask(app, "GET", path)
    assert answer.content == (FILES / name).read_bytes()
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["/", "/docs", "/page.css", "/page.js"])
def test_nothing_comes_from_elsewhere_and_no_script_is_inline(app: Any, path: str) -> None:
    text = ask(app, "GET", path).text
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", text)
    if path in ("/", "/docs"):
        assert not re.search(r"<script(?! src=)|<style|\son\w+=|\sstyle=", text)


def test_text_from_the_server_is_never_set_as_html() -> None:
    script = (FILES / "page.js").read_text(encoding="utf-8")
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert unsafe not in script


def test_the_description_names_every_address_and_answer(app: Any) -> None:
    schema = ask(app, "GET", "/openapi.json").json()
    assert set(schema["paths"]) == {"/v1/caption", "/v1/explain", "/health"}
    for path in ("/v1/caption", "/v1/explain"):
        told = schema["paths"][path]["post"]
        assert {"400", "403", "408", "413", "415", "421", "422", "503"} < set(told["responses"])
        assert "HTTPValidationError" not in str(told)
        assert set(told["requestBody"]["content"]) == {
            "image/*", "application/octet-stream", "multipart/form-data",
        }  # fmt: skip
    page = ask(app, "GET", "/docs").text
    for said in ("POST /v1/caption", "POST /v1/explain", "GET /health", "Captioned", "Retry-After"):
        assert said in page


def test_the_reference_shows_text_as_text() -> None:
    schema = {
        "info": {"title": "<b>", "version": "1"},
        "paths": {"/<i>": {"get": {"summary": "<u>", "responses": {
            "200": {"description": "<s>"}}}}},
    }  # fmt: skip
    page = reference(schema)
    assert not re.search(r"<[bius]>", page) and "&lt;s&gt;" in page
