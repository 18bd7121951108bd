"""The contract of a layer: build, bind, forward, backward; and chains, which networks are and containers hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.component import Component, settings_of
from nnscratch.errors import ContractError, ShapeError, UserError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.contract import broken, is_array, is_shape
from nnscratch.nn.equations import Equation, in_turn, largest
from nnscratch.nn.memory import LayerMemory, grant_memory
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import Moment


@dataclass(eq=False)
class Layer(Component, LayerMemory):
    """One step of a network: y = f(x), and dx from dy, where dx is the gradient of the loss with respect to x.

    A layer owns its buffers and writes results into them. `backward` overwrites the gradients of the layer's own
    parameters (dW, db: views of the network's gradient vector) and returns dx. Images are N,H,W,C.
    """

    kind: ClassVar[str] = "layer"

    equations: ClassVar[Mapping[str, str]] = {}
    """Of an element-wise layer: y from x, and dx from dy, in Python's arithmetic over x, y, dy and the layer's fields.

    `nnscratch explain` shows and computes them; an entry may use those before it.
    """
    joins: ClassVar[str] = ""
    """How a container makes y of what its chains give, as a graph shows it: "+"."""

    def __post_init__(self) -> None:
        self.own_memory()
        self.needs_dx = True
        self.path = ""
        self.moment = Moment()
        self.workers = Workers()

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        """The shape of y without N, for an x of that shape without N; declares the layer's arrays.

        A container builds its chains here. Raises ShapeError for an input the layer cannot take.
        """
        return input_shape

    def bind(self, parameters: Parameters) -> None:
        """Takes the declared arrays, once there is memory for them: `self.W, self.dW = parameters.arrays("weight")`."""

    def forward(self, x: Array, training: bool) -> Array:
        """y for a batch x (N, *input_shape)."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | None:
        """dx for the batch of the last forward, which was for training; None when nobody needs it (`needs_dx`)."""
        raise NotImplementedError

    def children(self) -> tuple[Chain, ...]:
        """The chains of layers that a container holds: what is asked of it below, it asks of them."""
        return ()

    def walk(self) -> Iterator[Layer]:
        """This layer and all that it holds, however deep."""
        yield self
        for chain in self.children():
            yield from chain.walk()

    def wire(self, dtype: npt.DTypeLike, moment: Moment, workers: Workers) -> None:
        """Tells the layer what all layers of a network share."""
        self.dtype, self.moment, self.workers = dtype, moment, workers

    def want_dx(self, wanted: bool) -> None:
        """Whether anybody needs dx."""
        self.needs_dx = wanted
        for chain in self.children():
            chain.want_dx(wanted)

    def expect(self, batch: int) -> None:
        """Batches of so many examples will come, for the most part: what costs time once a batch may depend on it."""

    @property
    def starts_from_data(self) -> bool:
        """Whether some weights depend on the data (whitening): `fit_to` is to be called before training."""
        return any(chain.starts_from_data for chain in self.children())

    def fit_to(self, x: Array) -> None:
        """Starts such weights from a batch of this layer's inputs, which all chains of a container are given."""
        for chain in self.children():
            chain.fit_to(x)

    def flops(self, input_shape: Shape, output_shape: Shape) -> int:
        """Multiplications and additions of the forward pass for one example; element-wise work is not counted."""
        return sum(summary.flops for chain in self.children() for summary in chain.summaries)

    def training_flops(self, input_shape: Shape, output_shape: Shape) -> int:
        """The same of the forward and the backward pass."""
        if self.children():
            return sum(chain.training_flops() for chain in self.children())
        return self.flops(input_shape, output_shape) * (1 + self.needs_dx)

    def activation_size(self, output_shape: Shape) -> int:
        """How many numbers the outputs for one example hold, this layer's own and those inside it."""
        own = 0 if self.returns_view else math.prod(output_shape)
        return own + sum(chain.activation_size() for chain in self.children())

    def kept_size(self, output_shape: Shape) -> int:
        """How many numbers it keeps for one example from forward to backward, with those inside it: y, if it has to."""
        own = 0 if not self.keeps_y or self.may_overwrite_x or self.returns_view else math.prod(output_shape)
        return own + sum(chain.kept_size() for chain in self.children())

    def kinks(self) -> Array | None:
        """Which side of its kinks every number of the last forward fell on; None for a smooth layer.

        The gradient check leaves out a weight whose step changes this: there is no derivative to compare with.
        """
        inside = [pattern.ravel() for chain in self.children() for pattern in chain.kinks()]
        return np.concatenate(inside) if inside else None

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        """Single entries of y by hand, from the numbers of the last forward, which was for training and made y of x.

        Of example n, the largest. An element-wise layer has its `equations`; any other brings this method.
        """
        if self.equations and x.shape == y.shape:
            at = (n, *largest(y[n]))
            lines = {name: formula for name, formula in self.equations.items() if not name.startswith("d")}
            yield from in_turn(lines, {**self._numbers(), "x": x[at]}, {"y": y[at]}, at)

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        """Single entries of dx and of the layer's own gradients, from the numbers of the last backward: the largest."""
        if dx is not None and self.equations and x.shape == y.shape:
            at = (n, *largest(dx[n]))
            values = {**self._numbers(), "x": x[at], "dy": dy[at]}
            lines = in_turn(self.equations, values, {"y": y[at], "dx": dx[at]}, at)
            yield from (line for line in lines if line.name.startswith("d"))

    def _numbers(self) -> dict[str, float]:
        """The settings that are numbers, by name."""
        settings = {each.name: getattr(self, each.name) for each in settings_of(self)}
        return {name: value for name, value in settings.items() if type(value) in (int, float)}


@dataclass(frozen=True)
class LayerSummary:
    """A row of the network table: shapes without N, parameters, and FLOP of the forward pass for one example."""

    path: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    flops: int
    trainable: int
    """Those of the parameters that are not frozen."""


class Chain:
    """y = f_n(... f_2(f_1(x))), and backward the other way round."""

    def __init__(self, layers: Sequence[Layer], field: str = "layers", *, dy_is_free: bool = False) -> None:
        self.layers = list(layers)
        self.field = field
        """What the holder of the chain calls its layers; of several chains at most one is called `layers`."""
        self.dy_is_free = dy_is_free
        """Nobody else reads the dy that `backward` is given: it may be overwritten."""
        self.summaries: list[LayerSummary] = []
        """A row per layer, in order."""

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        """The shape of the output; declares every layer's arrays under `<index>.<layer name>`.

        Before that stands the path of the container, and the field unless it is `layers`: `3.residual.shortcut.0.conv`.
        """
        shape = input_shape
        with nullcontext() if self.field == "layers" else parameters.scope(self.field):
            for index, layer in enumerate(self.layers):
                shape = self._build(index, layer, shape, parameters)
        self._share_memory()
        parameters.chains += 1
        return shape

    def _build(self, index: int, layer: Layer, shape: Shape, parameters: Parameters) -> Shape:
        declared, trainable, chains = parameters.size, parameters.trainable_size, parameters.chains
        with parameters.scope(f"{index}.{layer.name}") as layer.path:
            try:
                output_shape = layer.build(shape, parameters)
                if not is_shape(output_shape):
                    raise broken(type(layer).build, output_shape, f"the shape of y without N (of x it is {shape})")
                if any(size < 1 for size in output_shape):
                    raise ShapeError(f"an input of {shape} leaves nothing: {output_shape}")
            except ShapeError as error:
                raise error.inside(self.field, index, layer.path) from None
        inside = sum(len(each.children()) for each in layer.walk())
        if parameters.chains - chains != inside:
            raise UserError(
                f"{layer.path} built {parameters.chains - chains} chains, but its children() leads to {inside} of them",
                "a container gives every chain that it builds in children()",
            )
        flops = layer.flops(shape, output_shape)
        declared, trainable = parameters.size - declared, parameters.trainable_size - trainable
        self.summaries.append(LayerSummary(layer.path, shape, output_shape, declared, flops, trainable))
        return output_shape

    def _share_memory(self, place: str = "") -> None:
        grant_memory(self.layers, self.dy_is_free, place)
        for layer in self.layers:
            for number, chain in enumerate(layer.children()):
                chain._share_memory(f"{place}{number}.")

    def walk(self) -> Iterator[Layer]:
        """Every layer, those inside others included, each before what it holds."""
        for layer in self.layers:
            yield from layer.walk()

    def want_dx(self, wanted: bool) -> None:
        """Whether anybody needs dx of the chain; if not, nobody needs it below the first trained layer either."""
        for layer, summary in zip(self.layers, self.summaries, strict=True):
            layer.want_dx(wanted)
            if summary.trainable:
                return

    @property
    def starts_from_data(self) -> bool:
        """Whether some weights start from training inputs: call `fit_to` with a batch before training."""
        return any(layer.starts_from_data for layer in self.layers)

    def fit_to(self, x: Array) -> None:
        """Lets every layer whose weights start from data see a batch of its inputs, one layer after the other."""
        waiting = [index for index, layer in enumerate(self.layers) if layer.starts_from_data]
        for index in range(waiting[-1] + 1 if waiting else 0):
            if index:  # no sooner than needed: a layer keeps its memory for the largest batch it saw
                x = self.layers[index - 1].forward(x, training=False)
            self.layers[index].fit_to(x)

    def training_flops(self) -> int:
        """FLOP of one example's way forward and back: as many as forward for each dW and each dx that is wanted."""
        pairs = zip(self.layers, self.summaries, strict=True)
        return sum(layer.training_flops(summary.input_shape, summary.output_shape) for layer, summary in pairs)

    def activation_size(self) -> int:
        """How many numbers the layers' outputs for one example are."""
        pairs = zip(self.layers, self.summaries, strict=True)
        return sum(layer.activation_size(summary.output_shape) for layer, summary in pairs)

    def kept_size(self) -> int:
        """How many numbers for one example the layers keep from forward to backward."""
        pairs = zip(self.layers, self.summaries, strict=True)
        return sum(layer.kept_size(summary.output_shape) for layer, summary in pairs)

    def largest_passing(self) -> int:
        """How many numbers for one example the largest array has that a layer hands to its neighbour."""
        inside = [chain.largest_passing() for layer in self.layers for chain in layer.children()]
        own = [math.prod(shape) for row in self.summaries for shape in (row.input_shape, row.output_shape)]
        return max(own + inside, default=0)

    def training_size(self) -> int:
        """How many numbers for one example a step holds: what is kept, and the two arrays that are handed on."""
        return self.kept_size() + 2 * self.largest_passing()

    def kinks(self) -> Iterator[Array]:
        """The side of every kink that the last forward fell on, layer by layer."""
        for layer in self.layers:
            pattern = layer.kinks()
            if pattern is not None:
                yield pattern

    def forward(self, x: Array, training: bool = False) -> Array:
        """y, in a buffer that the next call overwrites."""
        N, y, index = len(x), x, 0
        try:
            for index in range(len(self.layers)):
                y = self.layers[index].forward(y, training)
        except Exception as error:  # of what the layer before returned, it may be
            if index and not is_array(y, (N, *self.summaries[index - 1].output_shape)):
                raise self._broken("forward", index - 1, N, y) from error
            raise
        if self.layers and not is_array(y, (N, *self.summaries[index].output_shape)):
            raise self._broken("forward", index, N, y)
        return y

    def backward(self, dy: Array) -> Array | None:
        """Fills every layer's gradients for the batch of the last forward; returns dx if somebody wants it."""
        N, gradient, index = len(dy), dy, len(self.layers)
        try:
            for index in reversed(range(len(self.layers))):
                dx = self.layers[index].backward(gradient)
                if dx is None:
                    if self.layers[index].needs_dx:
                        raise self._broken("backward", index, N, dx)
                    return None
                gradient = dx
        except Exception as error:
            above = index + 1
            if above < len(self.layers) and not is_array(gradient, (N, *self.summaries[above].input_shape)):
                raise self._broken("backward", above, N, gradient) from error
            raise
        return gradient

    def _broken(self, method: str, index: int, N: int, value: object) -> ContractError:
        summary = self.summaries[index]
        name, shape = ("y", summary.output_shape) if method == "forward" else ("dx", summary.input_shape)
        wanted = f"{name} of shape {(N, *shape)} (layer {summary.path})"
        return broken(getattr(type(self.layers[index]), method), value, wanted)
