"""One thread that sees photos, one after another: the lock on the networks.

A job that takes too long is answered for with a refusal, and ends at its next `Deadline.check`; so
does one whose client has gone. A thread that never comes back from a decoder is given up, and
another takes its place. Never so a thread that is at the networks: two would use them at once.
"""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from miacap.serving.refusals import Refused

__all__ = ["Deadline", "Worker"]

T = TypeVar("T")
_GIVEN_UP = 3
"""Threads that may be given up before nothing more is tried."""


class Deadline:
    """When a job has to be done. Works look at it between their steps.

    Attributes:
        at_networks: whether the job has come as far as the networks.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.at_networks = False

    def check(self) -> None:
        """Raise Refused (503) where the time is over, or where nobody waits any more."""
        if time.monotonic() >= self.end:
            raise _too_slow()

    def step(self) -> None:
        """Do as `check`, before a step of the networks."""
        self.check()
        self.at_networks = True

    def over(self) -> None:
        """Have the job end at its next check: nobody waits for its result."""
        self.end = -math.inf


def _too_slow() -> Refused:
    return Refused(
        503, "The answer took too long; try again when less is asked, or a smaller photo.", 10
    )


@dataclass
class _Job:
    work: Callable[[Deadline], Any]
    deadline: Deadline
    future: Future[Any] = field(default_factory=Future)


class Worker:
    """Does jobs in their order in one thread.

    Args:
        seconds: for each job, waiting included.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._turn = 0
        self._since: float | None = None
        self._at: Deadline | None = None
        self._begin()

    async def do(self, work: Callable[[Deadline], T]) -> T:
        """Have the thread do a job. Where this is cancelled the job ends at its next check.

        Args:
            work: called with its deadline, which it checks between its steps.

        Raises:
            Refused: it took too long (503).
        """
        self._give_up_stuck()
        job = _Job(work, Deadline(self.seconds))
        self._jobs.put(job)
        try:
            done: T = await asyncio.wait_for(asyncio.wrap_future(job.future), self.seconds)
        except TimeoutError:
            self._give_up_stuck()
            raise _too_slow() from None
        finally:
            job.deadline.over()
        return done

    def _begin(self) -> None:
        # A daemon: Ctrl-C does not wait for a photo that takes long.
        name = f"networks-{self._turn}"
        threading.Thread(target=self._work, args=(self._turn,), name=name, daemon=True).start()

    def _give_up_stuck(self) -> None:
        """Have another thread go on where this one has decoded one photo for twice its time.

        When it comes back after all, its next check ends the job before the networks.
        """
        with self._lock:
            if self._at is None or self._since is None or self._at.at_networks:
                return
            if time.monotonic() - self._since <= 2 * self.seconds:
                return
            if self._turn == _GIVEN_UP:
                raise Refused(503, "Photos did not come back from their decoder; restart me.")
            self._turn, self._since, self._at = self._turn + 1, None, None
            self._begin()

    def _work(self, turn: int) -> None:
        while True:
            job = self._jobs.get()
            with self._lock:
                if self._turn != turn:  # given up meanwhile: the next thread's job
                    self._jobs.put(job)
                    return
                if not job.future.set_running_or_notify_cancel():
                    continue  # nobody waits for it any more
                self._since, self._at = time.monotonic(), job.deadline
            _do(job)
            with self._lock:
                if self._turn != turn:
                    return
                self._since = self._at = None


def _do(job: _Job) -> None:
    try:
        job.deadline.check()
        result = job.work(job.deadline)
    except BaseException as error:  # whoever waits for it raises it
        job.future.set_exception(error)
    else:
        job.future.set_result(result)
