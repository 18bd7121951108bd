"""Where a number first stopped being finite."""

from __future__ import annotations

import numpy as np

from nnscratch.nn.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network


def locate(network: Network, loss: Loss, x: Array, t: Array) -> str:
    """The first array of a step that holds nan or infinity, found by repeating the step layer by layer."""
    with np.errstate(all="ignore"):
        for name, array in network.parameters.named().items():
            if not np.isfinite(array).all():
                return f"the weights {name}"
        if not np.isfinite(x).all():
            return "the input batch"
        y = x
        for layer in network.layers:
            y = layer.forward(y, training=True)
            if not np.isfinite(y).all():
                return f"the output of layer {layer.path}"
        value, dy = loss(y, t)
        if not np.isfinite(value):
            return f"the loss ({value}), from outputs up to {float(np.max(np.abs(y))):.3g}"
        network.backward(dy)
        for name, array in reversed(network.parameters.named(network.parameters.gradient).items()):
            if not np.isfinite(array).all():
                return f"the gradient of {name}"
    return "nothing when repeated: memory or hardware is at fault"
