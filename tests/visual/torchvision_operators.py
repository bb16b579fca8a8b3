"""Two operator schemas that torchvision's Python files ask for when they are imported.

A CUDA build of torchvision cannot load its compiled part beside a CPU torch; with these two
schemas its networks and timm's run all the same. Only tests do this.
"""

import torch

_LIBRARIES: list[torch.library.Library] = []


def register() -> None:
    """Define `torchvision::nms` and `torchvision::qnms`, once, where nothing else does."""
    if _LIBRARIES or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)
