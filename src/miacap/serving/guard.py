"""What every request passes before anything else, and what every answer carries.

Host      only names of this server: a page that makes its own name lead here (DNS rebinding)
          is refused
Origin    with POST only our own pages, http or (behind a server with TLS) https: no other page
          can have a browser's user send a photo
answers   a strict Content-Security-Policy, nosniff, no CORS, nothing kept in caches
"""

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from miacap import terminal
from miacap.serving.limits import Limits
from miacap.serving.names import host_name, is_loopback
from miacap.serving.refusals import Refused, told

__all__ = ["HEADERS", "Guard"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_DRAINED_SECONDS = 3.0
_PORTS = {"http": "80", "https": "443"}
"""Schemes of our own pages, and the port that an origin leaves out."""
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Guard:
    """Wraps an application.

    Args:
        app: what is guarded.
        host: the address that is listened on.
        names: further names by which this server may be called. A server before it, with TLS,
            may leave them in `Origin` alone.
        limits: how much of a refused body is read, so that the refusal arrives.
    """

    def __init__(self, app: ASGIApp, host: str, names: Iterable[str], limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._any_address = not is_loopback(host)
        further = {name.lower() for name in names}
        self._names = {*_LOCAL, host.lower(), *further}
        self._origins = {f"{scheme}://{name}" for name in further for scheme in _PORTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._limits)
        answer = _Answer(send, body)
        refused = self._refusal(scope)
        if refused is not None:
            refusal = told(refused)
            if refused.status == 503:  # too many connections: this one makes room
                refusal.headers["connection"] = "close"
            await refusal(scope, body.receive, answer.send)
            return
        try:
            await self._app(scope, body.receive, answer.send)
        except Exception as error:
            terminal.tell_fault(type(error), error, error.__traceback__)
            if not answer.started:
                fault = Refused(
                    500, "Something is wrong with the server itself; it was told there."
                )
                await told(fault)(scope, body.receive, answer.send)

    def _refusal(self, scope: Scope) -> Refused | None:
        headers = scope["headers"]
        if scope.get("state", {}).get("full"):
            return Refused(503, "There are too many connections now; try again soon.", 5)
        size = len(scope["raw_path"]) + len(scope["query_string"])
        # uvicorn's own bound holds for headers that come in pieces.
        if size + sum(len(n) + len(v) + 4 for n, v in headers) > self._limits.header_bytes:
            most = self._limits.header_bytes
            return Refused(431, f"The request's headers have more than {most:,} bytes; send less.")
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return Refused(
                421, "This server does not go by that name (Host); use the address that it printed."
            )
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        own = self._origins | {
            f"{scheme}://{hosts[0].lower().removesuffix(f':{port}')}"
            for scheme, port in _PORTS.items()
        }
        foreign = any(origin not in own for origin in origins)
        if foreign or any(site not in (b"same-origin", b"none") for site in sites):
            return Refused(403, "Pages of other origins may not send photos here (Origin).")
        return None

    def _is_ours(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        # An address cannot be made to lead elsewhere, as a name can.
        return name in self._names or (self._any_address and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Body:
    """A request's body; remembers whether all of it was read."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._most = 2 * limits.body_bytes
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read what is left, within bounds: who still sends would not see the answer."""
        left = self._most
        try:
            async with asyncio.timeout(_DRAINED_SECONDS):
                while not self.ended and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass


class _Answer:
    """Adds headers to an answer; closes the connection where a body was not read to its end."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] != 408:  # who was too slow already is not waited for
                await self._body.drain()
            headers: list[Any] = list(message.get("headers", []))
            headers += [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
            if not self._body.ended:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)
