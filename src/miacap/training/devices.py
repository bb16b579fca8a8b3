"""Bring a batch to a device, whatever it is made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch


def to(batch: Any, device: torch.device) -> Any:
    """Move tensors, and what holds them, to a device; everything else passes through."""
    if device.type == "cpu":
        return batch
    if isinstance(batch, torch.Tensor) or callable(getattr(batch, "to", None)):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: to(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(to(value, device) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        values = {f.name: to(getattr(batch, f.name), device) for f in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **values)
    return batch
