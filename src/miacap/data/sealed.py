"""JSON files that notice when a byte of them was altered: the last line is a checksum.

    {
      "format": 1,
      ...
      "sha256": "..."          over every byte before this line
    }

A file without the line, as an earlier miacap wrote it, is read as it is.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from miacap.errors import DataError
from miacap.files import atomic, read_json

_SEAL = "sha256"
_END = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"\n}\n')
_END_BYTES = len(b',\n  "sha256": ""\n}\n') + 64


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write an object that is not empty as JSON with its checksum, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # Names may hold lone surrogates, which UTF-8 cannot; \ud800 is also what JSON writes for them.
    body = text.removesuffix("\n}").encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(body).hexdigest()
    with atomic(path) as file:
        file.write(body + f',\n  "{_SEAL}": "{digest}"\n}}\n'.encode())


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote, without the checksum.

    Raises:
        DataError: absent, no JSON object, altered after it was written, or a key twice.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        return {}
    data = path.read_bytes()
    if _SEAL in value:
        seal = _END.fullmatch(data[-_END_BYTES:])
        digest = hashlib.sha256(data[:-_END_BYTES]).hexdigest()
        if seal is None or digest.encode() != seal[1]:
            raise DataError(f"{path}: altered after it was written (checksum).")
        del value[_SEAL]
    return value
