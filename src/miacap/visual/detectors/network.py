"""An ONNX network through onnxruntime: one photo's input in, named arrays out.

The CPU computes, with a bounded number of threads and amount of memory; a GPU does where the
device is one and the installed onnxruntime has CUDA. No library of custom operators is ever
loaded.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from miacap import devices
from miacap.devices import Device
from miacap.errors import MissingExtra, RunError
from miacap.visual.detectors import onnx_file

MEMORY = 2 << 30
"""Bytes that networks may take on the CPU while they run."""

_MOST_THREADS = 4
_QUIET = 4  # onnxruntime's fatal errors alone; what it raises says the rest
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class OnnxNetwork:
    """A network of an ONNX file.

    Args:
        data: the bytes of the file.
        name: for messages.
        device: where it runs.

    Raises:
        MissingExtra: onnxruntime is not installed.
        RunError: no whole ONNX file, one whose weights lie elsewhere, one that onnxruntime
            cannot run, or one that asks for more than a photo.
    """

    def __init__(self, data: bytes, name: str, device: Device = "auto") -> None:
        onnx_file.check(data, name)
        runtime = _runtime()
        providers = _providers(runtime, device)
        self.name = name
        options = runtime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = min(_MOST_THREADS, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        _bound_memory(runtime)
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Threads that wait would otherwise spin, on cores that the backbone needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # onnxruntime would take bytes of either format by what stands in the fifth to the eighth.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = runtime.InferenceSession(data, options, providers=providers)
        except Exception as error:  # onnxruntime has a class for each kind of refusal
            raise RunError(f"{name}: onnxruntime cannot load it ({_short(error)}).") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES:
            asked = ", ".join(f"{one.name} ({one.type})" for one in inputs) or "nothing"
            raise RunError(
                f"{name}: a detector takes one array of pixels, and this one asks for {asked}; "
                "export it without further inputs."
            )
        self.input: Any = inputs[0]
        self.outputs: Mapping[str, Any] = {one.name: one for one in self._session.get_outputs()}

    def require_input(self, height: int, width: int) -> None:
        """See that the network takes photos of this size. Raises RunError."""
        shape = list(self.input.shape)
        wanted = [1, 3, height, width][-len(shape) :]
        fits = len(shape) in (3, 4) and all(
            not isinstance(own, int) or own == one for own, one in zip(shape, wanted, strict=True)
        )
        if not fits:
            raise RunError(
                f"{self.name}: takes an input of shape {shape}, and the description says "
                f"{wanted}; correct input.width and input.height."
            )

    def require_outputs(self, names: Sequence[str]) -> None:
        """See that the network has these outputs. Raises RunError that lists its own."""
        absent = [name for name in names if name not in self.outputs]
        if absent:
            raise RunError(
                f"{self.name}: has no output {absent[0]!r}, which the description names. Its "
                f"outputs: {', '.join(self.outputs)}."
            )

    def __call__(self, x: np.ndarray, names: Sequence[str]) -> list[torch.Tensor]:
        """Give the outputs of these names for one photo, 3 x height x width.

        Raises:
            RunError: onnxruntime fails, or an output is no array of numbers.
        """
        x = x.astype(_TYPES[self.input.type], copy=False)
        fed = {self.input.name: x if len(self.input.shape) == 3 else x[None]}
        try:
            found = self._session.run(list(names), fed)
        except Exception as error:  # see above
            raise RunError(f"{self.name}: onnxruntime fails on it ({_short(error)}).") from None
        for name, array in zip(names, found, strict=True):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
                raise RunError(f"{self.name}: output {name!r} is no array of numbers.")
        return [torch.from_numpy(np.ascontiguousarray(array)) for array in found]


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("detector", "An ONNX detector") from None
    return onnxruntime


@cache
def _bound_memory(runtime: Any) -> None:
    """Bound what networks take of memory while they run, all of them in this process together."""
    memory = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    runtime.create_and_register_allocator(memory, runtime.OrtArenaCfg({"max_mem": MEMORY}))


def _providers(runtime: Any, device: Device) -> list[Any]:
    chosen = devices.choose(device)
    if chosen.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": chosen.index or 0}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
