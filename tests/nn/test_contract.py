"""What a component returns is what its kind must; else the file and the line where it is written are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import ContractError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.contract import broken, is_array, is_shape
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, Tanh
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


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
