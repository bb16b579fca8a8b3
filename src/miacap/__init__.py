"""miacap: image captions that you can train, trust, score and explain.

    import miacap
    caption = miacap.load("runs/mine").caption("photo.jpg")

The rooms of the house are listed in README.md; `miacap.metrics` scores captions
without torch and without Java.
"""

from miacap.version import __version__

TYPE_CHECKING = False  # as in typing, which a command would wait for before it can hear Ctrl-C
if TYPE_CHECKING:
    from typing import Any

    from miacap.captioning import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> "Any":
    # Lazily, so that no room imports the top of the house through its package.
    if name == "load":
        from miacap.captioning import load

        return load
    raise AttributeError(f"module 'miacap' has no attribute {name!r}")
