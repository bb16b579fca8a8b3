"""Connections of a real server in this process: too many, and those that do not read."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.responses import Response

from miacap.serving import Limits
from miacap.serving.guard import HEADERS, Guard
from miacap.serving.server import configured

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextlib.contextmanager
def serving(limits: Limits, size: int) -> Iterator[tuple[uvicorn.Server, int]]:
    """Serve an answer of so many bytes."""

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await Response(bytes(size))(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(configured(Guard(answers, "127.0.0.1", (), limits), limits))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield server, listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def received(connection: socket.socket) -> bytes:
    """All that comes until the connection ends, however it ends."""
    got = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            got += part
    return bytes(got)


def until(what: Any) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.02)


def test_one_connection_too_many_is_told_so_as_all_else_is() -> None:
    with serving(Limits(connections=2), 3) as (server, port):
        others = [connected(port) for _ in range(2)]
        until(lambda: len(server.server_state.connections) == 2)
        for one in others:
            one.sendall(GET)
            assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
        with connected(port) as third:
            third.sendall(GET)
            head, _, body = received(third).partition(b"\r\n\r\n")  # it is closed at once
        others.pop().close()
        until(lambda: len(server.server_state.connections) == 1)
        with connected(port) as again:
            again.sendall(GET)
            assert again.recv(4096).startswith(b"HTTP/1.1 200 ")
        others.pop().close()
    lines = head.decode().split("\r\n")
    told = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    assert lines[0].startswith("HTTP/1.1 503 ") and told["retry-after"] == "5"
    assert told["content-type"] == "application/json"
    assert {name: told[name.lower()] for name in HEADERS} == HEADERS
    assert json.loads(body) == {"error": "There are too many connections now; try again soon."}


@pytest.mark.parametrize("reads", [False, True])
def test_who_does_not_read_an_answer_is_dropped(reads: bool) -> None:
    size = 30_000_000
    with serving(Limits(read_seconds=0.5), size) as (server, port), connected(port) as connection:
        connection.sendall(GET)
        until(lambda: server.server_state.connections)
        if reads:
            got = bytearray()
            while len(got) < size:
                got += connection.recv(1 << 20)
            time.sleep(0.7)
            assert len(server.server_state.connections) == 1  # it is kept for another request
        else:
            until(lambda: not server.server_state.connections)
            assert len(received(connection)) < size
