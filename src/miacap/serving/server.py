"""Listen, answer until Ctrl-C, and end; uvicorn with bounds on what a connection may do."""

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from miacap import terminal
from miacap.errors import MissingExtra, SettingsError
from miacap.serving.limits import Limits

try:
    import uvicorn

    from miacap.serving.connection import bounded
    from miacap.serving.names import is_loopback, machine_names, public_names, reached_at
    from miacap.serving.routes import application
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in (
        "fastapi", "starlette", "pydantic", "uvicorn", "h11", "python_multipart",
    ):  # fmt: skip
        raise
    raise MissingExtra("serve", "miacap serve") from None

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["configured", "serve"]

_OTHER_HOST = (
    "leave --host out to be reached from this machine alone, or give an address of this machine "
    "(0.0.0.0: all of them)."
)
_OTHER_PORT = "choose another, as in --port 8001, or --port 0 for a free one."

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def serve(
    run: Folders,
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    names: Iterable[str] = (),
    limits: Limits | None = None,
    **options: Any,
) -> None:
    """Serve a run, or several as an ensemble, until Ctrl-C.

    Args:
        run: as for `captioning.Pipeline`.
        port: to listen on; 0 takes a free one.
        host: the address to listen on. Any but this machine's own is told of with a warning.
        names: under which people open the page, where a server with TLS stands before it.
        limits: what is let in; `Limits()` unless told.
        options: beam, length_penalty, device, weights and allow_download, as for
            `captioning.Pipeline`.

    Raises:
        SettingsError: the address cannot be listened on, or a name is none.
        RunError: a folder is no run, or cannot caption photos.
        MissingExtra: the extra [serve] is not installed.
    """
    from miacap.serving.answering import Answering

    limits = limits or Limits()
    further = public_names(names)
    listening = _listening(host, port)
    with contextlib.closing(listening):
        answering = Answering(run, limits, **options)
        known = further if is_loopback(host) else (*further, *machine_names())
        app = application(answering, limits, host=host, names=known)
        listening.listen()  # whoever reads the address may connect at once
        _tell_where(host, listening.getsockname()[1], answering.runs)
        with _logs_told(), contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(configured(app, limits)).run(sockets=[listening])
    terminal.tell("stopped; nothing was written.")


def configured(app: "ASGIApp", limits: Limits) -> uvicorn.Config:
    """Give how uvicorn serves an application: nothing logged, nothing believed of a proxy."""
    return uvicorn.Config(
        app, http=bounded(limits), ws="none", lifespan="off", loop="asyncio",
        log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_keep_alive=5, timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=limits.header_bytes,
    )  # fmt: skip


def _listening(host: str, port: int) -> socket.socket:
    """Listen before the networks are loaded: a taken port is said at once."""
    if not host.strip():
        raise SettingsError(f"--host is empty; {_OTHER_HOST}")
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
    except (OSError, OverflowError, UnicodeError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        advice = _OTHER_HOST if _is_of_host(error) else _OTHER_PORT
        raise SettingsError(
            f"{host}, port {port}: cannot be listened on ({what}); {advice}"
        ) from None
    return listening


def _is_of_host(error: Exception) -> bool:
    """Whether another address is what helps: no such name, or none of this machine's."""
    away = isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
    return away or isinstance(error, (socket.gaierror, UnicodeError))


def _tell_where(host: str, port: int, runs: Sequence[str]) -> None:
    if not is_loopback(host):
        terminal.tell(
            f"warning: {host} can be reached from other machines: whoever reaches it may send "
            "photos, without a password and without encryption."
        )
    first, *others = reached_at(host, port)
    terminal.result(first)
    terminal.flush()
    if others:
        terminal.tell(f"or {' or '.join(others)}, or by an address of this machine.")
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
