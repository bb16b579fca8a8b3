"""Where numbers are computed: one function gives the device of a name."""

from typing import TypeAlias

import torch

from miacap.errors import SettingsError

Device: TypeAlias = str | torch.device
"""A name as torch has them ("cpu", "cuda:1"), or "auto"."""


def choose(device: Device = "auto") -> torch.device:
    """Give the device of a name; "auto" is a GPU where torch sees one.

    A `torch.device` is taken as it is: whoever made one knows it.

    Raises:
        SettingsError: no device of this name, or nothing can be computed there.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise SettingsError(f"no device named {device!r}; choose auto, cpu or cuda.") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device {device!r}: no GPU is usable here; choose auto or cpu.")
    try:
        torch.ones(1, device=chosen).item()  # some devices hold shapes and no numbers
    except (RuntimeError, AssertionError) as error:  # torch raises either
        what = str(error).partition("\n")[0]
        raise SettingsError(
            f"device {device!r} cannot be used ({what}); choose auto, cpu or cuda."
        ) from None
    return chosen
