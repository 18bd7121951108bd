"""The check itself: right gradients pass, what cannot be told is said, and what is given stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import ContractError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_batches import batch_sizes
from nnscratch.nn.gradient_check import check_gradients, check_layers, check_loss
from nnscratch.nn.gradient_rows import ArrayCheck
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import BatchNorm, Dense, Dropout, ReLU, Residual, Tanh
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2

TOLERANCE = 1e-6


@dataclass(eq=False)
class SignError(Dense):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.dW *= -1
        return dx


@dataclass(eq=False)
class MissingTranspose(Dense):
    """dx = dy W instead of dy W^T, which only a square W lets pass."""

    def backward(self, dy: Array) -> Array | None:
        super().backward(dy)
        return dy @ self.W


@dataclass(eq=False)
class WrongScale(Dense):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.db /= len(dy)
        return dx


def network_with(layer: Layer) -> tuple[Network, Array, Array]:
    """5 -> 6 -> [layer] -> 6 -> 3 in float64, a batch and its labels."""
    network = Network([Dense(6), Tanh(), layer, Tanh(), Dense(3)], (5,))
    network.initialize(RandomStreams(1), np.float64)
    rng = np.random.default_rng(0)
    return network, rng.standard_normal((4, 5)), rng.integers(0, 3, 4)


def wrong(rows: list[ArrayCheck]) -> set[str]:
    return {row.name for row in rows if row.verdict == "wrong"}


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        (SignError(6), {"2.dense.weight"}),
        (MissingTranspose(6), {"0.dense.weight", "0.dense.bias", "input"}),
        (WrongScale(6), {"2.dense.bias"}),
        (Dense(6), set()),
    ],
)
def test_end_to_end_a_wrong_dx_spoils_every_array_before_it(layer: Layer, where: set[str]) -> None:
    network, x, t = network_with(layer)
    assert wrong(check_gradients(network, CrossEntropy(), x, t, L2(0.1))) == where


def test_a_sign_error_gives_the_largest_possible_error_of_one() -> None:
    network, x, t = network_with(SignError(6))
    rows = {row.name: row for row in check_gradients(network, CrossEntropy(), x, t)}
    row = rows["2.dense.weight"]
    assert row.worst > 1 - 1e-6 or row.worst == pytest.approx(abs(row.analytic - row.numeric) / 1e-300)
    assert row.analytic == pytest.approx(-row.numeric, rel=1e-6)


def test_right_gradients_agree_to_eight_digits() -> None:
    network, x, t = network_with(Dense(6))
    assert max(row.worst for row in check_gradients(network, CrossEntropy(), x, t, L2(0.01))) < 1e-8


def test_a_gradient_that_is_tiny_beside_the_loss_is_still_resolved() -> None:
    # 1e-9 of a loss of about 1: one fixed step would drown in rounding.
    network, x, t = network_with(Dense(6))
    network.parameters.named()["4.dense.weight"][:] *= 1e-4
    rows = {row.name: row for row in check_gradients(network, CrossEntropy(), x, t)}
    assert abs(rows["0.dense.weight"].analytic) < 1e-5
    assert rows["0.dense.weight"].worst < TOLERANCE


def state_of(value: Any, seen: set[int]) -> Any:
    """All that an object holds, arrays as bytes, whatever it refers to once."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple | set | frozenset):
        return [state_of(each, seen) for each in value]
    if isinstance(value, dict):
        return {str(key): state_of(each, seen) for key, each in value.items()}
    if not hasattr(value, "__dict__") or callable(value) or id(value) in seen or isinstance(value, Workers):
        return repr(value) if isinstance(value, int | float | str | None) else None
    seen.add(id(value))
    return type(value).__name__, state_of(vars(value), seen)


class Raising(CrossEntropy):
    """Goes wrong in the middle of the check."""

    passes = 0

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        type(self).passes += 1
        if type(self).passes == 30:
            raise RuntimeError("in the middle")
        return super().__call__(y, t)


class RaisingTanh(Tanh):
    passes = 0

    def backward(self, dy: Array) -> Array | None:
        type(self).passes += 1
        if type(self).passes == 5:
            raise RuntimeError("in the middle")
        return super().backward(dy)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("raises", [False, True])
