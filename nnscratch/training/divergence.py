"""Where a number first stopped being finite, and an update that is taken back when it would make one so."""

from __future__ import annotations

import math

import numpy as np

from nnscratch.errors import DivergenceError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.training.optimizers import Optimizer

LARGE = 1e9
"""A loss, gradient norm, learning rate or penalty beyond this may carry weights out of float32's range in one step."""


def diverged(place: str, when: str) -> DivergenceError:
    """That training ended there, at that time, with the weights as they were before."""
    return DivergenceError(f"training diverged {when}: {place} is the first that is not finite; the step was not taken")


def locate(network: Network, loss: Loss, x: Array, t: Array) -> str:
    """The first array of a step that holds nan or infinity, found by repeating the step layer by layer."""
    with np.errstate(all="ignore"):
        place = not_finite(network.parameters.named())
        if place is not None:
            return f"the weights {place}"
        if not np.isfinite(x).all():
            return "the input batch"
        y = x
        for layer in network.layers:
            y = layer.forward(y, training=True)
            if not np.isfinite(y).all():
                return f"the output of layer {layer.path}"
        largest = float(np.max(np.abs(y)))
        value, dy = loss(y, t)
        if not math.isfinite(value):
            return f"the loss ({value}), from outputs up to {largest:.3g}"
        return _locate_backward(network, dy)


def _locate_backward(network: Network, dy: Array) -> str:
    gradients = network.parameters.named(network.parameters.gradient)
    passed: Array | None = dy
    if not np.isfinite(dy).all():
        return "the gradient of the loss"
    for layer in reversed(network.layers):
        if passed is None:
            break
        passed = layer.backward(passed)
        own = {name: array for name, array in gradients.items() if name.startswith(layer.path + ".")}
        place = not_finite(own)
        if place is not None:
            return f"the gradient of {place}"
        if passed is not None and not np.isfinite(passed).all():
            return f"the gradient that layer {layer.path} passes on"
    return "nothing when repeated: memory or hardware is at fault"


def not_finite(arrays: dict[str, Array]) -> str | None:
    """The name of the first array that holds nan or infinity; None when all are finite."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def named_vectors(parameters: Parameters, optimizer: Optimizer) -> dict[str, Array]:
    """The arrays that learning changes, by names for people: weights, running statistics, the optimizer's memory."""
    named = {f"the weights {name}": array for name, array in parameters.named().items()}
    named |= {f"the statistics {name}": array for name, array in parameters.named_state().items()}
    return named | {f"the optimizer's {name}": vector for name, vector in optimizer.state.items()}


def guarded_step(optimizer: Optimizer, parameters: Parameters, factor: float, l2: float) -> str | None:
    """One optimizer step, taken back when it leaves nan or infinity: where, or None when all went well."""
    vectors = [parameters.theta, *optimizer.state.values()]
    before, t = [vector.copy() for vector in vectors], optimizer.t
    optimizer.step(factor, l2)
    place = not_finite(named_vectors(parameters, optimizer))
    if place is not None:
        optimizer.t = t
        for vector, values in zip(vectors, before, strict=True):
            np.copyto(vector, values)
    return place
