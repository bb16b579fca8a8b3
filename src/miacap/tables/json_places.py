"""One long JSON object or list, entry by entry, with the line of each.

`json.loads` would keep the last of two equal keys and forget where anything stood.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from miacap.errors import DataError
from miacap.reading import parse_value

_BLANK = re.compile(r"[ \t\r\n]*")


class Cursor:
    """Reads a text of JSON from its start to its end.

    Args:
        text: of the whole file.
        name: of the file, for messages.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.index, self.line, self._counted = 0, 1, 0

    def members(self) -> Iterator[tuple[str, str, Any]]:
        """Give file and line, key and value of each member of an object.

        Raises:
            DataError: no JSON object; with line and column.
        """
        for where in self._items("{", "}"):
            key = self._value()
            if not isinstance(key, str):
                self._stop("a picture's id in quotes is expected here")
            self._take(":")
            yield where, key, self._value()

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Give file and line, and value of each entry of a list.

        Raises:
            DataError: no JSON list; with line and column.
        """
        for where in self._items("[", "]"):
            yield where, self._value()

    def _items(self, opening: str, closing: str) -> Iterator[str]:
        self._take(opening)
        if self._next() != closing:
            yield self._where()
            while self._next() == ",":
                self._take(",")
                yield self._where()
        self._take(closing)
        if self._next():
            self._stop("nothing may follow the end of the list")

    def _next(self) -> str:
        match = _BLANK.match(self.text, self.index)
        assert match is not None
        self.index = match.end()
        return self.text[self.index : self.index + 1]

    def _take(self, character: str) -> None:
        if self._next() != character:
            self._stop(f"{character!r} is expected here")
        self.index += 1

    def _value(self) -> Any:
        self._next()
        try:
            value, self.index = parse_value(self.text, self.index)
        except json.JSONDecodeError as error:
            self.index = error.pos
            self._stop(error.msg)
        except ValueError as error:
            raise DataError(f"{self._where()}: {error}.") from None
        return value

    def _where(self) -> str:
        self._next()
        self.line += self.text.count("\n", self._counted, self.index)
        self._counted = self.index
        return f"{self.name}, line {self.line}"

    def _stop(self, reason: str) -> NoReturn:
        line = self.text.count("\n", 0, self.index) + 1
        column = self.index - self.text.rfind("\n", 0, self.index)
        raise DataError(f"{self.name}, line {line}, column {column}: not JSON ({reason}).")
