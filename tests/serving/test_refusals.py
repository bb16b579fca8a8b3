"""What is refused: bodies, photos, names, origins; each with a sentence, none without headers."""

import asyncio
import struct
import zlib
from typing import Any

import pytest

from miacap.errors import RunError, SettingsError
from miacap.serving import Answering, Limits, application
from miacap.serving.guard import HEADERS

from .conftest import BASE, ask, photo, requested


def form(*parts: str, end: str = "--x--\r\n") -> dict[str, Any]:
    """A request with a form of these parts, each a head and what follows it."""
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + end
    return {
        "content": body.encode(),
        "headers": {"content-type": "multipart/form-data; boundary=x"},
    }


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises so many pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + size, b"IDAT" + zlib.compress(bytes(1000)), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


FILE = 'Content-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
LONG = 300 * "b"
FIELD = 'Content-Disposition: form-data; name="title"\r\n\r\n'
BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "There is no photo in the request"),
    "no image": ({"content": b"hello"}, 422, "not an image"),
    "cut": ({"content": photo("JPEG", (500, 400))[:900]}, 422, "cut off"),
    "svg": ({"content": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, 422, "not an image"),
    "html": (
        {"content": b"<html>", "headers": {"content-type": "text/html"}}, 415, "holds no photo",
    ),
    "json": ({"json": {"photo": "x"}}, 415, "'application/json' holds no photo"),
    "packed": (
        {"content": photo(), "headers": {"content-encoding": "gzip"}}, 415, "send it plain",
    ),
    "too many pixels": ({"content": png_of(7072, 7071)}, 413, "7072 x 7071 pixels"),
    "far more pixels": ({"content": png_of(60_000, 60_000)}, 422, "far more pixels"),
    "wrong parameter": ({"content": photo(), "params": {"best": "99"}}, 422, "best: "),
    "no boundary": (
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "no boundary",
    ),
    "endless boundary": (
        {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=" + LONG}},
        400, "Boundary length",
    ),
    "broken form": (form(end="nonsense"), 400, "The form is broken"),
    "cut form": (form(FILE + "data", end=""), 400, "The form is cut off"),
    "field alone": (form(FIELD + "data"), 400, "There is no photo"),
    "empty file": (form(FILE), 400, "There is no photo"),
    "two files": (form(FILE + "a", FILE + "b"), 400, "several files"),
    "many parts": (form(*[FIELD + "a"] * 21), 400, "more than 20 parts"),
    "many headers": (form("A: b\r\n" * 30 + FILE + "a"), 400, "The form is broken"),
    "long header": (form(f"A: {'b' * 9999}\r\n" + FILE + "a"), 400, "The form is broken"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/v1/caption", "/v1/explain"])
def test_a_body_that_holds_no_photo_is_refused(app: Any, name: str, path: str) -> None:
    request, status, said = BODIES[name]
    if name == "wrong parameter" and path == "/v1/explain":
        request, said = {**request, "params": {"hide": "perhaps"}}, "hide: "
    answer = ask(app, "POST", path, **request)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert said in answer.json()["error"]


def test_a_photo_of_as_many_pixels_as_are_read_is_looked_at(answering: Answering) -> None:
    limited = Answering.__new__(Answering)
    limited.__dict__ |= answering.__dict__ | {"_limits": Limits(pixels=90 * 60)}
    app = application(limited)
    assert ask(app, "POST", "/v1/caption", content=photo()).status_code == 200
    more = photo("PNG", (91, 60))
    assert ask(app, "POST", "/v1/caption", content=more).status_code == 413


# sizes and times


def test_headers_beyond_the_limit_are_refused_however_they_come(app: Any) -> None:
    for headers in ({"x": "a" * 17_000}, {f"x-{n}": "a" * 20 for n in range(700)}):
        answer = ask(app, "GET", "/health", headers=headers)
        assert answer.status_code == 431 and "16,384 bytes" in answer.json()["error"]
    assert ask(app, "GET", "/health", params={"x": "a" * 17_000}).status_code == 431
    assert ask(app, "GET", "/health", headers={"x": "a" * 15_000}).status_code == 200


class Sender:
    """A body, endless unless it has an end, that counts what was taken of it."""

    def __init__(self, seconds: float = 0.0, end: int = 0) -> None:
        self.taken, self._seconds, self._end = 0, seconds, end

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self._seconds)
        self.taken += 1000
        return {"type": "http.request", "body": bytes(1000), "more_body": self.taken != self._end}


async def streamed(app: Any, body: Sender, **headers: str) -> tuple[int, dict[str, str]]:
    """Send a body bit by bit, as a socket does; httpx's own transport reads ahead."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(b"host", b"127.0.0.1:8000"), *((k.encode(), v.encode()) for k, v in headers.items())]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/caption", "raw_path": b"/v1/caption",
        "query_string": b"", "headers": lines, "http_version": "1.1", "scheme": "http",
        "root_path": "", "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await app(scope, body.receive, send)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}


def test_a_body_without_end_is_not_read_to_its_end(answering: Answering) -> None:
    app, body = application(answering, Limits(body_bytes=50_000)), Sender()
    status, headers = asyncio.run(streamed(app, body))
    assert status == 413
    assert 50_000 < body.taken <= 160_000  # it is read a little further, so that the answer arrives
    assert headers["connection"] == "close"


def test_a_body_a_little_too_large_is_read_so_that_the_refusal_arrives(
    answering: Answering,
) -> None:
    app, body = application(answering, Limits(body_bytes=50_000)), Sender(end=90_000)
    status, headers = asyncio.run(streamed(app, body))
    assert (status, body.taken) == (413, 90_000) and "connection" not in headers


def test_a_length_above_the_limit_is_refused_by_the_header(answering: Answering) -> None:
    app, body = application(answering, Limits(body_bytes=50_000)), Sender()
    status, _ = asyncio.run(streamed(app, body, **{"content-length": "60000"}))
    assert status == 413 and body.taken <= 101_000


def test_exactly_the_limit_is_read(answering: Answering) -> None:
    data = photo("PNG")
    for most, status in ((len(data), 200), (len(data) - 1, 413)):
        app = application(answering, Limits(body_bytes=most))
        assert ask(app, "POST", "/v1/caption", content=data).status_code == status


def test_a_slow_body_is_refused(answering: Answering) -> None:
    app = application(answering, Limits(body_seconds=0.1))
    body = Sender(0.02)
    status, headers = asyncio.run(streamed(app, body))
    assert (status, headers["connection"]) == (408, "close")
    assert body.taken <= 6000


def test_limits_are_above_0() -> None:
    with pytest.raises(SettingsError, match="at_once is above 0, not 0"):
        Limits(at_once=0)


# names and origins


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "evil@127.0.0.1", "10.0.0.7",
     "localhost.", "", "[::1", "127.0.0.1:8000, evil"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json"])
def test_another_name_in_host_is_refused(app: Any, host: str, path: str) -> None:
    answer = ask(app, "GET", path, headers={"host": host})
    assert answer.status_code == 421 and "(Host)" in answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LocalHost", "[::1]:8000"])
def test_its_own_names_are_let_through(app: Any, host: str) -> None:
    assert ask(app, "GET", "/health", headers={"host": host}).status_code == 200


def test_where_other_machines_reach_it_addresses_are_names_too(answering: Answering) -> None:
    app = application(answering, host="0.0.0.0", names=["desk"])
    for host, status in (("10.0.0.7:80", 200), ("desk", 200), ("evil.example", 421)):
        assert ask(app, "GET", "/health", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:3000"},
        {"origin": "https://127.0.0.1"}, {"origin": "http://127.0.0.1"},
        {"origin": "ftp://127.0.0.1:8000"}, {"origin": "https://captions.example.org"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ],
)  # fmt: skip
def test_a_page_of_another_origin_sends_nothing(app: Any, headers: dict[str, str]) -> None:
    answer = ask(app, "POST", "/v1/caption", content=photo(), headers=headers)
    assert answer.status_code == 403 and "(Origin)" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"origin": BASE}, {"origin": BASE, "sec-fetch-site": "same-origin"},
        {"origin": "https://127.0.0.1:8000"},
        {"origin": "https://localhost", "host": "localhost:443"},
    ],
)  # fmt: skip
def test_its_own_page_and_programs_may(app: Any, headers: dict[str, str]) -> None:
    answer = ask(app, "POST", "/v1/caption", content=photo(), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["captions.example.org", "Captions.example.org:443", "127.0.0.1"])
@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://captions.example.org", 200), ("http://captions.example.org", 200),
     ("https://evil.example", 403), ("https://captions.example.org:8443", 403),
     ("https://captions.example.org.evil.example", 403), ("null", 403)],
)  # fmt: skip
def test_a_server_with_tls_before_it_may_pass_its_page_on(
    answering: Answering, host: str, origin: str, status: int
) -> None:
    """Whether it leaves the browser's Host as it is or sends one of its own."""
    app = application(answering, names=["Captions.example.org"])
    headers = {"host": host, "origin": origin}
    answer = ask(app, "POST", "/v1/caption", content=photo(), headers=headers)
    assert answer.status_code == status


# what every answer carries


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("GET", "/health", 200), ("GET", "/none", 404), ("GET", "/v1/caption", 405),
     ("POST", "/v1/caption", 400), ("OPTIONS", "/v1/caption", 405), ("DELETE", "/", 405),
     ("GET", "/docs", 200), ("GET", "/redoc", 404), ("GET", "/page.js/../../answers.py", 404)],
)  # fmt: skip
def test_every_answer_has_the_headers_and_no_cors(
    app: Any, method: str, path: str, status: int
) -> None:
    answer = ask(app, method, path, headers={"origin": BASE})
    assert answer.status_code == status
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert not any(name.startswith("access-control") for name in answer.headers)
    if status >= 400:
        assert list(answer.json()) == ["error"] and answer.json()["error"].endswith(".")


def test_a_run_at_fault_is_no_fault_of_the_photo(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(*_: object, **__: object) -> None:
        raise RunError("run: the weights are absent; copy them too.")

    monkeypatch.setattr(answering._looker, "look", look)
    answer = ask(application(answering), "POST", "/v1/caption", content=photo())
    assert answer.status_code == 500 and "weights" not in answer.text
    assert "something is wrong with the run" in answer.json()["error"].lower()
    assert "copy them too." in capsys.readouterr().err


def test_a_fault_of_ours_is_told_here_and_not_to_whoever_asked(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        runs = ("run",)

        def caption(self, *_: object) -> None:
            raise RuntimeError("a secret of ours")

    async def twice() -> list[Any]:
        app = application(Broken())  # type: ignore[arg-type]
        return [await requested(app, "POST", "/v1/caption", content=photo()) for _ in range(2)]

    for answer in asyncio.run(twice()):
        assert answer.status_code == 500 and "secret" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "a secret of ours" in capsys.readouterr().err
