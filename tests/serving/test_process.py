"""A server in a process of its own: hostile requests, slow ones, Ctrl-C."""

import contextlib
import io
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from miacap import load

from . import hostile
from .conftest import Served, photo, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def answer(port: int, sent: bytes) -> tuple[int, bytes]:
    """Send bytes and read until the server has answered and closed, or says nothing more."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)  # it may have answered before all was sent
        got = b""
        try:
            while b"\r\n\r\n" not in got or not _whole(got):
                part = connection.recv(65_536)
                if not part:
                    break
                got += part
        except ConnectionResetError:
            pass
    head, _, body = got.partition(b"\r\n\r\n")
    # What follows is the answer to what followed: bytes beyond a length are another request.
    length = int(_length(head) or len(body))
    return int(head.split()[1]) if head else 0, body[:length]


def _whole(got: bytes) -> bool:
    head, _, body = got.partition(b"\r\n\r\n")
    length = _length(head)
    return bool(length) and len(body) >= int(length)


def _length(head: bytes) -> bytes:
    found = re.search(rb"content-length: (\d+)", head.lower())
    return found[1] if found else b""


def memory(served: Served, name: str) -> int:
    """Bytes of memory of the process: VmRSS now, VmHWM at most."""
    text = Path(f"/proc/{served.process.pid}/status").read_text()
    return 1024 * int(next(line for line in text.splitlines() if line.startswith(name)).split()[1])


def test_a_real_photo_gets_the_caption_of_the_command(server: Served, real_run: Path) -> None:
    for kind in ("JPEG", "PNG"):
        data = photo(kind, (300, 200))
        told = httpx.post(f"{server.address}/v1/caption", content=data, timeout=60).json()
        assert told["caption"] == load(real_run).caption(data)
        assert len(told["regions"]) == 49


def test_a_thousand_hostile_requests_get_a_reason_each(server: Served) -> None:
    good = {"content": photo("JPEG", (200, 100)), "timeout": 60.0}
    assert httpx.post(f"{server.address}/v1/caption", **good).status_code == 200
    before = memory(server, "VmRSS")

    def one(drawn: tuple[str, bytes]) -> str | None:
        kind, sent = drawn
        status, body = answer(server.port, sent)
        try:
            reason = json.loads(body)["error"]
        except (ValueError, KeyError):
            reason = ""
        return (
            None
            if 400 <= status < 500 and len(reason) > 10
            else f"{kind}: {status} {body[:200]!r} to {sent[:300]!r}"
        )

    with ThreadPoolExecutor(6) as several:
        wrong = [said for said in several.map(one, hostile.requests(1000)) if said]
    assert not wrong, "\n".join(wrong[:10])
    assert server.process.poll() is None
    assert httpx.post(f"{server.address}/v1/caption", **good).status_code == 200
    assert memory(server, "VmHWM") - before < 400 << 20


_BODIES = 10
_MOST = 19_900_000


def large(form: bool) -> tuple[bytes, bytes]:
    """A photo that fills a body, and its type; a form holds it twice while it is read."""
    side = int((_MOST - 1000) ** 0.5 / 3**0.5) // 4 * 4
    file = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 90)).save(file, "BMP")
    data = file.getvalue()
    assert _MOST - 100_000 < len(data) < _MOST
    if not form:
        return data, b"image/bmp"
    head = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.bmp"\r\n\r\n'
    return head + data + b"\r\n--b--\r\n", b"multipart/form-data; boundary=b"


@pytest.mark.parametrize("form", [False, True], ids=["raw", "form"])
def test_memory_is_bounded_with_as_many_large_photos_as_are_let_in(
    real_run: Path, form: bool
) -> None:
    body, kind = large(form)
    sent = hostile.request(body, kind)
    with served("-m", "miacap", "serve", "--run", real_run, "--port", 0) as one:
        assert answer(one.port, hostile.request(photo(), b"image/jpeg"))[0] == 200
        before = memory(one, "VmRSS")
        with ThreadPoolExecutor(_BODIES) as several:
            codes = list(several.map(lambda _: answer(one.port, sent)[0], range(_BODIES)))
        grown = memory(one, "VmHWM") - before
    assert codes == [200] * _BODIES
    assert grown < 600 << 20  # measured: 359 MB raw, 395 MB as forms


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_page_of_docs_get_a_caption(server: Served, tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
    lines = re.findall(r"^curl .*", page.read_text(encoding="utf-8"), re.M)
    assert len(lines) == 2
    (tmp_path / "photo.jpg").write_bytes(photo())
    for line in lines:
        command = shlex.split(line.replace("http://127.0.0.1:8000", server.address))
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        assert json.loads(done.stdout)["caption"]


def test_slow_headers_are_not_waited_for(server: Served) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        got = b""
        for letter in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 1000:
            try:
                connection.send(bytes([letter]))
                connection.settimeout(0.1)
                got = connection.recv(4096)
                break
            except TimeoutError:
                continue
        connection.settimeout(30)
        while part := connection.recv(4096):  # until it closes
            got += part
    assert b" 408 " in got.split(b"\r\n")[0] and b"took too long" in got
    assert 0.9 < time.monotonic() - began < 10


def test_a_slow_body_is_not_waited_for(server: Served) -> None:
    sent = hostile.request(b"\xff\xd8 and then nothing", length=b"5000")
    began = time.monotonic()
    status, body = answer(server.port, sent)
    assert status == 408 and b"did not arrive within 1 seconds" in body
    assert time.monotonic() - began < 10


def test_many_silent_connections_keep_nobody_out(server: Served) -> None:
    """They are closed after a second; until then others may be told to come back."""
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(f"{server.address}/health", timeout=5).status_code == 200:
                break
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for one in silent:
        one.close()


def test_ctrl_c_ends_it(real_run: Path) -> None:
    command = ("-m", "miacap", "serve", "--run", real_run, "--port", 0)
    with served(*command) as one:
        assert httpx.get(f"{one.address}/health", timeout=30).json()["runs"] == ["run"]
        one.process.send_signal(signal.SIGINT)
        out, err = one.process.communicate(timeout=60)
    assert one.process.returncode == 0
    assert out == "" and err.splitlines()[-1] == "stopped; nothing was written."
    assert "Traceback" not in err
