"""Is every gradient the derivative of the loss? Central differences in float64 answer, array by array.

`check_gradients` looks at the whole network, loss and penalty; `check_layers` at each layer alone, which tells whose
backward pass is wrong: an error in one layer's dx spoils the gradients of every layer before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Layer
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.nn.regularization import L2

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Tried from large, where rounding weighs least, to small, which crosses fewer kinks."""
AGREEMENT = 1e-7
"""Entries that differ by more are looked at again with many steps."""

Objective = Callable[[], float]
Patterns = Callable[[], Iterator[Array]]
Move = Callable[[float], "float | None"]


@dataclass(frozen=True)
class ArrayCheck:
    """How well the gradient of one array agrees with central differences."""

    name: str
    shape: tuple[int, ...]
    worst: float
    """max over the checked entries of |a - n| / max(|a| + |n|, 1e-8 of the array's scale, n's own rounding)."""
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
    samples: int = 50,
    seed: int = 0,
) -> list[ArrayCheck]:
    """One row per trainable array and one for the input, for a network initialised in float64.

    For every sampled entry w, the a that backward computed is compared with n, the derivative of the loss plus the L2
    penalty by central differences of fourth order, n = (4 d(h) - d(2h)) / 3 with d(h) = (f(w + h) - f(w - h)) / 2h,
    whose error is about h^4 f''''' / 8 + 1e-16 f / h. Random layers draw the same numbers again at the same step.
    """
    l2 = l2 or L2()
    parameters, N = network.parameters, len(x)
    if parameters.theta.dtype != np.float64:
        raise ValueError("the gradient check needs a network in float64: initialize(streams, np.float64)")
    x = np.array(x, np.float64)  # its own copy: entries are moved and put back
    state = parameters.state.copy()

    def objective() -> float:
        return loss(network.forward(x, training=True), t)[0] + l2.penalty(parameters, N)

    network.skip_input_gradient(False)
    _, dy = loss(network.forward(x, training=True), t)
    unmoved = [pattern.copy() for pattern in network.kinks()]
    dx = network.backward(dy)
    assert dx is not None
    dx = dx.copy()
    l2.add_gradient(parameters, N)
    gradients = _trainable(network, parameters.gradient)
    arrays = {**_trainable(network, parameters.theta), "input": x}
    analytic = {**{name: gradient.copy() for name, gradient in gradients.items()}, "input": dx}
    rows = _compare(arrays, analytic, objective, network.kinks, unmoved, samples, seed)
    parameters.state[:] = state
    return rows


def check_layers(network: Network, x: Array, *, samples: int = 50, seed: int = 0) -> list[ArrayCheck]:
    """Rows for each layer alone: its arrays (`2.dense.weight`) and its dx (`2.dense dx`), on the activations of x.

    With random numbers r and f = sum r y, backward must turn dy = r into the derivatives of f.
    """
    rng = np.random.default_rng(seed)
    network.skip_input_gradient(False)
    y = np.array(x, np.float64)
    rows: list[ArrayCheck] = []
    state = network.parameters.state.copy()
    for layer in network.layers:
        given = y.copy()
        y = layer.forward(given.copy(), True).copy()
        rows += _check_layer(network, layer, given, rng.standard_normal(y.shape), samples, seed)
    network.parameters.state[:] = state
    return rows


def check_loss(loss: Loss, y: Array, t: Array, *, samples: int = 50, seed: int = 0) -> ArrayCheck:
    """The row of the loss alone, `loss dy`: its gradient with respect to the outputs y."""
    y = np.array(y, np.float64)
    dy = loss(y, t)[1].copy()
    return _compare({"loss dy": y}, {"loss dy": dy}, lambda: loss(y, t)[0], lambda: iter(()), [], samples, seed)[0]


