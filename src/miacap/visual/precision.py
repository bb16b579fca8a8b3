"""The kind of numbers in which a network sees photos, as a record says."""

from collections.abc import Callable

import torch
from torch import Tensor

from miacap.data.features import Precision
from miacap.errors import SettingsError


def computed(
    network: Callable[[Tensor], Tensor], x: Tensor, precision: Precision, device: torch.device
) -> Tensor:
    """Give what a network makes of photos, computed in a precision.

    Args:
        network: is called with `x` once.
        x: the photos.
        precision: of the record; "bfloat16" is torch's autocast: convolutions and products take
            and give bfloat16 and add up in float32, and what needs float32 stays there.
        device: where the network runs.

    Returns:
        float32 in either case, unless the network itself gives something else.

    Raises:
        SettingsError: nothing is computed in bfloat16 on this device.
    """
    if precision == "float32":
        return network(x)
    if not torch.amp.is_autocast_available(device.type):
        raise SettingsError(
            f"precision=bfloat16: not on the device {device.type!r}; choose cpu or cuda, or "
            "precision=float32."
        )
    with torch.autocast(device.type, dtype=torch.bfloat16):
        return network(x).float()
