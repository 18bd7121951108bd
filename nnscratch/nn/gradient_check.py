"""Is every gradient the derivative of the loss? Difference quotients in float64 answer, array by array.

`check_gradients` looks at the whole network, loss and penalty; `check_layers` at each layer alone, which tells whose
backward pass is wrong: an error in one layer's dx spoils the gradients of every layer before it. All look at several
batches in turn, each after one of another size and content, since nothing that a pass leaves behind may reach the next.
What is given stays as it is: the passes are made by a copy of the network and of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.contract import broken, is_array, overwritten
from nnscratch.nn.gradient_batches import Batch, batches_of
from nnscratch.nn.gradient_comparison import TOLERANCE, Function
from nnscratch.nn.gradient_hints import transposed_product
from nnscratch.nn.gradient_rows import ArrayCheck, compare, wrong_arrays
from nnscratch.nn.layer import Layer
from nnscratch.nn.losses import Loss, value_and_gradient
from nnscratch.nn.network import Network
from nnscratch.nn.regularization import L2

Views = Mapping[str, Sequence[tuple[Layer, str]]]

SAMPLES = 50
SAME = 1e-9
"""Relative; what two ways to the same sum may differ by."""
CHANGING = (
    "forward gives other values for the same x each time: it draws random numbers from elsewhere than "
    "self.moment.streams, or keeps something from call to call"
)
SAME_LOSS = 1e-4
"""The same for a loss, which may compute in single precision."""


def check_gradients(
    network: Network,
    loss: Loss,
    x: Array,
    t: Array,
    l2: L2 | None = None,
    *,
    w: Array | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> list[ArrayCheck]:
    """A row per trainable array and one for the input, for a network initialised in float64.

    What backward computed for every sampled entry, and for all of them along a random direction, is compared with the
    derivative of the loss, of examples that count w (N,) if given, plus the L2 penalty. Random layers draw the same
    numbers again at the same step.
    """
    own, loss, l2 = _float64_copy(network), deepcopy(loss), l2 or L2()
    batches = batches_of(x, t, seed, w)
    views = _views(own)
    functions = [_of_network(own, loss, batch, batches[batch.before], l2, views) for batch in batches]
    return _over_batches(functions, batches, samples, seed, tolerance)


def check_layers(
    network: Network, x: Array, *, samples: int = SAMPLES, seed: int = 0, tolerance: float = TOLERANCE
) -> list[ArrayCheck]:
    """Rows for each layer alone: its arrays (`2.dense.weight`) and its dx (`2.dense dx`), on the activations of x.

    They end with a layer whose outputs are not finite.

    With random numbers r and f = sum r y, backward must turn dy = r into the derivatives of f.
    """
    own = _float64_copy(network)
    batches, views = batches_of(x, np.zeros(len(x)), seed), _views(own)
    given = [batch.x for batch in batches]
    rows: list[ArrayCheck] = []
    for index in range(len(own.layers)):
        bench = _LayerBench(own, index, seed, views)
        functions = [bench.function(x, given[batch.before]) for x, batch in zip(given, batches, strict=True)]
        found = _over_batches(functions, batches, samples, seed, tolerance)
        given = [bench.forward(x).copy() for x in given]
        rows += _worse(found, bench.without_dx(functions[0]))
        if not all(np.isfinite(y).all() for y in given):  # what comes after it is not to blame
            break
    return rows


def check_loss(
    loss: Loss,
    y: Array,
    t: Array,
    *,
    w: Array | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> ArrayCheck:
    """The row of the loss alone, `loss dy`: its gradient with respect to the outputs y, with weights w (N,) if any.

    Raises ContractError when its value is not the mean of the examples' losses, which weights and tables are made of.
    """
    loss, batches = deepcopy(loss), batches_of(y, t, seed, w)
    _require_y_kept(loss, y, t)
    functions = [_of_loss(loss, batch, batches[batch.before]) for batch in batches]
    row = _over_batches(functions, batches, samples, seed, tolerance)[0]
    if isinstance(loss, Loss) and type(loss).per_example is not Loss.per_example:
        value, mean = float(loss(y.copy(), t)[0]), float(np.mean(loss.losses(y.copy(), t), dtype=np.float64))
        differs = not math.isclose(value, mean, rel_tol=SAME_LOSS, abs_tol=SAME_LOSS)
        if differs and (math.isfinite(value) or math.isfinite(mean)):
            raise broken(type(loss).__call__, value, f"the mean of what per_example gives, {mean}")
    return row


def _require_y_kept(loss: Loss, y: Array, t: Array) -> None:
    """Raises ContractError when the loss writes over the outputs: layers and figures need them."""
    methods = (loss, loss.per_example) if isinstance(loss, Loss) else (loss,)
    for method in methods:
        given = y.copy()
        with suppress(NotImplementedError):
            method(given, t)
        if not np.array_equal(given, y, equal_nan=True):
            own = type(loss).__call__ if method is loss and isinstance(loss, Loss) else method
            raise overwritten(own, "y")


def _float64_copy(network: Network) -> Network:
    if network.parameters.theta.dtype != np.float64:
        raise ValueError("the gradient check needs a network in float64: initialize(streams, np.float64)")
    own = network.copy()
    own.skip_input_gradient(False)
    return own


def _over_batches(
    functions: Sequence[Function], batches: Sequence[Batch], samples: int, seed: int, tolerance: float
) -> list[ArrayCheck]:
    """The rows of the first batch, each in exchange for that of another when it is wrong there alone."""
    rows = compare(functions[0], samples, seed, tolerance)
    for function, batch in zip(functions[1:], batches[1:], strict=True):
        rows = _worse(rows, wrong_arrays(function, seed, tolerance, batch.situation))
    return rows


def _worse(rows: list[ArrayCheck], found: Iterable[ArrayCheck]) -> list[ArrayCheck]:
    wrong = {row.name: row for row in found}
    return [wrong.get(row.name, row) if row.verdict == "right" else row for row in rows]


def _of_loss(loss: Loss, batch: Batch, before: Batch) -> Function:
    def kinks() -> Iterator[Array]:
        yield from _kinks(loss, batch.x, batch.t)

    def gradient() -> dict[str, Array]:
        _value_and_gradient(loss, before, before.x)
        return {"loss dy": _value_and_gradient(loss, batch, batch.x)[1].copy()}

    return Function(
        arrays={"loss dy": batch.x},
        value=lambda: _value_and_gradient(loss, batch, batch.x)[0],
        kinks=kinks,
        gradient=gradient,
        examples=len(batch.x),
    )


def _of_network(network: Network, loss: Loss, batch: Batch, before: Batch, l2: L2, views: Views) -> Function:
    parameters, N = network.parameters, len(batch.x)

    last = np.empty(0)

    def value() -> float | np.floating[Any]:
        nonlocal last
        last = network.forward(batch.x.copy(), True).copy()
        return _value_and_gradient(loss, batch, last)[0] + l2.penalty(parameters, N)

    def kinks() -> Iterator[Array]:
        yield from network.kinks()
        yield from _kinks(loss, last, batch.t)

    def gradient() -> dict[str, Array]:
        _, dy = _value_and_gradient(loss, before, network.forward(before.x.copy(), True))
        network.backward(dy)
        parameters.gradient[...] = np.nan  # what backward does not write anew stays that
        _, dy = _value_and_gradient(loss, batch, network.forward(batch.x.copy(), True))
        dx = network.backward(dy)
        assert dx is not None
        dx = dx.copy()
        l2.add_gradient(parameters, N)
        return {**_trainable(network, parameters.gradient.copy()), "input": dx}

    arrays = {**_trainable(network, parameters.theta), "input": batch.x}
    return Function(arrays, value, kinks, gradient, N, lambda name: _not_written(network, views, name))


def _value_and_gradient(loss: Loss, batch: Batch, y: Array) -> tuple[float | np.floating[Any], Array]:
    """Of the batch's targets and weights with outputs y."""
    return value_and_gradient(loss, y.copy(), batch.t, batch.w)  # a loss may write over y


