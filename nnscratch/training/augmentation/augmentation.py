"""Random changes of training images that keep what they show.

Two kinds, in any number. A `Movement` says for every pixel of the batch where it comes from; all of them together cost
one gather of bytes, straight from the data set. A `Change` works on the scaled numbers afterwards. So movements come
first, whatever their order in the config; a colour or a hole does not mind being moved earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import Component
from nnscratch.errors import ContractError
from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.contract import broken, is_array


@dataclass(frozen=True)
class Augmentation(Component):
    """A random change of a batch of images (N, H, W, C), from the stream of its own for this epoch and batch."""

    kind: ClassVar[str] = "augmentation"

    def __post_init__(self) -> None:
        if not isinstance(self, Movement | Change):
            raise ContractError(f"{type(self).__name__} is neither a Movement nor a Change: nothing would apply it")

    def misfit(self, height: int, width: int) -> str | None:
        """Why it leaves nothing of images of that size; None: it does."""
        return None


@dataclass
class Origins:
    """Where pixels come from: new[n, i, j] = old[n, down[n, i], across[n, j]]."""

    down: Array
    """(N, H) rows of the old image."""
    across: Array
    """(N, W) columns of the old image."""

    @classmethod
    def unmoved(cls, N: int, H: int, W: int) -> Origins:
        return cls(np.tile(np.arange(H), (N, 1)), np.tile(np.arange(W), (N, 1)))


@dataclass(frozen=True)
class Movement(Augmentation):
    """A change of places: flips and translations."""

    def move(self, origins: Origins, epoch: int, rows: Array, rng: np.random.Generator) -> None:
        """Changes the origins in place; rows are the examples' numbers in the data set."""
        raise NotImplementedError


@dataclass(frozen=True)
class Change(Augmentation):
    """A change of numbers: colours, holes, mixtures."""

    def apply(self, x: Array, t: Array, classes: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """The changed x (in place where it can be) and targets t; labels are 0..classes-1."""
        raise NotImplementedError


def moved_pixels(inputs: Array, rows: Array, origins: Origins, buffers: Buffers) -> Array:
    """The images `rows` of inputs (M, H, W, C) with their pixels moved, in a buffer."""
    _, H, W, C = inputs.shape
    shape = (len(rows), H, W)
    source = buffers.get("source", shape, np.intp)
    np.add((rows[:, None] * (H * W) + origins.down * W)[:, :, None], origins.across[:, None, :], out=source)
    moved = buffers.get("moved", (*shape, C), inputs.dtype)
    # A pixel's channels move as one: a gather of void items of their size.
    pixel = np.dtype(f"V{C * inputs.itemsize}") if C > 1 else inputs.dtype
    pixels = np.ascontiguousarray(inputs).reshape(-1).view(pixel)
    np.take(pixels, source, out=moved.reshape(-1).view(pixel).reshape(shape), mode="clip")
    return moved


def move(
    augmentations: Sequence[tuple[Augmentation, np.random.Generator]], origins: Origins, epoch: int, rows: Array
) -> bool:
    """Lets every movement change the origins; whether there was one."""
    movements = [(each, rng) for each, rng in augmentations if isinstance(each, Movement)]
    H, W = origins.down.shape[1], origins.across.shape[1]
    for movement, rng in movements:
        given: object = movement.move(origins, epoch, rows, rng)  # type: ignore[func-returns-value]  # of others it may
        if given is not None:
            raise broken(type(movement).move, given, "None: it writes into the arrays of origins")
        for axis, size in ((origins.down, H), (origins.across, W)):
            if axis.min(initial=0) < 0 or axis.max(initial=0) >= size:
                raise ContractError(
                    f"{type(movement).__name__}.move takes pixels from outside the image: origins from "
                    f"{axis.min()} to {axis.max()}, where there are 0 to {size - 1}"
                )
    return bool(movements)


def change(
    augmentations: Sequence[tuple[Augmentation, np.random.Generator]], x: Array, t: Array, classes: int
) -> tuple[Array, Array]:
    """x and t after every change."""
    for each, rng in augmentations:
        if isinstance(each, Change):
            x, t = _changed(each, x, t, classes, rng)
    return x, t


def _changed(change: Change, x: Array, t: Array, classes: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """What `apply` gives. Raises ContractError when that is something else than x and t of as many examples."""
    method, shape, count = type(change).apply, x.shape, len(t)
    given: object = change.apply(x, t, classes, rng)
    if not isinstance(given, tuple) or len(given) != 2:
        raise broken(method, given, "a pair of x and t")
    x, t = given
    if not is_array(x, shape):
        raise broken(method, x, f"x of shape {shape} before t")
    if not isinstance(t, np.ndarray) or len(t) != count:
        raise broken(method, t, f"t of {count} examples after x")
    return x, t