def test_the_check_leaves_the_network_the_loss_and_the_data_as_they_were(skip: bool, raises: bool) -> None:
    """Weights, gradients, running statistics, step, buffers, what each layer keeps and was told: everything."""
    layers = [Dense(6), BatchNorm(), Residual((Dense(6), RaisingTanh() if raises else Tanh())), Dropout(0.3), Dense(3)]
    network = Network(layers, (5,))
    network.initialize(RandomStreams(1), np.float64)
    network.skip_input_gradient(skip)
    network.moment.step = 7
    loss: CrossEntropy = Raising(label_smoothing=0.1) if raises else CrossEntropy(label_smoothing=0.1)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((4, 5)), rng.integers(0, 3, 4)
    Raising.passes = RaisingTanh.passes = 0
    _, dy = loss(network.forward(x, training=True), t)
    network.backward(dy)
    before = state_of([network, loss, x, t], set())
    for check in (
        lambda: check_gradients(network, loss, x, t, L2(0.1)),
        lambda: check_layers(network, x),
        lambda: check_loss(loss, np.ones((4, 3)), t),
    ):
        Raising.passes = RaisingTanh.passes = 0
        with pytest.raises(RuntimeError, match="in the middle") if raises else nullcontext():
            check()
        assert state_of([network, loss, x, t], set()) == before


def test_a_check_in_the_middle_of_training_does_not_change_what_comes_after() -> None:
    def trained(check: bool) -> Array:
        network, x, t = network_with(BatchNorm())
        for _ in range(3):
            _, dy = CrossEntropy()(network.forward(x, training=True), t)
            if check:
                check_gradients(network, CrossEntropy(), x, t)
                check_layers(network, x)
            network.backward(dy)
            network.parameters.theta -= 0.1 * network.parameters.gradient
        return network.parameters.values

    np.testing.assert_array_equal(trained(check=True), trained(check=False))


def test_a_loss_whose_gradient_lacks_the_batch_size_is_found() -> None:
    class Sum(CrossEntropy):
        def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
            value, dy = super().__call__(y, t)
            return value, dy * len(t)

    y, t = np.random.default_rng(3).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    assert check_loss(CrossEntropy(), y, t).worst < 1e-8
    assert check_loss(Sum(), y, t).worst == pytest.approx(0.6, rel=1e-3)  # |4 - 1| / (4 + 1)


def test_an_input_on_a_kink_is_left_out_and_counted_and_its_neighbours_are_checked() -> None:
    network = Network([ReLU()], (3,))
    network.initialize(RandomStreams(0), np.float64)
    (row,) = check_layers(network, np.array([[0.0, 0.7, -0.7]]))
    assert (row.checked, row.crossed_kinks) == (2, 1)
    assert row.verdict == "right"
    assert row.worst < 1e-9


def test_an_array_that_lies_on_kinks_altogether_is_checked_at_a_point_nearby() -> None:
    network = Network([ReLU()], (3,))
    network.initialize(RandomStreams(0), np.float64)
    (row,) = check_layers(network, np.zeros((2, 3)))
    assert (row.checked, row.crossed_kinks, row.verdict) == (6, 0, "right")


@dataclass(eq=False)
class AllKinks(Tanh):
    """A layer that calls every other number a kink."""

    def kinks(self) -> Array | None:
        return self.y


def test_an_array_with_kinks_everywhere_is_not_taken_for_checked() -> None:
    network, x, t = network_with(AllKinks())
    rows = {row.name: row for row in check_layers(network, x)}
    assert rows["2.tanh dx"].verdict == "not checked"
    assert (rows["2.tanh dx"].checked, rows["2.tanh dx"].crossed_kinks) == (0, 24)
    assert "every step crosses a kink" in rows["2.tanh dx"].hint
    assert rows["2.tanh dx"].hint
    first = next(row for row in check_gradients(network, CrossEntropy(), x, t) if row.name == "0.dense.weight")
    assert first.verdict == "not checked"


@dataclass(eq=False)
class Rounded(CrossEntropy):
    """The value is rounded, as single precision or a printed number is; its gradient is right, or all of it doubled."""

    to: Callable[[float], Any] = field(default=np.float32)
    factor: float = 1.0

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        value, dy = super().__call__(y, t)
        return self.to(value), self.factor * dy


def test_what_rounding_hides_is_neither_wrong_nor_taken_for_checked() -> None:
    y, t = np.random.default_rng(3).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    row = check_loss(Rounded(to=lambda value: round(value, 6)), y, t)
    assert (row.verdict, row.checked, row.unresolved) == ("not checked", 0, 12)
    assert "rounding hides it" in row.hint
    assert check_loss(Rounded(to=lambda value: round(value, 6)), y, t, tolerance=1e-2).verdict == "right"
    assert check_loss(CrossEntropy(), y, t, tolerance=1e-16).verdict == "not checked"


def test_a_loss_that_returns_single_precision_is_checked_as_well_as_that_allows() -> None:
    y, t = np.random.default_rng(3).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    row = check_loss(Rounded(), y, t)
    assert row.verdict == "right"
    assert row.hint == "the loss is in single precision: right to 0.0001, beyond that not known"
    assert check_loss(Rounded(factor=1.001), y, t).verdict == "wrong"


