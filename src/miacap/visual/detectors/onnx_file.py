"""A look into the bytes of an ONNX file before onnxruntime sees them.

An ONNX file may say that its weights lie in other files, anywhere on the disk. Such a file is
refused: a detector is one file. The walk follows the fields of onnx.proto (protocol buffers:
a tag of number and wire type, then the value) in which a tensor may stand.
"""

from collections.abc import Iterator, Mapping

from miacap.errors import RunError

LARGEST = 512 << 20
"""Bytes of a detector's file, at most."""

_DEEPEST = 64  # graphs within nodes within graphs
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5

# Message -> field -> message that stands there, as far as a tensor can be reached through it.
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def check(data: bytes, name: str) -> None:
    """See that a file is ONNX by its form, not too large, and complete in itself.

    Raises:
        RunError: it is not.
    """
    if len(data) > LARGEST:
        raise RunError(f"{name}: {len(data) >> 20} MiB; a detector has at most {LARGEST >> 20}.")
    try:
        outside = _has_outside_data(memoryview(data), "model", 0)
    except ValueError:
        raise RunError(f"{name}: no whole ONNX file; copy or export it again.") from None
    if outside:
        raise RunError(
            f"{name}: its weights lie in other files, which are never opened here; save it as one "
            "file (onnx.save without external data)."
        )


def _has_outside_data(message: memoryview, kind: str, depth: int) -> bool:
    """Walk through a message. Raises ValueError where it is none."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    inside = _INSIDE.get(kind, {})
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
        elif number in inside:
            if not isinstance(value, memoryview):
                raise ValueError("no message")
            if _has_outside_data(value, inside[number], depth + 1):
                return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, "memoryview | int"]]:
    """Give number and value of each field: bytes, or a number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError("an unknown wire type")
        if number == 0 or length > len(message) - at:
            raise ValueError("cut short")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without end")