def _kinks(loss: Loss, y: Array, t: Array) -> Iterator[Array]:
    """Those of the loss; one of one's own may be a plain function, which has none."""
    pattern = loss.kinks(y, t) if isinstance(loss, Loss) else None
    if pattern is not None:
        yield pattern


def _trainable(network: Network, vector: Array) -> dict[str, Array]:
    """The views of a vector that an optimizer would change."""
    views = network.parameters.named(vector)
    return {name: views[name] for name in network.parameters.trainable_names}


def _views(network: Network) -> Views:
    """Of every array, the layers' attributes that are views of it or of its gradient, before any pass."""
    found: dict[str, list[tuple[Layer, str]]] = {}
    vectors = [network.parameters.named(), network.parameters.named(network.parameters.gradient)]
    for layer in network.walk():
        own = [(name, view) for vector in vectors for name, view in vector.items() if name.startswith(f"{layer.path}.")]
        for attribute, value in vars(layer).items():
            for name, view in own:
                if isinstance(value, np.ndarray) and np.may_share_memory(value, view):
                    found.setdefault(name, []).append((layer, attribute))
    return found


def _not_written(network: Network, views: Views, name: str) -> str:
    """Why the network's own gradient of an array was not written, if it was not."""
    parameters = network.parameters
    for layer, attribute in views.get(name, ()):
        value = getattr(layer, attribute, None)
        if not any(np.may_share_memory(value, vector) for vector in (parameters.theta, parameters.gradient)):
            return f"self.{attribute} was bound to another array: write self.{attribute}[...] = ..."
    gradient = _trainable(network, network.parameters.gradient).get(name)
    if gradient is not None and np.isnan(gradient).all():
        return "backward has to write it anew in every pass: d...[...] = ..., neither left out nor added up with +="
    return ""


