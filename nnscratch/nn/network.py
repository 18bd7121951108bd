"""A chain of layers over one flat vector of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnscratch.errors import ShapeError, UserError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import Moment, RandomStreams


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

    def __init__(self, layers: Sequence[Layer], field: str = "layers") -> None:
        self.layers = list(layers)
        self.field = field
        """What the list of these layers is called in a config."""
        self.summaries: list[LayerSummary] = []

    def build(self, input_shape: Shape, parameters: Parameters, path: str = "") -> Shape:
        """The shape of the output; declares every layer's arrays under `<index>.<layer name>`."""
        shape = input_shape
        for index, layer in enumerate(self.layers):
            layer.path = f"{path}{index}.{layer.name}"
            declared, trainable = parameters.size, parameters.trainable_size
            with parameters.scope(f"{index}.{layer.name}"):
                try:
                    output_shape = layer.build(shape, parameters)
                    if any(size < 1 for size in output_shape):
                        raise ShapeError(f"an input of {shape} leaves nothing: {output_shape}")
                except ShapeError as error:
                    raise error.inside(self.field, index, layer.path) from None
            flops = layer.flops(shape, output_shape)
            declared, trainable = parameters.size - declared, parameters.trainable_size - trainable
            self.summaries.append(LayerSummary(layer.path, shape, output_shape, declared, flops, trainable))
            shape = output_shape
        return shape

    def wire(
        self, dtype: npt.DTypeLike, moment: Moment, workers: Workers, *, input_is_free: bool, dy_is_free: bool
    ) -> None:
        """Tells every layer what it shares with the others, and what it may overwrite.

        A layer may write over its input when the layer that made it does not need it again for its own backward pass,
        and it does not itself; a view passes its maker's wish on. The gradient that arrives from above is free unless
        somebody outside the chain shares it, which only the last layer (and views before it) can meet.
        """
        kept = not input_is_free
        for layer in self.layers:
            layer.wire(dtype, moment, workers)
            layer.may_overwrite_x = not kept and not layer.backward_needs_input
            kept = layer.backward_needs_output or (layer.returns_view and kept)
        free = dy_is_free
        for layer in reversed(self.layers):
            layer.may_overwrite_dy = free
            free = free or not layer.returns_view

    def want_dx(self, wanted: bool) -> None:
        """Whether anybody needs dx of the chain; if not, nobody needs it below the first trained layer either."""
        for layer, summary in zip(self.layers, self.summaries, strict=True):
            layer.want_dx(wanted)
            if summary.trainable:
                return

    def training_flops(self) -> int:
        """Multiplications and additions of one example's way forward and back."""
        pairs = zip(self.layers, self.summaries, strict=True)
        return sum(layer.training_flops(summary.input_shape, summary.output_shape) for layer, summary in pairs)

    def activation_size(self) -> int:
        """How many numbers the layers' outputs hold for one example."""
        pairs = zip(self.layers, self.summaries, strict=True)
        return sum(layer.activation_size(summary.output_shape) for layer, summary in pairs)

    def fit_to(self, x: Array) -> None:
        """Lets every layer whose weights start from data see a batch of its inputs, one layer after the other."""
        waiting = [index for index, layer in enumerate(self.layers) if layer.starts_from_data()]
        for index in range(waiting[-1] + 1 if waiting else 0):
            if index:  # no sooner than needed: a layer keeps its memory for the largest batch it saw
                x = self.layers[index - 1].forward(x, training=False)
            self.layers[index].fit_to(x)

    def forward(self, x: Array, training: bool) -> Array:
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy: Array) -> Array | None:
        gradient: Array | None = dy
        for layer in reversed(self.layers):
            if gradient is None:
                return None
            gradient = layer.backward(gradient)
        return gradient


