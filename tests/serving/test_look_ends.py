"""A look ends soon after nobody waits for it, and one thread at a time is at the networks."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from miacap.explain import hiding, looking
from miacap.serving import Answering, Limits, application

from .conftest import photo, requested

REGIONS = 6


class Watched:
    """Stands before a function: takes its time, and counts its calls and who is inside."""

    def __init__(self, function: Callable[..., Any], seconds: float) -> None:
        self._function, self.seconds = function, seconds
        self._lock = threading.Lock()
        self.calls = self.inside = self.most = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            self.calls, self.inside = self.calls + 1, self.inside + 1
            self.most = max(self.most, self.inside)
        try:
            time.sleep(self.seconds)
            return self._function(*arguments, **named)
        finally:
            with self._lock:
                self.inside -= 1


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Hides one region a batch; each takes a tenth of a second."""
    watched = Watched(hiding.without_region, 0.1)
    monkeypatch.setattr(hiding, "_AT_ONCE", 1)
    monkeypatch.setattr(hiding, "without_region", watched)
    return watched


async def explained(app: Any) -> Any:
    return await requested(app, "POST", "/v1/explain", content=photo())


def test_every_region_is_hidden_where_somebody_waits(
    answering: Answering, regions: Watched
) -> None:
    assert asyncio.run(explained(application(answering))).status_code == 200
    assert regions.calls == REGIONS


def test_a_look_that_takes_too_long_ends_at_its_next_batch(
    answering: Answering, regions: Watched
) -> None:
    app = application(answering, Limits(answer_seconds=0.25))

    async def run() -> Any:
        answer = await explained(app)
        await asyncio.sleep(0.6)
        return answer

    answer = asyncio.run(run())
    assert answer.status_code == 503 and "took too long" in answer.json()["error"]
    assert regions.calls <= 3 and regions.inside == 0


@pytest.mark.parametrize(
    ("name", "following"), [("photograph", "search"), ("search", "word_log_probabilities")]
)
def test_a_look_ends_after_each_of_its_steps(
    answering: Answering, name: str, following: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a photo whose decoding, or whose search, came too late the next step is not done."""
    slow = Watched(getattr(looking, name), 0.7)
    after = Watched(getattr(looking, following), 0.0)
    monkeypatch.setattr(looking, name, slow)
    monkeypatch.setattr(looking, following, after)
    app = application(answering, Limits(answer_seconds=0.5))

    async def run() -> Any:
        answer = await explained(app)
        await asyncio.sleep(0.5)
        return answer

    assert asyncio.run(run()).status_code == 503
    assert (slow.calls, slow.inside, after.calls) == (1, 0, 0)


def test_two_threads_are_never_at_the_networks(answering: Answering, regions: Watched) -> None:
    """One step that is far too long holds the others up; it is not taken for a stuck decoder."""
    regions.seconds = 2.0
    app = application(answering, Limits(answer_seconds=0.3))

    async def run() -> list[Any]:
        answers = [await explained(app) for _ in range(6)]
        while regions.inside:
            await asyncio.sleep(0.05)
        return answers

    answers = asyncio.run(run())
    assert (regions.calls, regions.most) == (1, 1)
    assert all("took too long" in answer.json()["error"] for answer in answers)


def test_a_photo_whose_decoder_comes_back_late_is_not_looked_at(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread was given up: another one is at the networks by now."""
    let, came = threading.Event(), threading.Event()
    photograph = looking.photograph

    def stuck(*arguments: Any) -> Any:
        if not came.is_set():
            came.set()
            let.wait(20)
        return photograph(*arguments)

    search = Watched(looking.search, 0.0)
    monkeypatch.setattr(looking, "photograph", stuck)
    monkeypatch.setattr(looking, "search", search)
    app = application(answering, Limits(answer_seconds=0.3))

    async def run() -> list[int]:
        codes = [(await explained(app)).status_code for _ in range(4)]
        let.set()
        await asyncio.sleep(0.3)
        return codes

    codes = asyncio.run(run())
    assert codes[0] == 503 and codes[-1] == 200
    assert search.calls == codes.count(200)


def test_a_look_ends_where_the_client_has_gone(answering: Answering, regions: Watched) -> None:
    app = application(answering)
    head = [(b"host", b"127.0.0.1"), (b"content-type", b"image/jpeg")]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/explain", "raw_path": b"/v1/explain",
        "query_string": b"", "headers": head, "http_version": "1.1", "scheme": "http",
        "root_path": "", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": photo(), "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        while regions.calls < 2:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pass

    async def run() -> None:
        await asyncio.wait_for(app(scope, receive, send), 5)
        await asyncio.sleep(0.3)

    asyncio.run(run())
    assert regions.calls <= 3 and regions.inside == 0
