"""Each layer in standard ONNX operators: `nodes` has, for each class, the function that adds its nodes to a graph.

Images stay N,H,W,C between the layers. Where an operator wants N,C,H,W there is a transposition on each side; a runtime
takes out those that meet.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnscratch.export.layers import LayerTable
from nnscratch.export.onnx_graph import Graph
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

nodes: LayerTable[Callable[..., str]] = LayerTable("onnx")
"""Of a layer: a function of the layer, the graph and the name of x, which gives the name of y."""


def chain(layers: Chain, graph: Graph, x: str) -> str:
    """The nodes of layers in turn; the name of what the last one gives."""
    for layer in layers.layers:
        x = nodes[layer](layer, graph, x)
    return x


def to_channels_first(graph: Graph, x: str) -> str:
    """N,H,W,C -> N,C,H,W."""
    return graph.add("Transpose", x, perm=[0, 3, 1, 2])


def to_channels_last(graph: Graph, x: str) -> str:
    """N,C,H,W -> N,H,W,C."""
    return graph.add("Transpose", x, perm=[0, 2, 3, 1])


@nodes.of(Dense)
def dense(layer: Dense, graph: Graph, x: str) -> str:
    W = graph.array(f"{layer.path}.weight", layer.W)
    if not layer.bias:
        return graph.add("MatMul", x, W)
    return graph.add("Gemm", x, W, graph.array(f"{layer.path}.bias", layer.b))


@nodes.of(Conv)
def conv(layer: Conv, graph: Graph, x: str) -> str:
    size = layer.geometry
    below = [
        max((outputs - 1) * size.stride + size.kernel - pixels - before, 0)
        for outputs, pixels, before in ((size.rows, size.H, size.top), (size.columns, size.W, size.left))
    ]
    W = graph.array(f"{layer.path}.weight", layer.W.transpose(3, 2, 0, 1))
    b = [graph.array(f"{layer.path}.bias", layer.b)] if layer.bias else []
    x = to_channels_first(graph, x)
    y = graph.add("Conv", x, W, *b, group=size.groups, strides=[size.stride] * 2, pads=[size.top, size.left, *below])
    return to_channels_last(graph, y)


@nodes.of(BatchNorm)
def batch_norm(layer: BatchNorm, graph: Graph, x: str) -> str:
    # y = a x + c with the running statistics
    a = layer.gamma.astype(np.float64) / np.sqrt(layer.running_variance.astype(np.float64) + layer.epsilon)
    c = layer.beta - a * layer.running_mean
    a_name, c_name = (
        graph.array(f"{layer.path}.{name}", each.astype(np.float32)) for name, each in (("a", a), ("c", c))
    )
    return graph.add("Add", graph.add("Mul", x, a_name), c_name)


@nodes.of(LayerNorm)
def layer_norm(layer: LayerNorm, graph: Graph, x: str) -> str:
    gamma, beta = graph.array(f"{layer.path}.scale", layer.gamma), graph.array(f"{layer.path}.shift", layer.beta)
    return graph.add("LayerNormalization", x, gamma, beta, axis=-1, epsilon=layer.epsilon)


@nodes.of(MaxPool)
def max_pool(layer: MaxPool, graph: Graph, x: str) -> str:
    y = graph.add("MaxPool", to_channels_first(graph, x), kernel_shape=[layer.size] * 2, strides=[layer.step] * 2)
    return to_channels_last(graph, y)


@nodes.of(AveragePool)
def average_pool(layer: AveragePool, graph: Graph, x: str) -> str:
    y = graph.add("AveragePool", to_channels_first(graph, x), kernel_shape=[layer.size] * 2, strides=[layer.step] * 2)
    return to_channels_last(graph, y)


@nodes.of(GlobalAveragePool)
def global_average_pool(layer: GlobalAveragePool, graph: Graph, x: str) -> str:
    return graph.add("ReduceMean", x, graph.integers(1, 2), keepdims=0)


@nodes.of(Flatten)
def flatten(layer: Flatten, graph: Graph, x: str) -> str:
    return graph.add("Flatten", x, axis=1)


@nodes.of(Residual)
def residual(layer: Residual, graph: Graph, x: str) -> str:
    f, g = (chain(path, graph, x) for path in layer.paths)
    return graph.add("Add", f, g)


@nodes.of(Dropout, Identity)
def unchanged(layer: Dropout | Identity, graph: Graph, x: str) -> str:
    return x


@nodes.of(Scale)
def scale(layer: Scale, graph: Graph, x: str) -> str:
    return graph.add("Mul", x, graph.numbers(layer.factor))


@nodes.of(ReLU)
def relu(layer: ReLU, graph: Graph, x: str) -> str:
    return graph.add("Relu", x)


@nodes.of(LeakyReLU)
def leaky_relu(layer: LeakyReLU, graph: Graph, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=layer.slope)


@nodes.of(Sigmoid)
def sigmoid(layer: Sigmoid, graph: Graph, x: str) -> str:
    return graph.add("Sigmoid", x)


@nodes.of(Tanh)
def tanh(layer: Tanh, graph: Graph, x: str) -> str:
    return graph.add("Tanh", x)


@nodes.of(GELU)
def gelu(layer: GELU, graph: Graph, x: str) -> str:
    return graph.add("Gelu", x, approximate="tanh")


@nodes.of(SiLU)
def silu(layer: SiLU, graph: Graph, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


@nodes.of(Softmax)
def softmax(layer: Softmax, graph: Graph, x: str) -> str:
    return graph.add("Softmax", x, axis=-1)
