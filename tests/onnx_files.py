"""Small ONNX files, byte by byte: fields of onnx.proto, without the package onnx."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FLOAT, INT64 = 1, 7


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, array: np.ndarray, extra: bytes = b"") -> bytes:
    kind = {"f": FLOAT, "i": INT64}[array.dtype.kind]
    dims = b"".join(field(1, int(side)) for side in array.shape)
    return dims + field(2, kind) + field(8, name) + field(9, array.tobytes()) + extra


def value(name: str, shape: Sequence[int | str], kind: int = FLOAT) -> bytes:
    sides = b"".join(field(1, field(1 if isinstance(s, int) else 2, s)) for s in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sides)))


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **numbers: int) -> bytes:
    parts = [field(1, one) for one in inputs] + [field(2, one) for one in outputs]
    parts.append(field(4, kind))
    for name, number in numbers.items():
        parts.append(field(5, field(1, name) + field(3, number) + field(20, 2)))
    return b"".join(parts)


def model(
    nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes],
    tensors: Sequence[bytes] = (),
) -> bytes:  # fmt: skip
    graph = b"".join(field(1, one) for one in nodes) + field(2, "graph")
    graph += b"".join(field(5, one) for one in tensors)
    graph += b"".join(field(11, one) for one in inputs)
    graph += b"".join(field(12, one) for one in outputs)
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def detector(boxes: Any, scores: Any, size: tuple[int, int] = (64, 64)) -> bytes:
    """Boxes that never change; scores times the mean of the input (so a photo's brightness)."""
    boxes, scores = np.float32(boxes), np.float32(scores)
    nodes = [
        node("ReduceMean", ["images"], ["mean"], keepdims=0),
        node("Mul", ["own scores", "mean"], ["scores"]),
        node("Identity", ["own boxes"], ["boxes"]),
    ]
    outputs = [value("boxes", boxes.shape), value("scores", scores.shape)]
    tensors = [tensor("own boxes", boxes), tensor("own scores", scores)]
    return model(nodes, [value("images", [1, 3, *size])], outputs, tensors)


def description(classes: Sequence[str], **changes: Any) -> Mapping[str, Any]:
    """Describe what `detector` makes: relative corners, a column of scores a class."""
    return {
        "name": "lamp",
        "input": {"width": 64, "height": 64, "std": [255, 255, 255]},
        "outputs": {"kind": "boxes", "boxes": "boxes", "scores": "scores", "unit": "relative"},
        "classes": list(classes),
        **changes,
    }


def write(
    folder: Path, boxes: Any, scores: Any, classes: Sequence[str], name: str = "lamp"
) -> Path:
    """Write a detector and its description; give the path of the first."""
    file = folder / f"{name}.onnx"
    file.write_bytes(detector(boxes, scores))
    file.with_suffix(".json").write_text(json.dumps(description(classes)))
    return file
