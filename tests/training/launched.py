"""Several processes of one machine, forked from this one: torch is loaded there already."""

import faulthandler
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import accelerate.state  # noqa: F401 - here, so that the children need not load it
import torch

Work = Callable[[int], Any]
"""What each process does: its rank in, something that JSON can hold out."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(work: Work, folder: Path, world: int = 2) -> list[int]:
    """Fork processes as a launcher would start them; give their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    port, children = free_port(), []
    for rank in range(world):
        child = os.fork()
        if not child:
            _child(work, folder, rank, world, port)
        children.append(child)
    return children


def _child(work: Work, folder: Path, rank: int, world: int, port: int) -> None:
    code = 1
    try:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        os.environ.update({name: str(value) for name, value in told.items()})
        log = open(folder / f"{rank}.log", "w", buffering=1)  # noqa: SIM115 - open to the end
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        faulthandler.dump_traceback_later(140, file=log)
        torch.set_num_threads(1)  # see tests/kills.py
        (folder / f"{rank}.json").write_text(json.dumps(work(rank)))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        with open(folder / f"{rank}.log", "a") as log_file:
            traceback.print_exc(file=log_file)
    finally:
        os._exit(code)


def wait(children: Sequence[int], folder: Path, seconds: float = 150.0) -> list[int]:
    """Wait for processes; give how each ended: an exit code, or minus the signal."""
    deadline, codes = time.monotonic() + seconds, dict[int, int]()
    while len(codes) < len(children):
        for child in children:
            if child not in codes:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    codes[child] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            for child in children:
                if child not in codes:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
            logs = "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))
            raise AssertionError(
                f"only {len(codes)} of {len(children)} processes came to an end\n{logs}"
            )
        time.sleep(0.01)
    return [codes[child] for child in children]


def together(work: Work, folder: Path, world: int = 2) -> list[Any]:
    """Do something in several processes; give what came of it in each, all of which have to end."""
    codes = wait(start(work, folder, world), folder)
    logs = [(folder / f"{rank}.log").read_text() for rank in range(world)]
    assert codes == [0] * world, "\n".join(logs)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world)]
