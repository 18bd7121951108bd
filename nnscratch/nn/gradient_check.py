"""Is every gradient the derivative of the loss? Central differences in float64 answer, array by array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.nn.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.nn.regularization import L2


@dataclass(frozen=True)
class ArrayCheck:
    """How well the gradient of one array agrees with central differences."""

    name: str
    shape: tuple[int, ...]
    worst: float
    """max over the checked entries of |a - n| / max(|a| + |n|, 1e-8 of the array's scale)."""
    analytic: float
    numeric: float
    """Both gradients at the worst entry."""
    index: tuple[int, ...]
    checked: int
    crossed_kinks: int
    """Entries left out because the step crossed a kink, where there is no derivative."""


def check_gradients(
    network: Network,
    loss: Loss,
    x: Array,
    t: Array,
    l2: L2 | None = None,
    *,
    step: float = 1e-5,
    samples: int = 50,
    seed: int = 0,
) -> list[ArrayCheck]:
    """One row per parameter array and one for the input, for a network initialised in float64.

    For every sampled entry w, n = (f(w + h) - f(w - h)) / 2h with h = step * max(1, |w|) is compared with the a that
    backward computed. f is the loss plus the L2 penalty; the error of n is of order h^2 f''' + 1e-16 f / h.
    """
    l2 = l2 or L2()
    parameters, N = network.parameters, len(x)
    if parameters.theta.dtype != np.float64:
        raise ValueError("the gradient check needs a network in float64: initialize(streams, np.float64)")
    x = np.array(x, np.float64)  # its own copy: entries are moved and put back

    def objective() -> float:
        return loss(network.forward(x, training=True), t)[0] + l2.penalty(parameters, N)

    network.skip_input_gradient(False)
    value_dy = loss(network.forward(x, training=True), t)
    unmoved = [pattern.copy() for pattern in network.kinks()]
    dx = network.backward(value_dy[1])
    assert dx is not None
    l2.add_gradient(parameters, N)
    analytic = {name: array.copy() for name, array in parameters.named(parameters.gradient).items()}
    frozen_from = max((each.stop for each in parameters.segments if not each.group.frozen), default=0)
    trainable = {
        name for name, array in parameters.named(np.arange(parameters.size)).items() if array.min() < frozen_from
    }
    places = {name: array for name, array in parameters.named().items() if name in trainable}
    places["input"], analytic["input"] = x, dx.copy()

    rng = np.random.default_rng(seed)
    rows = []
    for name, array in places.items():
        flat, gradient = array.reshape(-1), analytic[name].reshape(-1)
        chosen = rng.choice(flat.size, min(samples, flat.size), replace=False)
        scale = float(np.max(np.abs(gradient), initial=0.0))
        worst, at, numeric_at, checked, crossed = 0.0, int(chosen[0]), 0.0, 0, 0
        for entry in chosen:
            kept = flat[entry]
            h = step * max(1.0, abs(kept))
            values = []
            smooth = True
            for moved in (kept + h, kept - h):
                flat[entry] = moved
                values.append(objective())
                smooth = smooth and all(map(np.array_equal, unmoved, network.kinks()))
            flat[entry] = kept
            if not smooth:
                crossed += 1
                continue
            checked += 1
            numeric = (values[0] - values[1]) / (2 * h)
            a = float(gradient[entry])
            error = abs(a - numeric) / max(abs(a) + abs(numeric), 1e-8 * scale, 1e-300)
            if error > worst or checked == 1:
                worst, at, numeric_at = error, int(entry), numeric
        index = tuple(int(i) for i in np.unravel_index(at, array.shape))
        rows.append(ArrayCheck(name, array.shape, worst, float(gradient[at]), numeric_at, index, checked, crossed))
    return rows
