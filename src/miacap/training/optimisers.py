"""Optimisers by name, and their state as plain tensors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from miacap.errors import RunError
from miacap.training.settings import TrainingSettings
from miacap.training.task import ParameterGroup

_FACTOR = "factor"
"""Of a group: what every learning rate is multiplied by."""


def build(
    module: nn.Module, settings: TrainingSettings, groups_of: Sequence[ParameterGroup] = ()
) -> Optimizer:
    """Build the optimiser of a module; vectors (biases, norms) are not decayed.

    Args:
        module: whose parameters are trained.
        settings: which optimiser, rates and decay.
        groups_of: parameters that learn at rates of their own; all others as the settings say.

    Raises:
        RunError: the module has no parameter to train, or one is in two groups.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    if not trained:
        raise RunError("The task's module has no parameter that asks for a gradient.")
    groups = _groups(trained, settings, groups_of)
    rate = settings.learning_rate
    # The fused kernels update all parameters in one pass, on the CPU as on a GPU.
    if settings.optimiser == "sgd":
        return SGD(groups, lr=rate, momentum=settings.momentum, fused=True)
    if settings.optimiser == "rmsprop":  # which has no fused kernel
        return RMSprop(groups, lr=rate, alpha=settings.rms_decay)
    kind = AdamW if settings.optimiser == "adamw" else Adam
    return kind(groups, lr=rate, betas=settings.betas, fused=True)


def _groups(
    trained: Sequence[nn.Parameter], settings: TrainingSettings, own: Sequence[ParameterGroup]
) -> list[dict[str, Any]]:
    """Give the optimiser's groups, those that learn as the settings say first."""
    grouped = [id(parameter) for group in own for parameter in group.parameters]
    if len(set(grouped)) < len(grouped):
        raise RunError("The task puts a parameter into two groups.")
    chosen, known = {id(parameter) for parameter in trained}, set(grouped)
    rest = ParameterGroup([p for p in trained if id(p) not in known])
    found = []
    for group in (rest, *own):
        parameters = [p for p in group.parameters if id(p) in chosen]
        decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        for some, decayed in ((matrices, decay), (vectors, 0.0)):
            if some:
                found.append({"params": some, "weight_decay": decayed, _FACTOR: group.rate})
    return found


def clip(module: nn.Module, settings: TrainingSettings) -> None:
    """Clip the gradients: first their numbers, then their length, where asked for."""
    if settings.clip_value:
        nn.utils.clip_grad_value_(module.parameters(), settings.clip_value)
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Use this learning rate from the next step on, each group its own part of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group[_FACTOR]


def tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """Give the state as `{index of the parameter}.{name}` -> tensor, step counts included."""
    state = {}
    for index, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                state[f"{index}.{name}"] = torch.as_tensor(value)
    return state


def restore(optimiser: Optimizer, state: dict[str, Tensor]) -> None:
    """Put back what `tensors` gave."""
    values: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, tensor in state.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # Laid out as the parameter is (channels last): fused kernels go through memory.
            copied = torch.empty_like(parameter, dtype=tensor.dtype, device="cpu").copy_(tensor)
        else:
            # A fresh copy: kernels may round differently on memory of another alignment.
            copied = tensor.clone()
        values.setdefault(int(index), {})[name] = copied
    optimiser.load_state_dict(
        {"state": values, "param_groups": optimiser.state_dict()["param_groups"]}
    )
