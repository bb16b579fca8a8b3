"""How long a command takes before and beside its work: cold starts, in fresh processes.

    python benchmarks/starting.py [--run RUN --photo PHOTO] [--rounds N] [--json FILE]

CPU seconds of the whole process (user and system), in rounds in turns with `import torch` alone,
which no command can be without that runs a network. One thread each, so that waiting threads count
for nothing. Without --run, captioning is left out, and the output says so.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_TORCH = "import torch"


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--run", type=Path, help="a trained run folder")
    arguments.add_argument("--photo", type=Path, help="a photo for it")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", type=Path, default=Path("bench/starting.json"))
    chosen = arguments.parse_args()
    if (chosen.run is None) != (chosen.photo is None):
        arguments.error("--run and --photo come together.")
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder), chosen.run, chosen.photo)
        seconds = _measure(commands, chosen.rounds)
    rows = {name: _row(own, seconds[_TORCH]) for name, own in seconds.items()}
    print(f"{'CPU seconds':20}{'least':>8}{'median':>8}{'without torch':>15}{'median':>8}")
    for name, row in rows.items():
        beyond = (
            f"{row['beyond_torch']:15.2f}{row['beyond_torch_median']:8.2f}"
            if "caption" in name
            else ""
        )
        print(f"{name:20}{row['least']:8.2f}{row['median']:8.2f}{beyond}")
    if chosen.run is None:
        print("miacap caption was not measured: give --run and --photo.")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    result = {"rounds": chosen.rounds, "cpu_seconds": rows}
    chosen.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"Written to {chosen.json}.")


def _commands(folder: Path, run: Path | None, photo: Path | None) -> dict[str, list[str]]:
    """Name what is run, and how; the captions are few, so that starting is most of it."""
    captions, references = folder / "captions.json", folder / "references.json"
    captions.write_text(json.dumps({"1": "a dog runs in the grass", "2": "a red boat"}))
    references.write_text(json.dumps({"1": ["a dog in the grass"], "2": ["a boat on a lake"]}))
    lines = folder / "lines.txt"
    lines.write_text("A dog runs in the grass.\n")
    miacap = ["-m", "miacap"]
    commands = {
        _TORCH: ["-c", _TORCH],
        "miacap --help": [*miacap, "--help"],
        "miacap tokenize": [*miacap, "tokenize", str(lines)],
        "miacap score": [*miacap, "score", str(captions), str(references)],
    }
    if run is not None:
        commands["miacap caption"] = [*miacap, "caption", str(photo), "--run", str(run)]
    return commands


def _measure(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each command, in rounds in turns after one that fills the disk's cache."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = _cpu_seconds(command)
            if number:
                seconds[name].append(taken)
    return seconds


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *command],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _row(own: list[float], torch: list[float]) -> dict[str, float]:
    return {
        "least": min(own),
        "median": statistics.median(own),
        "beyond_torch": min(own) - min(torch),
        "beyond_torch_median": statistics.median(a - b for a, b in zip(own, torch, strict=True)),
    }


if __name__ == "__main__":
    main()
