"""What a run says while it trains: metrics.jsonl, and TensorBoard where asked for."""

import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from miacap import files
from miacap.errors import DataError, MissingExtra
from miacap.reading import open_file
from miacap.training.task import Example

STEPS = 50
"""Steps between two points of a curve within an epoch."""

_MARKS = {letter: f"&#{ord(letter)};" for letter in "\\`*_{}[]()<>#+-.!|~&\"'\n\r\t"}

_NOTHING = 1e-6
"""Smaller numbers are shown as 0: BLEU of captions without a match is 1e-9, and not 0."""


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


def summary(
    record: Mapping[str, Any], timed: Collection[str], epochs: int, watched: str | None, said: str
) -> list[str]:
    """Give one evaluation as lines for people, of 80 columns where the names allow it.

    Args:
        record: the evaluation.
        timed: names of numbers that the progress line has told already.
        epochs: of the whole run.
        watched: the number that stands in the first line.
        said: the end of the first line.
    """
    known = {"epoch", "step", "seconds", "loss", "learning_rate", watched, *timed}
    first = [f"epoch {record['epoch']}/{epochs}", f"loss {_short(record['loss'])}"]
    if watched is not None:
        first.append(f"{watched} {_short(record[watched])}")
    cells = [f"{name} {_short(value)}" for name, value in record.items() if name not in known]
    return ["  ".join(first) + said, *laid(cells)]


def laid(cells: Sequence[str], width: int = 80, indent: str = "    ") -> list[str]:
    """Lay cells out in lines, none broken in two."""
    lines: list[str] = []
    for cell in cells:
        if lines and len(lines[-1]) + 2 + len(cell) <= width:
            lines[-1] += f"  {cell}"
        else:
            lines.append(indent + cell)
    return lines


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "0" if abs(value) < _NOTHING else f"{value:.4g}"


def _as_table(examples: Sequence[Example]) -> str:
    """Give examples as a table in Markdown; nothing in them is taken for Markdown or HTML."""
    rows = ["| picture | says | a reference |", "|---|---|---|"]
    for example in examples:
        cells = ("".join(_MARKS.get(letter, letter) for letter in cell) for cell in example)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


class Board:
    """TensorBoard events, or nothing where they were not asked for."""

    def __init__(self, folder: Path, wanted: bool) -> None:
        """Raises MissingExtra where TensorBoard is asked for and not installed."""
        self._folder, self._wanted = folder, wanted
        self._writer: Any = None
        self._before, self._last = (0.0, 0.0), 0
        if wanted:
            self._kind()

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of one evaluation under its step."""
        if not self._wanted:
            return
        self.begin(0.0, 0.0)
        self._add(record, record["step"])
        self._writer.flush()

    def begin(self, loss: float, weight: float) -> None:
        """Say what the sums of losses and weights are before the next step."""
        self._before = (loss, weight)

    def during(self, step: int, sums: tuple[float, float], numbers: Mapping[str, float]) -> None:
        """Add what is known between two evaluations, if `STEPS` have passed since the last time.

        Args:
            step: the steps that were taken.
            sums: of losses and weights since the last evaluation.
            numbers: others by name.
        """
        if not self._wanted or step % STEPS or step == self._last:
            return
        self._last = step
        loss, weight = (now - before for now, before in zip(sums, self._before, strict=True))
        self._before = sums
        mean = {"loss": loss / weight} if weight > 0 else {}
        self._add({f"steps/{name}": value for name, value in {**mean, **numbers}.items()}, step)

    def show(self, examples: Sequence[Example], step: int) -> None:
        """Add what is said of a few pictures."""
        if self._wanted and examples:
            self._open(step).add_text("captions", _as_table(examples), step)
            self._writer.flush()

    def _add(self, numbers: Mapping[str, Any], step: int) -> None:
        writer = self._open(step)
        for name, value in numbers.items():
            if isinstance(value, int | float) and name != "step":
                writer.add_scalar(name, value, step)

    def _open(self, step: int) -> Any:
        if self._writer is None:
            files.subfolder(self._folder.parent, self._folder.name)  # or refuse a link
            # Events of this step or later, left by a sitting that was killed, are hidden.
            self._writer = self._kind()(str(self._folder), purge_step=step)
        return self._writer

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
