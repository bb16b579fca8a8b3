"""By which names a server is reached."""

import ipaddress
import re
import socket
from collections.abc import Iterable

from miacap.errors import SettingsError

__all__ = ["host_name", "is_loopback", "machine_names", "public_names", "reached_at"]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")


def host_name(host: str) -> str | None:
    """Give the name in a request's `Host`, small, without its port; None where it is none."""
    found = _HOST.fullmatch(host.lower())
    return None if found is None else found[1].strip("[]")


def is_loopback(host: str) -> bool:
    """Whether an address that is listened on is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def machine_names() -> tuple[str, ...]:
    """Give the names by which other machines may call this one, the likeliest first."""
    own = socket.gethostname().lower()
    names = (own, f"{own.partition('.')[0]}.local", socket.getfqdn().lower())
    # A machine without a name of its own has that of an address, turned round.
    real = (name for name in names if host_name(name) == name and not name.endswith(".arpa"))
    return tuple(dict.fromkeys(real))


def public_names(names: Iterable[str]) -> tuple[str, ...]:
    """Check names that a person gave. Raises SettingsError for what is no name alone."""
    given = tuple(name.lower() for name in names)
    for name in given:
        if host_name(name) != name:
            raise SettingsError(
                f"{name!r} is no name of a server; give it alone, as in "
                "--name captions.example.org, without https:// and without a port."
            )
    return given


def reached_at(host: str, port: int) -> list[str]:
    """Give the addresses to open, the likeliest first, of a server that listens on `host`."""
    hosts: tuple[str, ...] = (host,)
    if host in ("0.0.0.0", "::"):  # every address of this machine; none by itself
        hosts = machine_names() or ("localhost",)
    return [f"http://[{one}]:{port}" if ":" in one else f"http://{one}:{port}" for one in hosts]
