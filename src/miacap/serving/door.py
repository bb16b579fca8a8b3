"""How many requests are inside at once, and how many wait to come inside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from miacap.serving.limits import Limits
from miacap.serving.refusals import Refused
from miacap.wording import counted

__all__ = ["Door"]


class Door:
    """Lets `limits.at_once` requests in; the next ones wait, unread, in the order they came.

    Args:
        limits: `at_once`, `waiting` and `wait_seconds`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.at_once)
        self._waiting = 0

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Be inside. Raises Refused (503) where too many wait, or where it takes too long."""
        limits = self._limits
        if self._places.locked() and self._waiting >= limits.waiting:
            inside = counted(limits.at_once, "request is", "requests are")
            raise Refused(
                503, f"{inside} being answered and {limits.waiting} wait; try again soon.", 5
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(limits.wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise Refused(
                503, f"No request ended within {limits.wait_seconds:g} seconds; try again soon.", 5
            ) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()
