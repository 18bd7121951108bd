"""What the first gradient tells of a network: whether it is that of the loss, and whether a layer's units differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.training.diagnosis.findings import Finding
from nnscratch.training.diagnosis.setting import trainable_layers

STEPS = 1e-2, 1e-3, 1e-4
"""How far the weights of a layer go along their gradient: as shares of the loss that the gradient foretells."""
SMALLEST_CHANGE = 1e-5
"""Of the loss, that single precision shows; and the largest share of its own size that a layer is moved by."""
LARGEST_MOVE = 0.05
ROUNDING = 1e-4
"""Of the largest of a gradient: equal columns of a product may differ by it, as kernels treat the last ones apart."""


def gradient_findings(network: Network, loss: Loss, x: Array, t: Array) -> Iterator[Finding]:
    """From the starting weights and one batch; the network is changed by it in nothing but its buffers.

    With g the gradient of one layer's weights, (L(theta + e g) - L(theta - e g)) / (2 e |g|^2) is about 1 where the
    gradient is right, and below 0 where the loss rises against it.
    """
    with np.errstate(all="ignore"):
        value, dy = loss(network.forward(x, training=True), t)
        network.backward(dy)
        gradient = network.parameters.gradient.copy()
        yield from _symmetry(network, gradient)
        layers = trainable_layers(network)
        slopes = {layer: _slope(network, loss, (x, t), gradient, (layer, float(value))) for layer in layers}
    wrong = [layer for layer, slope in slopes.items() if slope is not None and slope < -0.5]
    if wrong:
        last = wrong[-1]
        behind = dict(pairwise(layers)).get(last)
        place = f"between {last} and {behind}, or in {last}" if behind else f"in {last}, behind it, or in the loss"
        yield Finding(
            "wrong gradient",
            last,
            f"the loss falls where the gradient of {', '.join(wrong)} says that it rises: a sign is wrong {place}",
            ("gradient check",),
        )


def _slope(
    network: Network, loss: Loss, batch: tuple[Array, Array], gradient: Array, of: tuple[str, float]
) -> float | None:
    """The loss's slope along the layer's gradient, 1 where all is right; of the tries the nearest to 1, None if none.

    `of` is the layer and the loss at the weights as they are.
    """
    (x, t), (layer, value) = batch, of
    parameters = network.parameters
    theta = parameters.theta.copy()
    own = _own(network, layer, gradient)
    squared = float(np.dot(own, own))
    if not (np.isfinite(squared) and squared > 0 and np.isfinite(value)):
        return None
    largest = LARGEST_MOVE * max(float(np.linalg.norm(_own(network, layer, theta))), 1e-3) / squared**0.5
    slopes = []
    for share in STEPS:
        step = min(share * abs(value) / squared, largest)
        if step * squared < SMALLEST_CHANGE * abs(value):
            continue
        losses = []
        for sign in (1, -1):
            np.copyto(parameters.theta, theta)
            parameters.theta[: len(own)] += sign * step * own
            losses.append(loss(network.forward(x, training=True), t)[0])
        np.copyto(parameters.theta, theta)
        slopes.append((losses[0] - losses[1]) / (2 * step * squared))
    return min(slopes, key=lambda slope: abs(slope - 1), default=None)


def _own(network: Network, layer: str, vector: Array) -> Array:
    """The vector's numbers of that layer, and zero for all others."""
    parameters = network.parameters
    own = np.zeros_like(vector[: parameters.size])
    names = set(parameters.trainable_names)
    target = parameters.named(own)
    for name, array in parameters.named(vector).items():
        if name in names and name.rpartition(".")[0] == layer:
            target[name][...] = array
    return own


def _symmetry(network: Network, gradient: Array) -> Iterator[Finding]:
    """Units with the same weights and the same gradient stay alike; the output layer's have gradients of their own."""
    parameters = network.parameters
    gradients = parameters.named(gradient)
    matrices = {name: array for name, array in parameters.named().items() if array.ndim > 1 and array.shape[-1] > 1}
    trained = [name for name in matrices if name in set(parameters.trainable_names)]
    alike = [name for name in trained[:-1] if _alike(matrices[name]) and _alike(gradients[name], ROUNDING)]
    # A branch that starts at zero beside a shortcut is meant to.
    alike = [name for name in alike if ".residual." not in name]
    if alike:
        layer = alike[0].rpartition(".")[0]
        value = float(matrices[alike[0]].flat[0])
        how = "all weights start at 0" if not np.any(matrices[alike[0]]) else f"their weights start at {value:g} alike"
        more = f"; so it is in {len(alike)} layers" if len(alike) > 1 else ""
        yield Finding(
            "units start alike",
            layer,
            f"{how}, and all units have the same gradient, so they stay one unit{more}",
            ("he initialization",),
        )


def _alike(array: Array, rounding: float = 0.0) -> bool:
    """Whether all columns are the same, up to so much of the largest number."""
    differences = np.abs(array - array[..., :1])
    return bool(np.all(differences <= rounding * np.max(np.abs(array), initial=0.0)))