def _check_layer(network: Network, layer: Layer, x: Array, r: Array, samples: int, seed: int) -> list[ArrayCheck]:
    def objective() -> float:
        return float(np.vdot(r, layer.forward(x.copy(), True)))  # a copy: it may write over what it is given

    def kinks() -> Iterator[Array]:
        pattern = layer.kinks()
        if pattern is not None:
            yield pattern

    objective()
    unmoved = [pattern.copy() for pattern in kinks()]
    dx = layer.backward(r.copy())
    assert dx is not None
    own = [name for name in _trainable(network, network.parameters.theta) if name.startswith(layer.path + ".")]
    values, gradients = network.parameters.named(), network.parameters.named(network.parameters.gradient)
    arrays = {**{name: values[name] for name in own}, f"{layer.path} dx": x}
    analytic = {**{name: gradients[name].copy() for name in own}, f"{layer.path} dx": dx.copy()}
    return _compare(arrays, analytic, objective, kinks, unmoved, samples, seed)


def _trainable(network: Network, vector: Array) -> dict[str, Array]:
    """The views of a vector that an optimizer would change."""
    views = network.parameters.named(vector)
    return {name: views[name] for name in network.parameters.trainable_names}


def _compare(
    arrays: Mapping[str, Array],
    analytic: Mapping[str, Array],
    objective: Objective,
    kinks: Patterns,
    unmoved: Sequence[Array],
    samples: int,
    seed: int,
) -> list[ArrayCheck]:
    """A row per array; every entry that is moved is put back."""
    rng = np.random.default_rng(seed)
    rows = []
    # What n is off by where the truth is 0, as for a bias before batch_norm: that is rounding, not an error.
    noise = 64 * np.finfo(np.float64).eps * abs(objective())
    for name, array in arrays.items():
        flat, gradient = array.reshape(-1), analytic[name].reshape(-1)
        chosen = np.sort(rng.choice(flat.size, min(samples, flat.size), replace=False))
        floor = max(1e-8 * float(np.max(np.abs(gradient), initial=0.0)), noise / AGREEMENT, 1e-300)
        worst, at, numeric_at, checked, crossed = 0.0, int(chosen[0]), 0.0, 0, 0
        for entry in chosen:
            kept, a = float(flat[entry]), float(gradient[entry])

            def move(change: float, entry: int = entry, kept: float = kept, flat: Array = flat) -> float | None:
                flat[entry] = kept + change
                value = objective()
                smooth = all(map(np.array_equal, unmoved, kinks()))
                flat[entry] = kept
                return value if smooth else None

            scale = max(1.0, abs(kept))
            numeric = _derivative(move, scale)
            if numeric is not None and not _error(a, numeric, floor) < AGREEMENT:
                careful = _careful_derivative(move, scale)
                numeric = numeric if careful is None else careful
            if numeric is None:
                crossed += 1
                continue
            checked += 1
            error = _error(a, numeric, floor)
            if not error <= worst or checked == 1:  # nan, too, is the worst
                worst, at, numeric_at = error, int(entry), numeric
        index = tuple(int(i) for i in np.unravel_index(at, array.shape))
        rows.append(ArrayCheck(name, array.shape, worst, float(gradient[at]), numeric_at, index, checked, crossed))
    return rows


def _error(a: float, n: float, floor: float) -> float:
    return abs(a - n) / max(abs(a) + abs(n), floor)


def _derivative(move: Move, scale: float) -> float | None:
    """By the largest step that crosses no kink; None when all do."""
    for step in STEPS:
        h = step * scale
        wide = _slope(move, 2 * h)
        narrow = _slope(move, h) if wide is not None else None
        if wide is not None and narrow is not None:
            return (4 * narrow - wide) / 3
    return None


def _careful_derivative(move: Move, scale: float, rows: int = 12) -> float | None:
    """By many steps, each half the one before, extrapolated to step 0 (Ridders 1982): the value of least own error."""
    best, least = None, np.inf
    h = 0.5 * scale
    above: list[float] = []
    for _ in range(20):
        slope = _slope(move, h)
        h /= 2
        if slope is None:
            continue
        row, power = [slope], 1.0
        for coarser in above:
            power *= 4
            row.append((power * row[-1] - coarser) / (power - 1))
            own_error = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser))
            if own_error < least:
                best, least = row[-1], own_error
        above = row
        if len(row) == rows:
            break
    return best


def _slope(move: Move, h: float) -> float | None:
    above = move(h)
    below = move(-h) if above is not None else None
    return None if above is None or below is None else (above - below) / (2 * h)
