"""What a detector found in a photo."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Detections(NamedTuple):
    """Pairs of a box and a class, the best first.

    Attributes:
        boxes: x0 y0 x1 y1 of each, relative to the whole photo, 0 to 1.
        scores: probability of each pair.
        classes: number of each pair's class.
        places: which of the network's boxes it is; a box comes once for each class that it
            may be.
    """

    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, " N"]
    classes: Int[Tensor, " N"]
    places: Int[Tensor, " N"]

    def distinct(self) -> "Detections":
        """Give each box once, with its best class."""
        first: dict[int, int] = {}
        for index, place in enumerate(self.places.tolist()):
            first.setdefault(place, index)
        return self.take(torch.tensor(list(first.values()), dtype=torch.long))

    def take(self, indices: Int[Tensor, " M"]) -> "Detections":
        """Give some of the pairs."""
        return Detections(*(values[indices] for values in self))