class Network:
    """Layers built for one input shape: `forward` gives y, `backward` fills `parameters.gradient`.

        network = Network([Flatten(), Dense(256), ReLU(), Dense(10)], input_shape=(28, 28, 1))
        network.initialize(RandomStreams(seed=42))
        y = network.forward(x, training=True)        # x (N, 28, 28, 1) -> y (N, 10)
        value, dy = loss(y, t)
        network.backward(dy)                          # network.parameters.gradient, and each layer's dW, db

    Building declares and allocates nothing; `initialize` allocates. Raises ShapeError, naming the layer and both
    shapes, when layers do not fit together.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Shape,
        *,
        outputs: int | None = None,
        weight_init: Initializer | None = None,
    ) -> None:
        self.input_shape = tuple(input_shape)
        self.parameters = Parameters(weight_init, outputs)
        self.moment = Moment()
        self.workers = Workers()
        self.is_initialized = False
        self.chain = Chain(layers)
        self.output_shape = self.chain.build(self.input_shape, self.parameters)
        if outputs is not None and self.output_shape != (outputs,):
            raise ShapeError(
                f"the network ends with an output of shape {self.output_shape}, the data needs ({outputs},)",
                "end model.layers with a bare `dense`: it takes its width from the data",
                fields=(self.chain.field,),
            )
        self.skip_input_gradient(True)

    @property
    def layers(self) -> list[Layer]:
        return self.chain.layers

    @property
    def summaries(self) -> list[LayerSummary]:
        """A row per layer, in order."""
        return self.chain.summaries

    @property
    def uses_own_threads(self) -> bool:
        """Whether some layer splits its work over threads of its own: BLAS is then to be set to one thread."""
        return any(layer.uses_own_threads for layer in self.layers)

    def initialize(
        self, streams: RandomStreams, dtype: npt.DTypeLike = np.float32, workers: Workers | None = None
    ) -> None:
        """Allocates the parameters and draws their starting values; workers are the threads that layers may use."""
        self.moment.streams = streams
        self.dtype = dtype
        self.parameters.allocate(dtype)
        self.parameters.initialize(streams)
        self.use_workers(workers or self.workers)
        self.is_initialized = True

    def use_workers(self, workers: Workers) -> None:
        """Has the layers do their work on these threads from now on; results do not depend on how many they are."""
        self.workers = workers
        self.chain.wire(self.dtype, self.moment, workers, input_is_free=False, dy_is_free=True)

    def skip_input_gradient(self, skip: bool) -> None:
        """Whether the gradient with respect to the network's input is left out: training has no use for it.

        It is needed by nobody down to the first layer with trained parameters of its own.
        """
        self.chain.want_dx(not skip)

    @property
    def starts_from_data(self) -> bool:
        """Whether some weights start from training inputs: call `fit_to` with a batch after `initialize`."""
        return any(layer.starts_from_data() for layer in self.layers)

    def fit_to(self, x: Array) -> None:
        """Starts those weights that depend on the data (whitening) from a batch of inputs as the network takes them."""
        self.chain.fit_to(x)

    def forward(self, x: Array, training: bool = False) -> Array:
        """y (N, *output_shape), in a buffer that the next call overwrites. UserError before `initialize`."""
        if not self.is_initialized:
            raise UserError("the network has no weights yet", "call network.initialize(RandomStreams(seed)) first")
        if x.shape[1:] != self.input_shape:
            raise ShapeError(f"the network takes inputs of shape {self.input_shape}, but is given {x.shape[1:]}")
        return self.chain.forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        """Fills parameters.gradient for the batch of the last forward; dy may be overwritten. Returns dx if wanted."""
        return self.chain.backward(dy)

    def kinks(self) -> Iterator[Array]:
        """The side of every kink that the last forward fell on, layer by layer."""
        for layer in self.layers:
            pattern = layer.kinks()
            if pattern is not None:
                yield pattern

    def flops(self) -> int:
        """FLOP of one training example: the forward pass, as many again for each dW of trained weights and each dx

        that somebody needs.
        """
        return self.chain.training_flops()

    def activation_size(self) -> int:
        """How many numbers the layers' outputs hold for one example: what a batch costs in memory, about twice."""
        return self.chain.activation_size()
