"""Work in a forked child ends, whatever the tests before it did with torch's threads."""

import subprocess
import sys
from pathlib import Path

_WORK = """
import torch

from tests.kills import left_alone

torch.set_num_threads(2)
numbers = torch.randn(2000, 2000)
numbers.t().contiguous()  # by two threads, which a child does not have
left_alone(lambda: numbers.t().contiguous())
"""


def test_a_child_waits_for_no_thread_of_its_parent() -> None:
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", _WORK], cwd=root, check=True, timeout=100)
