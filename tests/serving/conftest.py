"""Applications of a tiny run, and what asks them in this process."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import miacap.explain.looking
from miacap import visual
from miacap.serving import Answering, Limits, application

from ..explain import tiny

BASE = "http://127.0.0.1:8000"


def photo(kind: str = "JPEG", size: tuple[int, int] = (90, 60)) -> bytes:
    """A file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, (90, 120, 90)).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    """Answers of a tiny run; photos are seen as its made-up regions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(miacap.explain.looking, "regions_for", tiny.MadeUp)
        yield Answering(tiny.run(tmp_path_factory.mktemp("serving") / "run"), Limits())


@pytest.fixture
def app(answering: Answering) -> Any:
    return application(answering)


async def requested(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask an application once."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        return await client.request(method, path, **more)


def ask(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask an application once, from code that does not wait."""
    return asyncio.run(requested(app, method, path, **more))


async def all_of(*each: Callable[[], Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*(one() for one in each)))


def run_folder(folder: Path) -> Path:
    return tiny.run(folder)


@pytest.fixture(scope="session")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that sees photos by a real backbone; its weights are drawn at random."""
    prepared = visual.preprocessing_for(visual.load("efficientnet-lite0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "MADE", prepared)
        patch.setattr(tiny, "WIDTH", 1280)
        folder = tmp_path_factory.mktemp("real") / "run"
        return tiny.run(folder, concepts=5, rows="aligned")


@dataclass
class Served:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def served(*command: object) -> Iterator[Served]:
    """Start a process that prints its address, and end it."""
    source = str(Path(__file__).resolve().parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.stderr.read()
        yield Served(process, int(address.rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def server(real_run: Path) -> Iterator[Served]:
    """`miacap serve` with its usual limits, and times of a second."""
    code = (
        "from miacap.serving import Limits, serve\n"
        f"serve({str(real_run)!r}, port=0, limits=Limits(header_seconds=1, body_seconds=1))"
    )
    with served("-c", code) as one:
        yield one
