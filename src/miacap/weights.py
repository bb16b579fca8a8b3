"""Weights: files of tensors with checksums, and modules that are built only where they fit.

Files are safetensors, whole or not there, never a pickle. A file that travels (the weights of a
run, say) has a checksum of its tensors inside; others are named by the SHA-256 of their bytes.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from miacap.errors import RunError, SettingsError
from miacap.files import atomic
from miacap.memory import free_memory

__all__ = [
    "build",
    "checksum",
    "halved",
    "misfit",
    "not_finite",
    "outlined",
    "read_tensors",
    "read_weights",
    "require_memory",
    "write_tensors",
    "write_weights",
]

M = TypeVar("M", bound=nn.Module)


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> str:
    """Write tensors as safetensors, whole or not at all; give the file's SHA-256."""
    return _write(path, _serialised(tensors))


def write_weights(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> str:
    """Write tensors with a checksum of their own, for a file that travels; give its SHA-256."""
    content = _serialised(tensors)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    # Not through the library: it writes several entries in an order that changes every time.
    header["__metadata__"]["sha256"] = checksum(tensors)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return _write(path, len(text).to_bytes(8, "little") + text + content[end:])


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a safetensors file into memory. Raises RunError."""
    try:
        return dict(safetensors.torch.load(Path(path).read_bytes()))
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path}: no whole safetensors file ({error}); copy it again.") from None


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read weights, and compare them with their checksum if the file has one.

    Raises:
        RunError: no file of weights, or a damaged one.
    """
    tensors = read_tensors(path)
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            expected = (opened.metadata() or {}).get("sha256")
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}).") from None
    if expected is not None and checksum(tensors) != expected:
        raise RunError(f"{path}: damaged (its checksum differs); copy the file again.")
    return tensors


_FLOATS = ("F16", "BF16", "F32", "F64")
_OTHERS = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}


def misfit(path: str | os.PathLike[str], module: nn.Module) -> str | None:
    """Say what of a file's header does not fit a module, or None; no tensor is read.

    Floating-point numbers of 16, 32 and 64 bits may stand for one another, other kinds may not.

    Raises:
        RunError: no file of weights.
    """
    state = module.state_dict()
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            for name in sorted(opened.keys()):
                if name not in state:
                    return f"unexpected tensor {name!r}"
                told, own = opened.get_slice(name), state[name]
                if tuple(told.get_shape()) != tuple(own.shape):
                    return f"{name!r} has shape {told.get_shape()}, not {list(own.shape)}"
                kinds = _FLOATS if own.is_floating_point() else (_OTHERS.get(own.dtype),)
                if told.get_dtype() not in kinds:
                    return f"{name!r} holds numbers of type {told.get_dtype()}, not {own.dtype}"
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path}: no whole safetensors file ({error}); copy it again.") from None
    return None


def not_finite(module: nn.Module) -> str | None:
    """Name the first parameter that holds NaN or infinity, or buffer that holds NaN; else None."""
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return name
    for name, buffer in module.named_buffers():  # a mask may well hold infinities
        if buffer.is_floating_point() and bool(torch.isnan(buffer).any()):
            return name
    return None


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Give one SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors with their matrices in half precision (float16), for a file of half the size.

    Vectors (biases, norms, statistics) stay as they are, and so does a matrix with a number that
    is finite now and would not be: half precision ends at 65,504.
    """
    return {name: _half(tensor) for name, tensor in tensors.items()}


def _half(tensor: Tensor) -> Tensor:
    if tensor.ndim < 2 or tensor.dtype not in (torch.float32, torch.float64):
        return tensor
    half = tensor.half()
    return tensor if bool((half.isinf() & tensor.isfinite()).any()) else half


class _Undrawn(TorchFunctionMode):
    """Leave tensors on the meta device as they are, where they would be filled with numbers.

    They hold none. torch draws them all the same, and `normal_` imports its compiler for it
    (1.2 CPU seconds).
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWN or getattr(func, "__module__", None) == nn.init.__name__:
            tensor = kwargs.get("tensor", args[0] if args else None)
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


_DRAWN = (Tensor.normal_, Tensor.uniform_)


@contextmanager
def outlined() -> Iterator[None]:
    """Build modules on the meta device: shapes alone, nothing is stored and nothing drawn."""
    with torch.device("meta"), _Undrawn():
        yield


def build(make: Callable[[], M], what: str) -> M:
    """Build a module, if its parameters fit into memory.

    It is built on the meta device first, where nothing is stored and nothing drawn, and counted.
    A module that cannot be built there (one of somebody's own that computes while it is built)
    is not counted.

    Args:
        make: builds the module.
        what: what it is and where its sizes come from, for the message.

    Raises:
        SettingsError: it is larger than the memory that is left.
        Exception: whatever `make` raises.
    """
    require_memory(make, what)
    return make()


def require_memory(make: Callable[[], nn.Module], what: str) -> None:
    """See that a module would fit into memory, as `build` does, without building it.

    Raises:
        SettingsError: it is larger than the memory that is left.
        Exception: whatever `make` raises.
    """
    needed = _bytes_of(make, what)
    left = free_memory()
    if needed is not None and left is not None and needed > left:
        raise SettingsError(
            f"{what}: its parameters take {needed / 1e9:,.1f} GB, and {left / 1e9:,.1f} GB of "
            "memory are left; take smaller sizes."
        )


def _bytes_of(make: Callable[[], nn.Module], what: str) -> int | None:
    """Count the bytes of a module's parameters and buffers, or None where it cannot be counted."""
    try:
        with outlined():
            outline = make()
    except (RuntimeError, TypeError, OverflowError) as error:
        # What torch says of a size beyond 64 bits, or of a product of sizes that is.
        if "overflow" in str(error).lower():
            raise SettingsError(
                f"{what}: its sizes are beyond what torch can count; take smaller sizes."
            ) from None
        return None
    held = [*outline.parameters(), *outline.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def _serialised(tensors: Mapping[str, Tensor]) -> bytes:
    plain, seen = {}, set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        # Tied parameters share memory, which safetensors refuses: each name gets its own copy.
        if value.data_ptr() in seen or value.untyped_storage().nbytes() != value.nbytes:
            value = value.clone()
        seen.add(value.data_ptr())
        plain[name] = value
    return bytes(safetensors.torch.save(plain, metadata={"format": "pt"}))


def _write(path: str | os.PathLike[str], content: bytes) -> str:
    with atomic(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()