@pytest.mark.parametrize("to", [np.float32, lambda value: round(value, 6)])
def test_an_error_beyond_the_rounding_is_found_all_the_same(to: Callable[[float], Any]) -> None:
    y, t = np.random.default_rng(3).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    assert check_loss(Rounded(to=to, factor=2), y, t).verdict == "wrong"


@dataclass(eq=False)
class SingleTanh(Tanh):
    """It computes in single precision whatever it is given."""

    def forward(self, x: Array, training: bool) -> Array:
        self.y = np.tanh(x.astype(np.float32)).astype(np.float64)
        return self.y


def test_a_layer_that_computes_in_single_precision_is_not_called_wrong() -> None:
    network, x, t = network_with(SingleTanh())
    assert not wrong(check_layers(network, x))
    assert not wrong(check_gradients(network, CrossEntropy(), x, t))


@dataclass(eq=False)
class Logarithm(Tanh):
    """Of negative numbers it is not a number."""

    def forward(self, x: Array, training: bool) -> Array:
        with np.errstate(all="ignore"):
            self.y = np.log(x)
        return self.y


def test_a_forward_pass_that_is_not_a_number_is_no_pass() -> None:
    network, x, t = network_with(Logarithm())
    rows = {row.name: row for row in check_layers(network, x)}
    assert rows["2.tanh dx"].verdict == "wrong"
    assert rows["2.tanh dx"].hint == "the forward pass gives nan"
    assert wrong(check_gradients(network, CrossEntropy(), x, t))


def test_as_many_entries_are_looked_at_as_are_wanted() -> None:
    network, x, t = network_with(Dense(6))
    for samples, expected in ((1, 1), (20, 20), (1000, 36)):
        rows = {row.name: row for row in check_gradients(network, CrossEntropy(), x, t, samples=samples)}
        assert rows["2.dense.weight"].checked == expected


def test_the_batches_are_a_larger_one_a_shorter_odd_one_and_a_single_example() -> None:
    assert batch_sizes(4) == [9, 3, 1]
    assert batch_sizes(5) == [11, 3, 1]
    assert batch_sizes(2) == [5, 1]
    assert batch_sizes(1) == [3]


@pytest.mark.parametrize(
    ("method", "result", "said"),
    [
        ("backward", None, "Odd.backward returned nothing, not dx of shape"),
        ("backward", np.zeros((4, 2)), "returned an array of shape (4, 2), not dx of shape"),
        ("forward", None, "Odd.forward returned nothing, not y of shape"),
    ],
)
def test_a_layer_that_returns_something_else_is_named_by_file_and_line(method: str, result: Any, said: str) -> None:
    @dataclass(eq=False)
    class Odd(Tanh):
        pass

    def returns(self: Tanh, *_: Any) -> Any:
        return result

    setattr(Odd, method, returns)
    returns.__qualname__ = f"Odd.{method}"
    network, x, t = network_with(Odd())
    checks: list[Callable[[], list[ArrayCheck]]] = [
        lambda: check_layers(network, x),
        lambda: check_gradients(network, CrossEntropy(), x, t),
    ]
    for check in checks:
        with pytest.raises(ContractError) as caught:
            check()
        assert said in str(caught.value)
        assert f"test_gradient_check.py, line {returns.__code__.co_firstlineno}: " in str(caught.value)


def test_a_loss_that_returns_something_else_is_named_by_file_and_line() -> None:
    class Odd(CrossEntropy):
        def __call__(self, y: Array, t: Array) -> Any:
            return 1.0

    with pytest.raises(
        ContractError, match=r"test_gradient_check\.py, line \d+: .*Odd.__call__ returned 1.0, not a pair"
    ):
        check_loss(Odd(), np.ones((4, 3)), np.zeros(4, np.int64))


def test_a_loss_whose_examples_have_another_mean_than_its_value_is_named() -> None:
    class Odd(CrossEntropy):
        def per_example(self, y: Array, t: Array) -> Array:
            return 2 * super().per_example(y, t)

    y, t = np.zeros((4, 2)), np.zeros(4, np.int64)  # ln 2 each
    assert check_loss(CrossEntropy(), y, t).verdict == "right"
    said = r"__call__ returned 0\.69314\d+, not the mean of what per_example gives, 1\.38629\d+"
    with pytest.raises(ContractError, match=said):
        check_loss(Odd(), y, t)


def test_a_network_in_single_precision_is_refused() -> None:
    network = Network([Dense(2)], (3,))
    network.initialize(RandomStreams(0))
    with pytest.raises(ValueError, match="float64"):
        check_gradients(network, CrossEntropy(), np.ones((2, 3)), np.zeros(2, np.int64))
