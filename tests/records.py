"""What of a run's files is the same however often it was interrupted."""

import json
from pathlib import Path
from typing import Any


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """An evaluation without what a clock gave."""
    timed = {"seconds", "waiting", "seconds left"}
    return {
        name: value
        for name, value in record.items()
        if name not in timed and not name.endswith(" per second")
    }


def evaluations(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl without what a clock gave."""
    return [timeless(json.loads(line)) for line in file.read_text().splitlines()]
