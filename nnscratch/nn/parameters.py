"""Every trainable number of a network in one flat vector, its gradient in another, and the layers' named views of them.

So an optimizer, a moving average, clipping and a checkpoint are each one expression on one vector. Layers first declare
what they need; the network then allocates once. What is not trained but kept (running statistics) lives in `state`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.initializers import He, Initializer
from nnscratch.nn.random_streams import RandomStreams


@dataclass(frozen=True, order=True)
class Group:
    """What an optimizer must know of a parameter. The parameters of a group lie side by side."""

    frozen: bool = False
    decay: bool = True
    """Weight decay and L2 apply (weights, not biases)."""
    learning_rate_scale: float = 1.0


@dataclass(frozen=True)
class Segment:
    """A contiguous piece of the flat vector whose parameters share a group."""

    group: Group
    start: int
    stop: int


@dataclass(frozen=True)
class Placement:
    """Where one array lies in the flat vector."""

    shape: Shape
    group: Group
    place: slice


@dataclass(frozen=True)
class Declaration:
    """One array a layer asked for: its name, its shape, how it starts, and the attribute that will hold it."""

    name: str
    shape: Shape
    fans: tuple[int, int]
    initializer: Initializer
    group: Group
    owner: Any
    attribute: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Parameters:
    """The declared arrays of a network; after `allocate`, `theta`, `gradient` and `state` and the views of them."""

    values: Array
    """theta and, after it, state: all that makes the network what it is."""
    theta: Array
    gradient: Array
    state: Array

    def __init__(self, weight_init: Initializer | None = None, outputs: int | None = None) -> None:
        self.weight_init: Initializer = weight_init or He()
        """The initializer of layers that name none."""
        self.outputs = outputs
        """The width of a bare `dense`: the number of classes, or of regression targets."""
        self._scope = ""
        self._declared: list[Declaration] = []
        self._states: list[Declaration] = []
        self._slices: dict[str, slice] = {}
        self.segments: tuple[Segment, ...] = ()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names declared inside start with that name: `2.dense.weight`."""
        outer, self._scope = self._scope, f"{self._scope}{name}."
        try:
            yield
        finally:
            self._scope = outer

    def declare(
        self,
        owner: Any,
        attribute: str,
        name: str,
        shape: Shape,
        initializer: Initializer,
        *,
        fans: tuple[int, int] = (1, 1),
        group: Group | None = None,
    ) -> None:
        """Asks for a trainable array. On allocation, owner.<attribute> and owner.d<attribute> become views of it.

        `fans` is (inputs, outputs) of one unit, which the initializer scales by. Raises ShapeError when it cannot start
        an array of that shape.
        """
        initializer.require(shape)
        self._declared.append(
            Declaration(self._scope + name, shape, fans, initializer, group or Group(), owner, attribute)
        )

    def declare_state(self, owner: Any, attribute: str, name: str, shape: Shape, initializer: Initializer) -> None:
        """Asks for an array that is kept and saved but not trained; owner.<attribute> becomes a view of it."""
        declaration = Declaration(self._scope + name, shape, (1, 1), initializer, Group(frozen=True), owner, attribute)
        self._states.append(declaration)

    @property
    def size(self) -> int:
        """How many numbers are declared, frozen ones included."""
        return sum(declaration.size for declaration in self._declared)

    @property
    def values_size(self) -> int:
        """How many numbers make the network what it is: theta and state."""
        return self.size + sum(declaration.size for declaration in self._states)

    @property
    def trainable_size(self) -> int:
        """How many numbers an optimizer changes; they are the front of `theta`."""
        return sum(declaration.size for declaration in self._declared if not declaration.group.frozen)

    @property
    def trainable_names(self) -> tuple[str, ...]:
        """The names of the arrays that an optimizer changes."""
        return tuple(each.name for each in self._declared if not each.group.frozen)

    @property
    def placements(self) -> list[Placement]:
        """Every declared array, in the order of the layers; after `allocate`."""
        return [Placement(each.shape, each.group, self._slices[each.name]) for each in self._declared]

    def allocate(self, dtype: npt.DTypeLike = np.float32) -> None:
        """Makes the vectors, ordered by group (frozen last), and gives every owner its views."""
        try:
            self.values, self.gradient = np.zeros(self.values_size, dtype), np.zeros(self.size, dtype)
        except ValueError:  # more than an index can count
            raise MemoryError(f"{self.size:,} weights") from None
        self.theta, self.state = self.values[: self.size], self.values[self.size :]
        segments: list[Segment] = []
        start = 0
        # Stable: declaration order within a group.
        for declaration in sorted(self._declared, key=lambda declaration: declaration.group):
            stop = start + declaration.size
            place = self._slices[declaration.name] = slice(start, stop)
            setattr(declaration.owner, declaration.attribute, self.theta[place].reshape(declaration.shape))
            setattr(declaration.owner, "d" + declaration.attribute, self.gradient[place].reshape(declaration.shape))
            if segments and segments[-1].group == declaration.group:
                segments[-1] = Segment(declaration.group, segments[-1].start, stop)
            else:
                segments.append(Segment(declaration.group, start, stop))
            start = stop
        self.segments = tuple(segments)

        start = 0
        for declaration in self._states:
            place = self._slices[declaration.name] = slice(start, start + declaration.size)
            setattr(declaration.owner, declaration.attribute, self.state[place].reshape(declaration.shape))
            start = place.stop

    def initialize(self, streams: RandomStreams) -> None:
        """Fills every array from its own stream, so a layer added at the end leaves the others as they were."""
        for vector, declarations in ((self.theta, self._declared), (self.state, self._states)):
            for each in declarations:
                rng = streams.stream("initialization of " + each.name)
                vector[self._slices[each.name]] = each.initializer.values(each.shape, each.fans, rng).ravel()

    def named(self, vector: Array | None = None) -> dict[str, Array]:
        """Views by name and shape of `theta`, or of any vector laid out like it (a gradient, an optimizer's state)."""
        vector = self.theta if vector is None else vector
        return {each.name: vector[self._slices[each.name]].reshape(each.shape) for each in self._declared}

    def named_state(self, vector: Array | None = None) -> dict[str, Array]:
        """Views by name of what is kept but not trained: of `state`, or of any vector laid out like it."""
        vector = self.state if vector is None else vector
        return {each.name: vector[self._slices[each.name]].reshape(each.shape) for each in self._states}

    def load(self, arrays: Mapping[str, Array], vector: Array | None = None) -> None:
        """Copies arrays by name into `theta` (or a vector like it); every name and shape must match, or nothing is."""
        copy_by_name(arrays, self.named(vector))

    def load_state(self, arrays: Mapping[str, Array], vector: Array | None = None) -> None:
        """Copies arrays by name into `state`, or a vector like it."""
        copy_by_name(arrays, self.named_state(vector))


def copy_by_name(arrays: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
    """Copies every array into the target of its name; raises UserError, having changed nothing, when they differ."""
    missing, extra = sorted(targets.keys() - arrays.keys()), sorted(arrays.keys() - targets.keys())
    problems = [f"missing {name}" for name in missing] + [f"unknown {name}" for name in extra]
    problems += [
        f"{name} has shape {arrays[name].shape}, the network has {target.shape}"
        for name, target in targets.items()
        if name in arrays and arrays[name].shape != target.shape
    ]
    if problems:
        raise UserError("these weights are not of this network: " + "; ".join(problems))
    for name, target in targets.items():
        target[...] = arrays[name]
