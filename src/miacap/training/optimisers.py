"""Optimisers by name, and their state as plain tensors."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from miacap.errors import RunError
from miacap.training.settings import TrainingSettings


def build(module: nn.Module, settings: TrainingSettings) -> Optimizer:
    """Build the optimiser of a module; vectors (biases, norms) are not decayed.

    Raises RunError where the module has no parameter to train.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    if not trained:
        raise RunError("The task's module has no parameter that asks for a gradient.")
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((matrices, settings.weight_decay), (vectors, 0.0))
        if parameters
    ]
    rate = settings.learning_rate
    # The fused kernels update all parameters in one pass, on the CPU as on a GPU.
    if settings.optimiser == "sgd":
        return SGD(groups, lr=rate, momentum=settings.momentum, fused=True)
    if settings.optimiser == "rmsprop":  # which has no fused kernel
        return RMSprop(groups, lr=rate, alpha=settings.rms_decay)
    kind = AdamW if settings.optimiser == "adamw" else Adam
    return kind(groups, lr=rate, betas=settings.betas, fused=True)


def clip(module: nn.Module, settings: TrainingSettings) -> None:
    """Clip the gradients: first their numbers, then their length, where asked for."""
    if settings.clip_value:
        nn.utils.clip_grad_value_(module.parameters(), settings.clip_value)
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


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
    for key, tensor in state.items():
        index, name = key.split(".", 1)
        # A fresh copy: kernels may round differently on memory of another alignment.
        values.setdefault(int(index), {})[name] = tensor.clone()
    optimiser.load_state_dict(
        {"state": values, "param_groups": optimiser.state_dict()["param_groups"]}
    )
