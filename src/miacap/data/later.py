"""Settings of records of features that came later: older files lack them, and new ones may.

A folder in which nobody asked for them is read by an older miacap, and its checksums are the same.
"""

from collections.abc import Container, Mapping
from typing import Any

from miacap.data.features import Record
from miacap.settings import to_json

LATER: Mapping[str, Any] = {"precision": "float32", "flips": False}
"""Each as it is where nobody asks for it."""


def written(record: Record) -> dict[str, Any]:
    """Give a record as JSON for a file."""
    values: dict[str, Any] = without(to_json(record), LATER)
    return values


def without(value: Any, names: Container[str]) -> Any:
    """Leave out those of some names that are as they are where nobody asks, also deeper within."""
    if not isinstance(value, dict):
        return value
    return {
        key: without(inner, names)
        for key, inner in value.items()
        if not (key in names and inner == LATER[key])
    }
