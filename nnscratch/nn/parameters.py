"""Every trainable number of a network in one flat vector, its gradient in another, and the layers' named views of them.

So an optimizer, a moving average, clipping and a checkpoint are each one expression on one vector. Layers first declare
what they need; the network then allocates once. What is not trained but kept (running statistics) lives in `state`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.contract import broken, is_array
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
    """One array a layer asked for: its name, its shape, and how it starts."""

    name: str
    shape: Shape
    fans: tuple[int, int]
    initializer: Initializer
    group: Group
    parts: int = 1

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def start(self, rng: np.random.Generator) -> Array:
        """The starting values: every part of the last axis by itself, where that makes a difference."""
        parts = self.parts if self.initializer.starts_parts else 1
        shape = (*self.shape[:-1], self.shape[-1] // parts) if parts > 1 else self.shape
        values = [self.initializer.values(shape, self.fans, rng) for _ in range(parts)]
        for value in values:
            if not is_array(value, shape):
                raise broken(type(self.initializer).values, value, f"an array of shape {shape}")
        return np.concatenate(values, axis=-1) if parts > 1 else values[0]


class Parameters:
    """The declared arrays of a network; after `allocate`, `theta`, `gradient` and `state` and the views of them.

    A layer's `build` says `parameters.declare("weight", (D, units), He(), fans=(D, units))`, and its `bind`, once there
    is memory, `self.W, self.dW = parameters.arrays("weight")`.
    """

    values: Array
    """theta and, after it, state: all that makes the network what it is."""
    theta: Array
    gradient: Array
    state: Array

    def __init__(
        self, weight_init: Initializer | None = None, outputs: int | None = None, freeze: Sequence[str] = ()
    ) -> None:
        self.weight_init: Initializer = weight_init or He()
        """The initializer of layers that name none."""
        self.outputs = outputs
        """The width of a bare `dense`: the number of classes, or of regression targets."""
        self.freeze = tuple(freeze)
        """The arrays that keep their starting values: by name, or by the path of the layer that has them."""
        self._scope = ""
        self._declared: dict[str, Declaration] = {}
        self._states: dict[str, Declaration] = {}
        self._slices: dict[str, slice] = {}
        self._declared_numbers = {False: 0, True: 0}
        """How many are declared that are not frozen, and that are: counted here, for every layer asks."""
        self.segments: tuple[Segment, ...] = ()
        self.chains = 0
        """How many chains of layers have declared what they need."""

    @contextmanager
    def scope(self, name: str) -> Iterator[str]:
        """Inside, `weight` is `2.dense.weight` for the name `2.dense`; scopes nest. Gives the path of all of them."""
        outer, self._scope = self._scope, f"{self._scope}{name}."
        try:
            yield self._scope.removesuffix(".")
        finally:
            self._scope = outer

    def declare(
        self,
        name: str,
        shape: Shape,
        initializer: Initializer,
        *,
        fans: tuple[int, int] = (1, 1),
        group: Group | None = None,
        parts: int = 1,
    ) -> None:
        """Asks for a trainable array, which `arrays` gives after the allocation.

        `fans` is (inputs, outputs) of one unit, which the initializer scales by; so many `parts` of the last axis start
        by themselves, as the groups of a convolution. Raises ShapeError when it cannot start an array of that shape.
        """
        initializer.require(shape)
        own = group or Group()
        if is_among(self._scope + name, self.freeze):
            own = replace(own, frozen=True)
        declaration = Declaration(self._scope + name, shape, fans, initializer, own, parts)
        self._add(self._declared, declaration)
        self._declared_numbers[declaration.group.frozen] += declaration.size

    def declare_state(self, name: str, shape: Shape, initializer: Initializer) -> None:
        """Asks for an array that is kept and saved but not trained, which `state_array` gives after the allocation."""
        self._add(self._states, Declaration(self._scope + name, shape, (1, 1), initializer, Group(frozen=True)))

    def _add(self, declarations: dict[str, Declaration], declaration: Declaration) -> None:
        name = declaration.name
        if name in self._declared or name in self._states:
            raise UserError(
                f"the array {name} is declared twice",
                "chains of one container are told apart by their field: Chain(layers, 'left'), Chain(layers, 'right')",
            )
        declarations[name] = declaration

    def arrays(self, name: str) -> tuple[Array, Array]:
        """The declared array of that name and its gradient, such as W and dW: views of `theta` and `gradient`."""
        declaration = self._declared[self._scope + name]
        return self._view(self.theta, declaration), self._view(self.gradient, declaration)

    def state_array(self, name: str) -> Array:
        """The array of that name that is kept but not trained: a view of `state`."""
        return self._view(self.state, self._states[self._scope + name])

    def _view(self, vector: Array, declaration: Declaration) -> Array:
        return vector[self._slices[declaration.name]].reshape(declaration.shape)

    @property
    def freezes_this_layer(self) -> bool:
        """Whether all of the layer that is being built keeps its starting values: its running statistics, too."""
        return is_among(self._scope.removesuffix("."), self.freeze)

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every declared array by its name."""
        return {name: each.shape for name, each in self._declared.items()}

    @property
    def state_shapes(self) -> dict[str, Shape]:
        """The same of what is kept but not trained."""
        return {name: each.shape for name, each in self._states.items()}

    @property
    def size(self) -> int:
        """How many numbers are declared, frozen ones included."""
        return self._declared_numbers[False] + self._declared_numbers[True]

    @property
    def values_size(self) -> int:
        """How many numbers make the network what it is: theta and state."""
        return self.size + sum(each.size for each in self._states.values())

    @property
    def trainable_size(self) -> int:
        """How many numbers an optimizer changes; they are the front of `theta`."""
        return self._declared_numbers[False]

    @property
    def trainable_names(self) -> tuple[str, ...]:
        """The names of the arrays that an optimizer changes."""
        return tuple(name for name, each in self._declared.items() if not each.group.frozen)

    @property
    def paths(self) -> list[str]:
        """The paths of the layers that have such arrays, in the order of the layers."""
        return list(dict.fromkeys(name.rpartition(".")[0] for name in self._declared))

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the arrays that are kept but not trained."""
        return tuple(self._states)

    @property
    def placements(self) -> list[Placement]:
        """Every declared array, in the order of the layers; after `allocate`."""
        return [Placement(each.shape, each.group, self._slices[name]) for name, each in self._declared.items()]

    def allocate(self, dtype: npt.DTypeLike = np.float32) -> None:
        """Makes the vectors, ordered by group (frozen last); layers then take their views of them (`Layer.bind`)."""
        try:
            self.values, self.gradient = np.zeros(self.values_size, dtype), np.zeros(self.size, dtype)
        except ValueError:  # more than an index can count
            raise MemoryError(f"{self.size:,} weights") from None
        self._divide()
        segments: list[Segment] = []
        start = 0
        # Stable: declaration order within a group.
        for each in sorted(self._declared.values(), key=lambda declaration: declaration.group):
            stop = start + each.size
            self._slices[each.name] = slice(start, stop)
            if segments and segments[-1].group == each.group:
                segments[-1] = Segment(each.group, segments[-1].start, stop)
            else:
                segments.append(Segment(each.group, start, stop))
            start = stop
        self.segments = tuple(segments)

        start = 0
        for each in self._states.values():
            self._slices[each.name] = slice(start, start + each.size)
            start += each.size

    def move(self, values: Array, gradient: Array) -> None:
        """Puts the vectors into that memory; layers then take their views anew (`Layer.bind`)."""
        np.copyto(values, self.values)
        np.copyto(gradient, self.gradient)
        self.values, self.gradient = values, gradient
        self._divide()

    def _divide(self) -> None:
        self.theta, self.state = self.values[: self.size], self.values[self.size :]

    def initialize(self, streams: RandomStreams) -> None:
        """Fills every array from its own stream, so a layer added at the end leaves the others as they were."""
        for vector, declarations in ((self.theta, self._declared), (self.state, self._states)):
            for name, each in declarations.items():
                rng = streams.stream("initialization of " + name)
                vector[self._slices[name]] = each.start(rng).ravel()

    def named(self, vector: Array | None = None) -> dict[str, Array]:
        """Views by name and shape of `theta`, or of any vector laid out like it (a gradient, an optimizer's state)."""
        vector = self.theta if vector is None else vector
        return {name: self._view(vector, each) for name, each in self._declared.items()}

    def named_state(self, vector: Array | None = None) -> dict[str, Array]:
        """Views by name of what is kept but not trained: of `state`, or of any vector laid out like it."""
        vector = self.state if vector is None else vector
        return {name: self._view(vector, each) for name, each in self._states.items()}

    def require(self, arrays: Mapping[str, Array], state: Mapping[str, Array]) -> None:
        """Raises UserError when these are not the arrays of `load` and `load_state`; needs no allocated network."""
        for found, declared in ((arrays, self.shapes), (state, self.state_shapes)):
            _require_alike(found, declared)

    def load(self, arrays: Mapping[str, Array], vector: Array | None = None) -> None:
        """Copies arrays by name into `theta` (or a vector like it); every name and shape must match, or nothing is."""
        copy_by_name(arrays, self.named(vector))

    def load_state(self, arrays: Mapping[str, Array], vector: Array | None = None) -> None:
        """Copies arrays by name into `state`, or a vector like it."""
        copy_by_name(arrays, self.named_state(vector))


def is_among(name: str, listed: Iterable[str]) -> bool:
    """Whether the list has the array, or a layer that it is in: `2.dense` has `2.dense.weight`."""
    return any(name == each or name.startswith(f"{each}.") for each in listed)


def copy_by_name(arrays: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
    """Copies every array into the target of its name; raises UserError, having changed nothing, when they differ."""
    _require_alike(arrays, {name: target.shape for name, target in targets.items()})
    for name, target in targets.items():
        target[...] = arrays[name]


def _require_alike(arrays: Mapping[str, Array], shapes: Mapping[str, Shape]) -> None:
    missing, extra = sorted(shapes.keys() - arrays.keys()), sorted(arrays.keys() - shapes.keys())
    problems = [f"missing {name}" for name in missing] + [f"unknown {name}" for name in extra]
    problems += [
        f"{name} has shape {arrays[name].shape}, the network has {shape}"
        for name, shape in shapes.items()
        if name in arrays and arrays[name].shape != shape
    ]
    if problems:
        raise UserError("these weights are not of this network: " + "; ".join(problems))
