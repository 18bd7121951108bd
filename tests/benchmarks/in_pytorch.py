"""Our layers in PyTorch, for benchmarks that train the same network in both."""

from __future__ import annotations

import sys

from nnscratch.nn import layers
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Network


def torch_model(network: Network):
    """The same layers in PyTorch; exits when one is not known here."""
    from torch import nn

    return nn.Sequential(*(torch_module(layer, network) for layer in network.layers))


def torch_module(layer: Layer, network: Network):
    """The same layer of the network in PyTorch."""
    from torch import nn

    class Scale(nn.Module):
        def forward(self, x):
            return x * layer.factor

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            paths = (layer.layers, layer.shortcut)
            self.f, self.g = (nn.Sequential(*(torch_module(each, network) for each in path)) for path in paths)

        def forward(self, x):
            return self.f(x) + self.g(x)

    shape = network.parameters.shapes.get(f"{layer.path}.weight")
    match layer:
        case layers.Conv():
            padding = {"same": layer.kernel // 2, "valid": 0}.get(layer.padding, layer.padding)
            inputs, outputs = shape[2] * layer.groups, shape[3]
            sizes = {"stride": layer.stride, "padding": padding, "groups": layer.groups}
            module = nn.Conv2d(inputs, outputs, layer.kernel, **sizes, bias=layer.bias)
            module.weight.requires_grad_(not layer.frozen)
        case layers.BatchNorm():
            (channels,) = network.parameters.state_shapes[f"{layer.path}.running_mean"]
            module = nn.BatchNorm2d(channels, layer.epsilon, 1 - layer.momentum)
            module.weight.requires_grad_(layer.scale)
            module.bias.requires_grad_(layer.shift)
        case layers.Dense():
            module = nn.Linear(*shape, layer.bias)
        case layers.ReLU():
            module = nn.ReLU()
        case layers.GELU():
            module = nn.GELU(approximate="tanh")
        case layers.MaxPool():
            module = nn.MaxPool2d(layer.size, layer.stride)
        case layers.GlobalAveragePool():
            module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case layers.Flatten():
            module = nn.Flatten()
        case layers.Scale():
            module = Scale()
        case layers.Residual():
            module = Residual()
        case _:
            sys.exit(f"the benchmarks know no {layer.name} in PyTorch")
    return module
