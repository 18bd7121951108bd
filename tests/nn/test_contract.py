"""What a component returns is what its kind must; else the file and the line where it is written are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import ContractError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.contract import broken, is_array, is_shape
from nnscratch.nn.gradient_check import check_layers, check_loss
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, Tanh
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.losses import Loss, value_and_gradient
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.averaging import Averaging
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Scaling, fit_inputs


@pytest.mark.parametrize("value", [(), (3,), (3, 4, 5), (np.int64(3),)])
def test_a_tuple_of_whole_numbers_is_a_shape(value: object) -> None:
    assert is_shape(value)


@pytest.mark.parametrize("value", [None, [3], 3, (3.0,), ("3",), np.array([3])])
def test_nothing_else_is_a_shape(value: object) -> None:
    assert not is_shape(value)


def test_an_array_is_one_of_just_that_shape() -> None:
    assert is_array(np.zeros((2, 3)), (2, 3))
    for value in (np.zeros((3, 2)), [[0, 0, 0], [0, 0, 0]], None, 1.0):
        assert not is_array(value, (2, 3))


def test_the_error_names_the_line_of_the_method_and_what_it_returned() -> None:
    error = broken(Dense.forward, None, "y")
    line = Dense.forward.__code__.co_firstlineno
    assert str(error).splitlines()[0] == f"dense.py, line {line}: Dense.forward returned nothing, not y"
    assert "returned [1, 2], not y" in str(broken(Dense.forward, [1, 2], "y"))
    assert "returned an array of shape (2, 3), not y" in str(broken(Dense.forward, np.zeros((2, 3)), "y"))
    assert "returned a list, not y" in str(broken(Dense.forward, [0] * 100, "y"))


@dataclass(eq=False)
class Odd(Tanh):
    """A layer of which one method returns whatever it is told to."""

    method: str = ""
    result: Any = None

    def build(self, input_shape: Any, parameters: Any) -> Any:
        return self.result if self.method == "build" else super().build(input_shape, parameters)

    def forward(self, x: Array, training: bool) -> Any:
        y = super().forward(x, training)
        return self.result if self.method == "forward" else y

    def backward(self, dy: Array) -> Any:
        dx = super().backward(dy)
        return self.result if self.method == "backward" else dx


@pytest.mark.parametrize("method", ["build", "forward", "backward"])
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("result", [None, np.zeros((4, 2))])
def test_a_network_says_which_layer_returned_something_else(method: str, is_last: bool, result: Any) -> None:
    layers: list[Layer] = [Dense(6), Odd(method, result), *([] if is_last else [Dense(3)])]

    def passes() -> None:
        network = Network(layers, (5,))
        network.initialize(RandomStreams(0), np.float64)
        network.backward(network.forward(np.ones((4, 5)), training=True))

    with pytest.raises(ContractError) as caught:
        passes()
    line = getattr(Odd, method).__code__.co_firstlineno
    assert str(caught.value).startswith(f"test_contract.py, line {line}: Odd.{method} returned ")


def test_an_error_of_a_layer_that_was_given_what_it_should_be_stays_as_it_is() -> None:
    @dataclass(eq=False)
    class Failing(Tanh):
        def forward(self, x: Array, training: bool) -> Array:
            raise ZeroDivisionError("in its own code")

    network = Network([Dense(6), Failing()], (5,))
    network.initialize(RandomStreams(0))
    with pytest.raises(ZeroDivisionError, match="in its own code"):
        network.forward(np.ones((4, 5), np.float32))


@dataclass(eq=False)
class Quartic(Loss):
    """L = mean_nk (y - t)^4, right but for what `wrong` says."""

    wrong: str = ""

    def __call__(self, y: Array, t: Array) -> Any:
        d = np.subtract(y, t, out=y) if self.wrong == "writes" else y - t
        value, dy = float(np.mean(d**4)), 4 * d**3 / d.size
        return {"value": (d, dy), "dy": (value, dy[0])}.get(self.wrong, (value, dy))

    def per_example(self, y: Array, t: Array) -> Any:
        losses = np.mean((y - t) ** 4, axis=1)
        return losses.mean() if self.wrong == "losses" else losses


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("value", "Quartic.__call__ returned an array of shape (6, 3), not a number, as the value before dy"),
        ("dy", "Quartic.__call__ returned an array of shape (3,), not dy of shape (6, 3) after the value"),
        ("losses", "not the loss of every example, of shape (6,)"),
        ("writes", "Quartic.__call__ writes over y, which others still need"),
    ],
)
def test_what_is_wrong_with_a_loss_is_said_of_its_part(wrong: str, said: str) -> None:
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((2, 6, 3))
    assert check_loss(Quartic(), y, t).verdict == "right"
    with pytest.raises(ContractError, match="line ") as caught:
        value_and_gradient(Quartic(wrong), y, t) if wrong in ("value", "dy") else check_loss(Quartic(wrong), y, t)
    assert said in str(caught.value)


def test_weights_of_examples_ask_for_the_loss_of_each() -> None:
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((2, 6, 3))
    with pytest.raises(ContractError, match="not the loss of every example"):
        value_and_gradient(Quartic("losses"), y, t, np.ones(6))


@dataclass(eq=False)
class Bound(Activation):
    """y = x^3, of which one method binds a name and writes nothing."""

    method: str = "function"

    def function(self, x: Array, y: Array) -> None:
        if self.method == "function":
            y = x**3
        else:
            y[...] = x**3

    def derivative(self, x: Array, dydx: Array) -> None:
        if self.method == "derivative":
            dydx = 3 * x**2
        else:
            dydx[...] = 3 * x**2


@pytest.mark.parametrize(("method", "argument"), [("function", "y"), ("derivative", "dydx")])
def test_an_activation_that_writes_nothing_is_told_how_to(method: str, argument: str) -> None:
    with pytest.raises(ContractError, match=f"Bound.{method} wrote nothing into {argument}") as caught:
        Network([Dense(3), Bound(method)], (4,))
    assert f"write `{argument}[...] = ...`" in str(caught.value)
    Network([Dense(3), Bound("")], (4,))


@dataclass(eq=False)
class Noisy(Activation):
    """y = x + noise, whose noise is another in every call."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rng = np.random.default_rng(0)

    def function(self, x: Array, y: Array) -> None:
        np.add(x, self.rng.standard_normal(x.shape), out=y)

    def derivative(self, x: Array, dydx: Array) -> None:
        dydx[...] = 1


