"""Room: serving. A page to try a run, and the same as JSON, on this machine.

A photo comes in over HTTP and is answered from memory: nothing is written. What a stranger may send
is bounded in size, pixels, number and time (`Limits`). May import every room below it; names are
loaded when they are first used, for the room needs the extra [serve].
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.serving.answering import Answering
    from miacap.serving.limits import Limits
    from miacap.serving.routes import application
    from miacap.serving.server import serve

__all__ = ["Answering", "Limits", "application", "serve"]

_LAZY = {
    "Answering": "answering",
    "Limits": "limits",
    "application": "routes",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.serving' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.serving.{_LAZY[name]}"), name)
