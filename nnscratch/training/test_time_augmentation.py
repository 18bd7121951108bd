"""Averages of a network's outputs over changed copies of every image, for predictions that do not hang on chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network

Kind: TypeAlias = Literal["none", "flip", "flip_translate"]

View: TypeAlias = Callable[[Array], Array]


def averaged_outputs(network: Network, x: Array, kind: Kind) -> Array:
    """The raw outputs y (N, ...) for a batch x (N, H, W, C), averaged over the views of that kind; not to be kept.

    flip: the image and its mirror image, half each. flip_translate: these, with half of the weight, and both shifted
    by one pixel up and left, and down and right, with the other half: 6 views (Jordan 2024, section 3.5).
    """
    if kind == "none":
        return network.forward(x)
    total: Array | None = None
    for weight, view in views(kind):
        y = network.forward(view(x))
        total = np.multiply(y, weight) if total is None else np.add(total, weight * y, out=total)
    assert total is not None
    return total


def views(kind: Kind) -> Iterator[tuple[float, View]]:
    """Every view of that kind with its weight; the weights add up to 1."""
    if kind == "none":
        yield 1.0, unchanged
    elif kind == "flip":
        yield 0.5, unchanged
        yield 0.5, flipped
    else:
        yield 0.25, unchanged
        yield 0.25, flipped
        for pixels in (-1, 1):
            yield 0.125, partial(shifted, pixels=pixels)
            yield 0.125, partial(flipped_and_shifted, pixels=pixels)


def unchanged(x: Array) -> Array:
    return x


def flipped(x: Array) -> Array:
    """Left and right change places."""
    return np.ascontiguousarray(x[:, :, ::-1])


def shifted(x: Array, pixels: int) -> Array:
    """Moved down and right by that many pixels (up and left when negative), the edge reflected."""
    around = abs(pixels)
    padded = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)), mode="reflect")
    start = around - pixels
    return np.ascontiguousarray(padded[:, start : start + x.shape[1], start : start + x.shape[2]])


def flipped_and_shifted(x: Array, pixels: int) -> Array:
    return flipped(shifted(x, pixels))