class _LayerBench:
    """One layer of a network, alone."""

    def __init__(self, network: Network, index: int, seed: int, views: Views) -> None:
        self.network, self.layer, self.seed, self.views = network, network.layers[index], seed, views
        self.output_shape: Shape = network.summaries[index].output_shape
        theta = _trainable(network, network.parameters.theta)
        self.own = {name: array for name, array in theta.items() if name.startswith(self.layer.path + ".")}
        self.dx_name = f"{self.layer.path} dx"
        self.overwritten = self.transposed = self.changing = ""

    def forward(self, x: Array) -> Array:
        given = x.copy()  # it may write over what it is given
        y = self.layer.forward(given, True)
        if not is_array(y, (len(x), *self.output_shape)):
            raise self._broken("forward", y, "y", (len(x), *self.output_shape))
        if not self.layer.may_overwrite_x and not np.array_equal(given, x, equal_nan=True):
            self.overwritten = "forward writes over x, which others still need: write y into an array of its own"
        self.given, self.made = given, y
        return y

    def backward(self, r: Array) -> Array | None:
        dy = r.copy()
        spoiled = self._spoil_what_is_not_read_again()
        dx = self.layer.backward(dy)
        if spoiled and dx is not None and np.isnan(dx).any():
            self.overwritten = f"backward reads {spoiled}"
        if not self.layer.may_overwrite_dy and not np.array_equal(dy, r, equal_nan=True):
            self.overwritten = "backward writes over dy, which others still need: write dx into an array of its own"
        return dx

    def _spoil_what_is_not_read_again(self) -> str:
        """Others may have overwritten by then what backward does not ask for; says what that is, and how to ask."""
        arrays = {"x": self.given, "y": self.made}
        asked = {"x": self.layer.needs_x_again(), "y": self.layer.backward_needs_output}
        if np.may_share_memory(self.given, self.made):
            asked = dict.fromkeys(asked, any(asked.values()))
        spoiled = [name for name in arrays if not asked[name] and np.isfinite(self.made).all()]
        for name in spoiled:
            arrays[name][...] = np.nan
        fields = {"x": "backward_needs_input", "y": "backward_needs_output"}
        return " or ".join(f"{name} again without asking for it: {fields[name]} = True" for name in spoiled)

    def function(self, x: Array, before: Array) -> Function:
        """f = sum r y for inputs x, after a pass with others."""
        r, other = (self._random(len(each)) for each in (x, before))
        first = self.forward(x).copy()
        if not np.array_equal(self.forward(x), first, equal_nan=True):  # random layers draw the same at the same step
            self.changing = CHANGING

        def gradient() -> dict[str, Array]:
            self.forward(before)
            self.backward(other)
            self.network.parameters.gradient[...] = np.nan
            self.forward(x)
            dx = self.backward(r)
            if not is_array(dx, x.shape):
                raise self._broken("backward", dx, "dx", x.shape)
            self.transposed = transposed_product(dx, r, self.own)
            return {**self._own_gradient(), self.dx_name: dx.copy()}

        return Function(
            arrays={**self.own, self.dx_name: x},
            value=lambda: float(np.vdot(r, self.forward(x))),
            kinks=self._kinks,
            gradient=gradient,
            examples=len(x),
            hint=self._hint,
        )

    def without_dx(self, function: Function) -> Iterator[ArrayCheck]:
        """The rows of those arrays whose gradient is another one when nobody needs dx."""
        wanted = function.gradient()
        self.layer.want_dx(False)
        self.network.parameters.gradient[...] = np.nan
        x = function.arrays[self.dx_name]
        self.forward(x)
        self.backward(self._random(len(x)))
        for name, found in self._own_gradient().items():
            right = wanted[name]
            if np.isfinite(right).all() and not np.allclose(
                found, right, rtol=SAME, atol=SAME * float(np.max(np.abs(right)))
            ):
                index = np.unravel_index(np.argmax(np.abs(found - right)), right.shape)
                yield ArrayCheck(
                    name, right.shape, "wrong", 1.0, float(found[index]), float(right[index]), 0.0,
                    tuple(map(int, index)), 1, 0, 0, "when nobody needs dx, as in a network's first layer",
                )  # fmt: skip

    def _random(self, N: int) -> Array:
        return np.random.default_rng((self.seed, N)).standard_normal((N, *self.output_shape))

    def _kinks(self) -> Iterator[Array]:
        pattern = self.layer.kinks()
        if pattern is not None:
            yield pattern

    def _own_gradient(self) -> dict[str, Array]:
        gradients = _trainable(self.network, self.network.parameters.gradient)
        return {name: gradients[name].copy() for name in self.own}

    def _hint(self, name: str) -> str:
        own = self.transposed if name == self.dx_name else _not_written(self.network, self.views, name)
        return self.changing or self.overwritten or own

    def _broken(self, method: str, value: object, name: str, shape: Shape) -> Exception:
        return broken(getattr(type(self.layer), method), value, f"{name} of shape {shape} (layer {self.layer.path})")
