"""Listen, answer until Ctrl-C, and end; uvicorn with bounds on what a connection may do."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from miacap import terminal
from miacap.errors import MissingExtra, SettingsError
from miacap.serving.limits import Limits

try:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from miacap.serving.guard import HEADERS, is_loopback
    from miacap.serving.routes import application
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in (
        "fastapi", "starlette", "pydantic", "uvicorn", "h11", "python_multipart",
    ):  # fmt: skip
        raise
    raise MissingExtra("serve", "miacap serve") from None

__all__ = ["serve"]

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def serve(
    run: Folders,
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    **options: Any,
) -> None:
    """Serve a run, or several as an ensemble, until Ctrl-C.

    Args:
        run: as for `captioning.Pipeline`.
        port: to listen on; 0 takes a free one.
        host: the address to listen on. Any but this machine's own is told of with a warning.
        limits: what is let in; `Limits()` unless told.
        options: beam, length_penalty, device, weights and allow_download, as for
            `captioning.Pipeline`.

    Raises:
        SettingsError: the address cannot be listened on.
        RunError: a folder is no run, or cannot caption photos.
        MissingExtra: the extra [serve] is not installed.
    """
    from miacap.serving.answering import Answering

    limits = limits or Limits()
    listening = _listening(host, port)
    with contextlib.closing(listening):
        answering = Answering(run, limits, **options)
        names = () if is_loopback(host) else (socket.gethostname(),)
        app = application(answering, limits, host=host, names=names)
        config = uvicorn.Config(
            app, http=_protocol(limits), ws="none", lifespan="off", loop="asyncio",
            log_config=None, access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=limits.connections, timeout_keep_alive=5,
            timeout_graceful_shutdown=5, h11_max_incomplete_event_size=limits.header_bytes,
        )  # fmt: skip
        _tell_where(host, listening.getsockname()[1], answering.runs)
        with _logs_told(), contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    terminal.tell("stopped; nothing was written.")


def _listening(host: str, port: int) -> socket.socket:
    """Listen before the networks are loaded: a taken port is said at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(
            f"{host}, port {port}: cannot be listened on ({what}); choose another, as in "
            "--port 8001, or --port 0 for a free one."
        ) from None
    return listening


def _tell_where(host: str, port: int, runs: Sequence[str]) -> None:
    if not is_loopback(host):
        terminal.tell(
            f"warning: {host} can be reached from other machines: whoever reaches it may send "
            "photos, without a password and without encryption."
        )
    name = f"[{host}]" if ":" in host else host
    terminal.result(f"http://{name}:{port}")
    terminal.flush()
    terminal.tell(f"serving {' + '.join(runs)}; Ctrl-C ends it.")


@contextlib.contextmanager
def _logs_told() -> Iterator[None]:
    """Have uvicorn's errors printed as all else is; what strangers send wrong is not told."""

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.tell(f"miacap serve: {record.getMessage()}")

    logger = logging.getLogger("uvicorn")
    handler, propagated = Told(logging.ERROR), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _protocol(limits: Limits) -> type[H11Protocol]:
    """Give uvicorn's protocol with bounds on connections and on the time of a request's headers.

    uvicorn by itself lets a connection stay silent for ever before its first request is whole.
    """

    class Bounded(H11Protocol):
        _late: asyncio.TimerHandle | None = None
        _heard = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > 2 * limits.connections:  # from one on uvicorn answers 503
                transport.abort()
            else:
                self._watch()

        def data_received(self, data: bytes) -> None:
            self._heard = True
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Wait for the end of the headers from their first byte on."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._forget()
            elif self._late is None:
                self._late = self.loop.call_later(limits.header_seconds, self._close)

        def _forget(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _close(self) -> None:
            self._late = None
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                return
            if not self._heard:  # browsers open connections that they may not need
                self.transport.close()
            else:
                self.send_error(408, "The request's headers took too long; send it again.")

        def send_400_response(self, msg: str) -> None:
            self.send_error(
                400, f"No request of HTTP that is read here, or headers above "
                f"{limits.header_bytes:,} bytes ({msg})"
            )  # fmt: skip

        def send_error(self, status: int, sentence: str) -> None:
            """Answer what is no request, and close."""
            content = json.dumps({"error": sentence}).encode()
            given = {**HEADERS, "Content-Type": "application/json", "Connection": "close"}
            head = [(name.encode(), value.encode()) for name, value in given.items()]
            head.append((b"Content-Length", str(len(content)).encode()))
            events = (
                h11.Response(status_code=status, headers=head),
                h11.Data(data=content),
                h11.EndOfMessage(),
            )
            with contextlib.suppress(h11.LocalProtocolError):  # an answer has begun already
                self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
            self.transport.close()

    return Bounded
