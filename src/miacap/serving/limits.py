"""What a stranger may send, how much at once, and how long each step may take."""

from dataclasses import dataclass, fields

from miacap.errors import SettingsError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bounds of a server. Raises SettingsError where one is not above 0.

    Attributes:
        body_bytes: of a request's body.
        pixels: of a photo, by its header.
        at_once: requests with a photo that are inside together; each holds its body in memory.
        waiting: requests that wait, unread, to come inside; more are refused.
        wait_seconds: how long one waits.
        connections: open at once; as many again are told to come back, more are closed.
        header_seconds: from the first byte of a request to the end of its headers.
        body_seconds: for the whole body.
        answer_seconds: from the photo to the answer, waiting for the networks included.
        read_seconds: for an answer to be taken by whoever asked, once it is sent.
        header_bytes: of a request's line and headers.
    """

    body_bytes: int = 20_000_000
    pixels: int = 50_000_000
    at_once: int = 10
    waiting: int = 20
    wait_seconds: float = 15.0
    connections: int = 64
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 60.0
    read_seconds: float = 30.0
    header_bytes: int = 16_384

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) > 0:
                raise SettingsError(
                    f"{each.name} is above 0, not {getattr(self, each.name)}; give a larger one."
                )
