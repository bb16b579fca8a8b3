"""A connection, with bounds on what it may do and for how long.

uvicorn by itself lets one stay silent for ever before its first request is whole, lets another take
an answer as slowly as it likes, and refuses what is too much with plain text.
"""

import asyncio
import contextlib
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from miacap.serving.guard import HEADERS
from miacap.serving.limits import Limits

__all__ = ["Bounded", "bounded"]

_LOOKED_SECONDS = 1.0


class Bounded(H11Protocol):
    """uvicorn's protocol of a connection, within `limits`."""

    limits = Limits()
    _late: asyncio.TimerHandle | None = None
    _look: asyncio.TimerHandle | None = None
    _unread_since: float | None = None
    _heard = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or close at once where there are far too many."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self.limits.connections:  # fewer are told, see `Guard`
            transport.abort()
        else:
            self._watch()
            self._look_at_reader()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._heard = True
        full = len(self.connections) > self.limits.connections
        self.app_state = {**self.app_state, "full": full}
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Wait for the end of the headers from their first byte on."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(self.limits.header_seconds, self._close)

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

    def _look_at_reader(self) -> None:
        """Drop whoever has not taken an answer in time; a few bytes now and then are no excuse."""
        now = self.loop.time()
        if self.transport.get_write_buffer_size() == 0:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since >= self.limits.read_seconds:
            self.transport.abort()
            return
        wait = min(_LOOKED_SECONDS, self.limits.read_seconds)
        self._look = self.loop.call_later(wait, self._look_at_reader)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        self.send_error(
            400, f"No request of HTTP that is read here, or headers above "
            f"{self.limits.header_bytes:,} bytes ({msg})"
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


def bounded(within: Limits) -> type[H11Protocol]:
    """Give the protocol with these limits; uvicorn makes one for each connection."""

    class Within(Bounded):
        limits = within

    return Within
