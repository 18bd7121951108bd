"""Averages of a network's outputs over changed copies of every image, for predictions that do not hang on chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network

Kind: TypeAlias = Literal["none", "flip", "flip_translate"]


def averaged_outputs(network: Network, x: Array, kind: Kind) -> Array:
    """The raw outputs y (N, ...) for a batch x (N, H, W, C), averaged over the views of that kind; not to be kept.

    flip: the image and its mirror image, half each. flip_translate: these, with half of the weight, and both shifted
    by one pixel up and left, and down and right, with the other half: 6 views (Jordan 2024, "94% on
    CIFAR-10", section 3.5).
    """
    if kind == "none":
        return network.forward(x)
    total: Array | None = None
    for view in VIEWS[kind]:
        y = network.forward(view(x))
        total = np.multiply(y, view.weight) if total is None else np.add(total, view.weight * y, out=total)
    assert total is not None
    return total


@dataclass(frozen=True)
class View:
    """One changed copy of every image, and what its outputs count; the weights of a kind's views add up to 1."""

    weight: float
    pixels: int = 0
    """Moved down and right by so many pixels (up and left when negative), the edge reflected."""
    is_flipped: bool = False
    """Left and right then change places."""

    def __call__(self, x: Array) -> Array:
        if self.pixels:
            around = abs(self.pixels)
            padded = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)), mode="reflect")
            start = around - self.pixels
            x = np.ascontiguousarray(padded[:, start : start + x.shape[1], start : start + x.shape[2]])
        return np.ascontiguousarray(x[:, :, ::-1]) if self.is_flipped else x


VIEWS: Mapping[Kind, tuple[View, ...]] = {
    "none": (View(1.0),),
    "flip": (View(0.5), View(0.5, 0, True)),
    "flip_translate": (
        *(View(0.25, 0, is_flipped) for is_flipped in (False, True)),
        *(View(0.125, pixels, is_flipped) for pixels in (-1, 1) for is_flipped in (False, True)),
    ),
}
