"""A chain of layers over one flat vector of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import numpy.typing as npt

from nnscratch.errors import ShapeError, UserError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layer import Chain, Layer, LayerSummary
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import Moment, RandomStreams


class Network(Chain):
    """Layers built for one input shape: `forward` gives y, `backward` fills `parameters.gradient`.

        network = Network([Flatten(), Dense(256), ReLU(), Dense(10)], input_shape=(28, 28, 1))
        network.initialize(RandomStreams(seed=42))
        y = network.forward(x, training=True)        # x (N, 28, 28, 1) -> y (N, 10)
        value, dy = loss(y, t)
        network.backward(dy)                          # network.parameters.gradient, and each layer's dW, db

    Building declares and allocates nothing; `initialize` allocates. Raises ShapeError, naming the layer and both
    shapes, when layers do not fit together. `backward` may overwrite the dy that it is given.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Shape,
        *,
        outputs: int | None = None,
        weight_init: Initializer | None = None,
        freeze: Sequence[str] = (),
    ) -> None:
        super().__init__(layers, dy_is_free=True)
        self.input_shape = tuple(input_shape)
        self.parameters = Parameters(weight_init, outputs, freeze)
        self.dtype: npt.DTypeLike = np.float32
        self.moment = Moment()
        self.workers = Workers()
        self.is_initialized = self.has_seen_a_batch = False
        self.output_shape = self.build(self.input_shape, self.parameters)
        self._require_each_once()
        if outputs is not None and self.output_shape != (outputs,):
            raise ShapeError(
                f"the network ends with an output of shape {self.output_shape}, the data needs ({outputs},)",
                "end it with a bare `dense`, which takes its width from the data",
                position=(self.field, len(layers) - 1) if layers else (self.field,),
            )
        self.skip_input_gradient(True)

    def _require_each_once(self) -> None:
        """A layer keeps what its backward needs, so in a second place it would lose that of the first."""
        seen: set[int] = set()
        for layer in self.walk():
            if id(layer) in seen:
                raise UserError(
                    f"layer {layer.path} is an object that stands in the network before, too",
                    f"make one for each place: {type(layer).__name__}(...), {type(layer).__name__}(...)",
                )
            seen.add(id(layer))

    def initialize(
        self, streams: RandomStreams, dtype: npt.DTypeLike = np.float32, workers: Workers | None = None
    ) -> None:
        """Allocates the parameters and draws their starting values; workers are the threads that layers may use.

        Called again, it starts anew, also in another dtype.
        """
        self.moment.streams = streams
        self.dtype = dtype
        self.parameters.allocate(dtype)
        self.parameters.initialize(streams)
        self._bind()
        self.use_workers(workers or self.workers)
        self.is_initialized = True

    def load(
        self, parameters: Mapping[str, Array], state: Mapping[str, Array], dtype: npt.DTypeLike = np.float32
    ) -> None:
        """Takes these arrays by name, in that precision, in place of starting values: the network of a checkpoint.

        Raises UserError, having allocated nothing, when they are not this network's.
        """
        self.parameters.require(parameters, state)
        self.dtype = dtype
        self.parameters.allocate(dtype)
        self.parameters.load(parameters)
        self.parameters.load_state(state)
        self._bind()
        self.use_workers(self.workers)
        self.is_initialized = True

    def __str__(self) -> str:
        """The table of its layers: output shape, parameters, and MFLOP of the forward pass for one example."""
        rows = [("layer", "output", "parameters", "MFLOP"), *map(cells, self.summaries)]
        total = sum(summary.flops for summary in self.summaries)
        rows.append(("in all", "", f"{self.parameters.size:,}", f"{total / 1e6:.3f}"))
        name, output, number, flops = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{a:<{name}}  {b:<{output}}  {c:>{number}}  {d:>{flops}}" for a, b, c, d in rows)

    def _bind(self) -> None:
        for layer in self.walk():
            with self.parameters.scope(layer.path):
                layer.bind(self.parameters)

    def move(self, values: Array, gradient: Array) -> None:
        """Puts the parameters and their gradient into that memory, laid out like `parameters.values` and `gradient`."""
        self.parameters.move(values, gradient)
        self._bind()

    def copy(self) -> Network:
        """A network of its own with the same numbers: whatever is done to it leaves this one as it is."""
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, object]) -> Network:
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(deepcopy(self.__dict__, memo))
        if self.is_initialized:
            twin.parameters.allocate(self.dtype)
            np.copyto(twin.parameters.values, self.parameters.values)
            np.copyto(twin.parameters.gradient, self.parameters.gradient)
            twin._bind()  # a layer's arrays are views of the parameters', which copies are not
        return twin

    def use_workers(self, workers: Workers) -> None:
        """Has the layers do their work on these threads from now on; how many they are changes results by rounding."""
        self.workers = workers
        for layer in self.walk():
            layer.wire(self.dtype, self.moment, workers)

    def skip_input_gradient(self, skip: bool) -> None:
        """Whether the gradient with respect to the network's input is left out: training has no use for it.

        It is needed by nobody down to the first layer with trained parameters of its own.
        """
        self.want_dx(not skip)

    def fit_to(self, x: Array) -> None:
        """Starts those weights that depend on the data (whitening) from a batch of inputs as the network takes them."""
        self._require_weights()
        super().fit_to(x)

    def forward(self, x: Array, training: bool = False) -> Array:
        """y (N, *output_shape), in a buffer that the next call overwrites. UserError before `initialize`."""
        self._require_weights()
        if x.shape[1:] != self.input_shape:
            raise ShapeError(f"the network takes inputs of shape {self.input_shape}, but is given {x.shape[1:]}")
        self.has_seen_a_batch = True
        return super().forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        """Fills the gradient for the batch of the last `forward`, without which it raises UserError."""
        if not self.has_seen_a_batch:
            raise UserError("the network has seen no batch yet", "call network.forward(x, training=True) first")
        return super().backward(dy)

    def _require_weights(self) -> None:
        if not self.is_initialized:
            raise UserError("the network has no weights yet", "call network.initialize(RandomStreams(seed)) first")


def cells(layer: LayerSummary) -> tuple[str, str, str, str]:
    """A layer's row of a table for people: path, output shape, parameters, MFLOP."""
    output = " x ".join(map(str, layer.output_shape))
    return layer.path, output, f"{layer.parameters:,}", f"{layer.flops / 1e6:.3f}"
