"""What a run says while it trains: metrics.jsonl, and TensorBoard where asked for."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from miacap import files
from miacap.errors import DataError, MissingExtra
from miacap.reading import open_file


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give one evaluation as JSON can hold it: what is not finite becomes None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


def line(record: Mapping[str, Any]) -> str:
    """Give one evaluation as a line of JSON."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def settle(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Make `metrics.jsonl` hold exactly these evaluations.

    A run that was killed may have written lines that its checkpoint does not know of.
    """
    wanted = "".join(line(record) for record in history)
    if not wanted and not os.path.lexists(path):
        return
    if _holds(path, wanted.encode()):
        return
    with files.atomic(path, "w") as file:
        file.write(wanted)


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file holds exactly this; of one that has no end, no more than this is read."""
    try:
        with open_file(path) as file:
            return file.read(len(content) + 1) == content
    except DataError:  # absent, a pipe or a device: writing says what is to be said
        return False


def summary(record: Mapping[str, Any], epochs: int) -> str:
    """Give one evaluation as a line for people."""
    parts = [f"epoch {record['epoch']}/{epochs}", f"loss {_short(record['loss'])}"]
    known = ("epoch", "step", "seconds", "loss", "learning_rate")
    parts += [f"{name} {_short(value)}" for name, value in record.items() if name not in known]
    return "  ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Board:
    """TensorBoard events, or nothing where they were not asked for."""

    def __init__(self, folder: Path, wanted: bool) -> None:
        """Raises MissingExtra where TensorBoard is asked for and not installed."""
        self._folder, self._wanted = folder, wanted
        self._writer: Any = None
        if wanted:
            self._kind()

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of one evaluation under its step."""
        if not self._wanted:
            return
        if self._writer is None:
            files.subfolder(self._folder.parent, self._folder.name)  # or refuse a link
            # Events of this step or later, left by a sitting that was killed, are hidden.
            self._writer = self._kind()(str(self._folder), purge_step=record["step"])
        for name, value in record.items():
            if isinstance(value, int | float) and name != "step":
                self._writer.add_scalar(name, value, record["step"])
        self._writer.flush()

    @staticmethod
    def _kind() -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtra("watch", "TensorBoard (the setting tensorboard)") from None
        return SummaryWriter

    def close(self) -> None:
        """Finish the file of events."""
        if self._writer is not None:
            self._writer.close()
