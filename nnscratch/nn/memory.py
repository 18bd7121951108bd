"""Whose memory a layer writes into: who needs an array again decides, once a chain is built.

An array that a backward pass reads again stays in memory of the layer that made it. One that only the neighbour reads
(most gradients, and the outputs that are put into another form at once) goes through two arrays that all layers share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.buffers import Array, Buffers, Shape
from nnscratch.nn.compute.workers import Workers


class LayerMemory:
    """What a layer says of its needs, what it is granted, and the arrays that follow from both."""

    backward_needs_input: ClassVar[bool] = True
    """backward reads x again, so nobody may overwrite it before. False, where that is so, saves memory."""
    backward_needs_output: ClassVar[bool] = False
    """backward reads y again."""
    returns_view: ClassVar[bool] = False
    """y is x under another shape."""
    works_in_place: ClassVar[bool] = False
    """forward writes y over x where that is granted, as `y_like` and `forward_by` do."""

    def own_memory(self) -> None:
        """Gives the layer memory, in which it keeps everything until a chain grants more."""
        self.buffers = Buffers()
        self.dtype: npt.DTypeLike = np.float32
        self.workers = Workers()
        self.may_overwrite_x = self.may_overwrite_dy = False
        self.keeps_y, self.place = True, ""

    def needs_x_again(self) -> bool:
        """Whether backward reads x again, once the layer is built."""
        return self.backward_needs_input

    def buffer(self, name: str, shape: Shape, dtype: npt.DTypeLike | None = None) -> Array:
        """The layer's own memory of that name and shape, reused from step to step."""
        return self.buffers.get(name, shape, self.dtype if dtype is None else dtype)

    def scratch(self, name: str, like: Array) -> Array:
        """Memory of that shape and type for what a piece of work needs on its way, and nobody after it."""
        return self.workers.scratch(name, like.shape, like.dtype)

    def y_buffer(self, shape: Shape, x: Array) -> Array:
        """Where y of that shape goes, if it does not go over x."""
        return self.buffer("y", shape) if self.keeps_y else self._passing(shape, x)

    def dx_buffer(self, shape: Shape, dy: Array) -> Array:
        """Where dx of that shape goes, if it does not go over dy: nobody reads it for long."""
        return self._passing(shape, dy)

    def _passing(self, shape: Shape, beside: Array) -> Array:
        """Memory for what the neighbour alone reads: of two arrays the one in which `beside` does not lie."""
        first = self.workers.scratch(f"{self.place}passing", shape, self.dtype)
        if not np.may_share_memory(first, beside):
            return first
        return self.workers.scratch(f"{self.place}passing too", shape, self.dtype)

    def y_like(self, x: Array) -> Array:
        """Where an element-wise layer writes y: over x when granted, unless its numbers do not lie in order."""
        return x if self.may_overwrite_x and x.flags.c_contiguous else self.y_buffer(x.shape, x)

    def dx_like(self, dy: Array) -> Array:
        """Where an element-wise layer writes dx: over dy when granted, likewise."""
        return dy if self.may_overwrite_dy and dy.flags.c_contiguous else self.dx_buffer(dy.shape, dy)

    def forward_by(self, formula: Callable[..., object], x: Array, *more: Array) -> Array:
        """y of an element-wise layer, which formula(x, *more, y) writes, of a large batch in pieces that cores share.

        y may lie over x, number upon number: the formula must have read x before it writes there.
        """
        y = self.y_like(x)
        self.workers.elementwise(formula, x, *more, y)
        return y

    def backward_by(self, formula: Callable[..., object], dy: Array, *more: Array) -> Array:
        """dx of an element-wise layer, which formula(dy, *more, dx) writes, likewise."""
        dx = self.dx_like(dy)
        self.workers.elementwise(formula, dy, *more, dx)
        return dx


def grant_memory(layers: Sequence[LayerMemory], dy_is_free: bool, place: str) -> None:
    """Tells every layer of a chain what it may overwrite and what it has to keep; dy: whether the chain's is free.

    A layer may write over its input when the layer that made it does not need it again for its own backward pass, and
    it does not itself; a view passes its maker's wish on. The chain's input belongs to others. The gradient that
    arrives from above is free unless somebody outside the chain shares it, which only the last layer (and views before
    it) can meet.

    An output has to be kept when its layer needs it again or the next one does, also through views and what was
    written over it; and that of the chain, which is for others. Chains inside one another, or side by side in a
    container, are alive together: each is at a place of its own, where it shares memory with those before and after it.
    """
    needed = True
    for layer in layers:
        layer.may_overwrite_x = layer.works_in_place and not needed and not layer.needs_x_again()
        needed = layer.backward_needs_output or (layer.returns_view and needed)
    needed = True
    for layer in reversed(layers):
        layer.place, layer.keeps_y = place, needed or layer.backward_needs_output
        is_same_memory = layer.may_overwrite_x or layer.returns_view
        needed = layer.needs_x_again() or (is_same_memory and layer.keeps_y)
    free = dy_is_free
    for layer in reversed(layers):
        layer.may_overwrite_dy = free
        free = free or not layer.returns_view
