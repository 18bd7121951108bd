"""Where a number first stopped being finite, and an update that is taken back when it would make one so."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nnscratch.errors import DivergenceError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.training.measurements import sum_of_squares
from nnscratch.training.optimizers import Optimizer

LARGE = 1e9
"""A loss, gradient norm, learning rate or penalty beyond this may carry weights out of float32's range in one step."""


def diverged(place: str, when: str) -> DivergenceError:
    """That training ended there, at that time."""
    return DivergenceError(f"training diverged {when}: {place} is the first that is not finite")


def step_diverged(place: str | None, epoch: int, step: int) -> DivergenceError:
    """That training ended in that step, both from 0, the weights as before it; None: all was well once more."""
    when = f"in epoch {epoch + 1}, step {step + 1}"
    if place is not None:
        return DivergenceError(f"{diverged(place, when)}; the step was not taken")
    again = "the loss or the gradient was not finite, but every array was when the step was repeated"
    return DivergenceError(f"training diverged {when}: {again}; the step was not taken")


def locate(network: Network, loss: Loss, x: Array, t: Array, communicator: Communicator = ALONE) -> str | None:
    """The first array of a step that holds nan or infinity, found by repeating the step layer by layer; None without.

    Processes that share the batch repeat it together, up to the first that any of them finds.
    """
    with np.errstate(all="ignore"):
        for place in _places(network, loss, x, t):
            found = communicator.first_text(place)
            if found is not None:
                return found
    return None


def _places(network: Network, loss: Loss, x: Array, t: Array) -> Iterator[str | None]:
    """Array by array of a step: what to call it, when it holds nan or infinity, else None."""
    place = not_finite(network.parameters.named())
    yield None if place is None else f"the weights {place}"
    yield _unless_finite(x, "the input batch")
    y = x
    for layer in network.layers:
        y = layer.forward(y, training=True)
        yield _unless_finite(y, f"the output of layer {layer.path}")
    place = not_finite(network.parameters.named_state())
    yield None if place is None else f"the statistics {place}"
    largest = float(np.max(np.abs(y)))
    value, dy = loss(y, t)
    yield None if math.isfinite(value) else f"the loss ({value}), from outputs up to {largest:.3g}"
    gradients = network.parameters.named(network.parameters.gradient)
    passed: Array | None = dy
    yield _unless_finite(dy, "the gradient of the loss")
    for layer in reversed(network.layers):
        if passed is None:
            break
        passed = layer.backward(passed)
        place = not_finite({name: array for name, array in gradients.items() if name.startswith(layer.path + ".")})
        yield None if place is None else f"the gradient of {place}"
        if passed is not None:
            yield _unless_finite(passed, f"the gradient that layer {layer.path} passes on")
    gradient = network.parameters.gradient[: network.parameters.trainable_size]
    reach = float(np.max(np.abs(gradient), initial=0.0))
    norm = f"the norm of the gradient, of numbers up to {reach:.3g},"
    yield None if math.isfinite(sum_of_squares(gradient)) else norm


def _unless_finite(array: Array, name: str) -> str | None:
    return None if np.isfinite(array).all() else name


def not_finite(arrays: dict[str, Array]) -> str | None:
    """The name of the first array that holds nan or infinity; None when all are finite."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def named_vectors(parameters: Parameters, optimizer: Optimizer) -> dict[str, Array]:
    """The arrays that learning changes, by names for people: weights, running statistics, the optimizer's memory."""
    named = {f"the weights {name}": array for name, array in parameters.named().items()}
    named |= {f"the statistics {name}": array for name, array in parameters.named_state().items()}
    return named | {f"the optimizer's {name}": vector for name, vector in optimizer.state.items()}


def guarded_step(
    optimizer: Optimizer, parameters: Parameters, factor: float, l2: float, communicator: Communicator = ALONE
) -> str | None:
    """One optimizer step, taken back when it leaves nan or infinity: where, or None when all went well.

    Processes that update a part each take it back together.
    """
    vectors = [parameters.theta[optimizer.own], *optimizer.state.values()]
    before, t = [vector.copy() for vector in vectors], optimizer.t
    optimizer.step(factor, l2)
    communicator.wait()
    place = communicator.first_text(not_finite(named_vectors(parameters, optimizer)))
    if place is not None:
        optimizer.t = t
        for vector, values in zip(vectors, before, strict=True):
            np.copyto(vector, values)
        communicator.wait()
    return place
