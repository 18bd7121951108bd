"""Each layer as a line of an exported model.py: `lines` has, for each class, the function that writes it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable

from nnscratch.export import formulas
from nnscratch.export.layers import LayerTable
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Chain
from nnscratch.nn.layers import (
    GELU,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Identity,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)

lines: LayerTable[Callable[..., str]] = LayerTable("numpy")
"""Of a layer: a function of the layer, the module, and the names of x and y in it, which gives the name of the result:
y, or x where the layer changes nothing.
"""


class Module:
    """A model.py as it is written: the formulas it needs, its lines, and the arrays beside it."""

    def __init__(self) -> None:
        self.formulas: dict[str, str] = {}
        self.lines: list[str] = []
        self.arrays: dict[str, Array] = {}
        self.blocks = 0

    def needs(self, formula: Callable[..., object]) -> str:
        """Copies the function's source into the module, once; its name."""
        source = inspect.getsource(formula)
        if self.formulas.setdefault(formula.__name__, source) != source:
            raise ValueError(f"two different formulas are called {formula.__name__}")
        return formula.__name__

    def array(self, name: str, values: Array) -> str:
        """The expression for an array of that name."""
        self.arrays[name] = values
        return f"W[{json.dumps(name)}]"

    def call(self, y: str, formula: Callable[..., object], x: str, *more: object) -> str:
        """Adds `y = formula(x, more)`; text in `more` is an expression, as `array` gives it."""
        arguments = ", ".join([x, *(each if isinstance(each, str) else repr(each) for each in more)])
        self.lines.append(f"{y} = {self.needs(formula)}({arguments})")
        return y

    def say(self, comment: str) -> None:
        """Adds a comment."""
        self.lines.append("# " + re.sub(r"[^\w .,()x>-]", "_", comment))


def chain(layers: Chain, module: Module, x: str, y: str) -> str:
    """The lines of layers in turn; the name of the last result."""
    for layer, summary in zip(layers.layers, layers.summaries, strict=True):
        module.say(f"{summary.path}  {' x '.join(map(str, summary.output_shape))}")
        x = lines[layer](layer, module, x, y)
    return x


@lines.of(Dense)
def dense(layer: Dense, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.dense, x, *_weight_and_bias(layer, module))


@lines.of(Conv)
def conv(layer: Conv, module: Module, x: str, y: str) -> str:
    size = layer.geometry
    padding = [
        (before, max((outputs - 1) * size.stride + size.kernel - pixels - before, 0))
        for outputs, pixels, before in ((size.rows, size.H, size.top), (size.columns, size.W, size.left))
    ]
    if size.groups == 1:
        return module.call(y, formulas.conv, x, *_weight_and_bias(layer, module), size.stride, *padding)
    W, b = _weight_and_bias(layer, module)
    return module.call(y, formulas.grouped_conv, x, W, b, size.groups, size.stride, *padding)


def _weight_and_bias(layer: Dense | Conv, module: Module) -> tuple[object, object]:
    W = module.array(f"{layer.path}.weight", layer.W)
    return W, module.array(f"{layer.path}.bias", layer.b) if layer.bias else 0


@lines.of(BatchNorm)
def batch_norm(layer: BatchNorm, module: Module, x: str, y: str) -> str:
    gamma = module.array(f"{layer.path}.scale", layer.gamma) if layer.scale else 1
    beta = module.array(f"{layer.path}.shift", layer.beta) if layer.shift else 0
    mu = module.array(f"{layer.path}.running_mean", layer.running_mean)
    v = module.array(f"{layer.path}.running_variance", layer.running_variance)
    return module.call(y, formulas.batch_norm, x, gamma, beta, mu, v, layer.epsilon)


@lines.of(LayerNorm)
def layer_norm(layer: LayerNorm, module: Module, x: str, y: str) -> str:
    gamma, beta = module.array(f"{layer.path}.scale", layer.gamma), module.array(f"{layer.path}.shift", layer.beta)
    return module.call(y, formulas.layer_norm, x, gamma, beta, layer.epsilon)


@lines.of(MaxPool)
def max_pool(layer: MaxPool, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.max_pool, x, layer.size, layer.step)


@lines.of(AveragePool)
def average_pool(layer: AveragePool, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.average_pool, x, layer.size, layer.step)


@lines.of(GlobalAveragePool)
def global_average_pool(layer: GlobalAveragePool, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.global_average_pool, x)


@lines.of(Flatten)
def flatten(layer: Flatten, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.flatten, x)


@lines.of(Residual)
def residual(layer: Residual, module: Module, x: str, y: str) -> str:
    module.blocks += 1
    number = module.blocks
    f, g = (chain(path, module, x, f"{name}{number}") for name, path in zip("fg", layer.paths, strict=True))
    module.lines.append(f"{y} = {f} + {g}")
    return y


@lines.of(Dropout, Identity)
def unchanged(layer: Dropout | Identity, module: Module, x: str, y: str) -> str:
    return x


@lines.of(Scale)
def scale(layer: Scale, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.scale, x, layer.factor)


@lines.of(LeakyReLU)
def leaky_relu(layer: LeakyReLU, module: Module, x: str, y: str) -> str:
    return module.call(y, formulas.leaky_relu, x, layer.slope)


@lines.of(ReLU, Sigmoid, Tanh, GELU, SiLU, Softmax)
def activation(layer: ReLU | Sigmoid | Tanh | GELU | SiLU | Softmax, module: Module, x: str, y: str) -> str:
    """Those without settings: the formula has the layer's name."""
    return module.call(y, getattr(formulas, layer.name), x)