def test_a_layer_that_gives_another_y_each_time_is_told_why_nothing_can_be_checked() -> None:
    network = Network([Dense(3), Noisy()], (4,))
    network.initialize(RandomStreams(0), np.float64)
    rows = {row.name: row for row in check_layers(network, np.ones((5, 4)))}
    (name,) = [each for each in rows if each.endswith("dx") and not each.startswith("0.")]
    assert rows[name].verdict != "right"
    assert "forward gives other values for the same x each time" in rows[name].hint


@dataclass(frozen=True)
class Returned(Averaging):
    """An average that is returned in place of being written."""

    def update(self, average: Array, theta: Array, step: int, total_steps: int, scratch: Array) -> Any:
        return 0.9 * average + 0.1 * theta


@dataclass(frozen=True)
class Forgotten(Scaling):
    """A scaling that returns nothing."""

    def fit(self, train: Examples) -> Any:
        return None


def test_an_average_and_a_scaling_are_held_to_what_they_must_give() -> None:
    with pytest.raises(ContractError, match="not None: it writes into average"):
        Returned().change(np.zeros(2), np.ones(2), 1, 10, np.empty(2))
    with pytest.raises(ContractError, match=r"Forgotten\.fit returned nothing, not an Affine"):
        fit_inputs(Examples.all_of(np.zeros((3, 2), np.float32), np.zeros(3, np.int64)), Forgotten())
