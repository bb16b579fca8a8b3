"""Many at once, and photos that take too long: who waits, who is refused, who still gets in."""

import asyncio
import threading
import time
from typing import Any

import pytest

from miacap.serving import Limits, application
from miacap.serving.answers import Captioned
from miacap.serving.refusals import Refused
from miacap.serving.worker import Deadline, Worker

from .conftest import requested


class Slow:
    """Answers when it is let; counts who was inside at the same time."""

    runs = ("run",)

    def __init__(self) -> None:
        self.let = threading.Event()
        self.seen: list[bytes] = []

    def caption(self, photo: bytes, best: int, deadline: Deadline) -> Captioned:
        self.seen.append(photo)
        if photo.startswith(b"slow"):
            self.let.wait(20)
        deadline.check()
        return Captioned(
            caption=photo.decode(), log_probability=0.0, confidence=None, words=[], best=[],
            concepts=[], regions=[], runs=[], captioner="", source="", notes=[],
        )  # fmt: skip


async def sent(app: Any, body: bytes) -> Any:
    return await requested(app, "POST", "/v1/caption", content=body)


async def until(what: Any) -> None:
    for _ in range(1000):
        if what():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to pass")


def test_those_beyond_the_door_wait_and_those_beyond_the_queue_are_refused() -> None:
    slow = Slow()
    app = application(slow, Limits(at_once=2, waiting=3))  # type: ignore[arg-type]

    async def run() -> tuple[Any, list[Any]]:
        five = [asyncio.create_task(sent(app, b"slow %d" % n)) for n in range(5)]
        await until(lambda: slow.seen)
        await asyncio.sleep(0.05)
        refused = await sent(app, b"too many")
        slow.let.set()
        return refused, list(await asyncio.gather(*five))

    refused, answers = asyncio.run(run())
    assert refused.status_code == 503 and refused.headers["retry-after"] == "5"
    assert refused.json()["error"] == ("2 requests are being answered and 3 wait; try again soon.")
    assert [one.json()["caption"] for one in answers] == [f"slow {n}" for n in range(5)]
    assert b"too many" not in slow.seen


def test_waiting_ends() -> None:
    slow = Slow()
    app = application(slow, Limits(at_once=1, wait_seconds=0.1))  # type: ignore[arg-type]

    async def run() -> Any:
        first = asyncio.create_task(sent(app, b"slow"))
        await until(lambda: slow.seen)
        refused = await sent(app, b"next")
        slow.let.set()
        assert (await first).status_code == 200
        return refused, await sent(app, b"last")

    refused, last = asyncio.run(run())
    assert refused.status_code == 503 and "within 0.1 seconds" in refused.json()["error"]
    assert last.json()["caption"] == "last"  # whoever gave up left no place taken


def test_a_photo_that_takes_too_long_is_refused_and_the_next_is_seen() -> None:
    slow = Slow()
    app = application(slow, Limits(answer_seconds=0.3))  # type: ignore[arg-type]

    async def run() -> tuple[Any, Any, Any]:
        first, behind = await asyncio.gather(sent(app, b"slow"), sent(app, b"behind"))
        slow.let.set()
        return first, behind, await sent(app, b"after")

    first, behind, after = asyncio.run(run())
    assert first.status_code == behind.status_code == 503
    assert "took too long" in first.json()["error"] and "retry-after" in first.headers
    assert after.json()["caption"] == "after"
    assert slow.seen == [b"slow", b"after"]  # nobody waited any more for the one behind


def test_a_photo_that_never_comes_back_blocks_nobody_for_ever() -> None:
    slow = Slow()
    app = application(slow, Limits(answer_seconds=0.2))  # type: ignore[arg-type]

    async def run() -> list[int]:
        codes = []
        for body in (b"slow", b"one", b"two", b"three", b"four"):
            codes.append((await sent(app, body)).status_code)
        return codes

    before = time.monotonic()
    codes = asyncio.run(run())
    slow.let.set()
    assert codes[0] == 503 and codes[-2:] == [200, 200] and 503 not in codes[3:]
    assert time.monotonic() - before < 10


def test_only_a_few_threads_are_given_up() -> None:
    stuck = threading.Event()

    async def run() -> list[str]:
        worker = Worker(0.02)
        said = []
        for _ in range(40):
            with pytest.raises(Refused) as error:
                await worker.do(lambda deadline: stuck.wait(20))
            said.append(str(error.value))
        return said

    before = threading.active_count()
    said = asyncio.run(run())
    assert threading.active_count() - before <= 4
    assert said[0].startswith("The answer took too long")
    assert said[-1] == "Photos did not come back from their decoder; restart me."
    stuck.set()
