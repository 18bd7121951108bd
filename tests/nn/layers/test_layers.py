"""Every layer: its values against known ones, its gradient against central differences in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnscratch.component import catalogue
from nnscratch.errors import ShapeError, UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import PIECE
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.initializers import Constant
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import (
    GELU,
    Dense,
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    ReLU,
    Residual,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.losses import Loss, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2

ACTIVATIONS = sorted(catalogue(Activation))
LOSSES = sorted(catalogue(Loss))


def built(layers: list[Layer], shape: tuple[int, ...], dtype: type = np.float64, outputs: int | None = None) -> Network:
    network = Network(layers, shape, outputs=outputs)
    network.initialize(RandomStreams(3), dtype)
    return network


def apply(layer: Layer, x: list[float]) -> list[float]:
    """The layer's outputs for one example of len(x) numbers."""
    values = built([layer], (len(x),)).forward(np.array([x]))[0]
    return [float(value) for value in values]


def test_relu_keeps_positive_numbers_and_zeroes_the_rest() -> None:
    assert apply(ReLU(), [-2.0, 0.0, 3.0]) == [0.0, 0.0, 3.0]


def test_leaky_relu_scales_negative_numbers_by_its_slope() -> None:
    assert apply(LeakyReLU(0.1), [-2.0, 0.0, 3.0]) == pytest.approx([-0.2, 0.0, 3.0])


def test_sigmoid_of_zero_is_a_half_and_of_ln_three_is_three_quarters() -> None:
    assert apply(Sigmoid(), [0.0, float(np.log(3)), -float(np.log(3))]) == pytest.approx([0.5, 0.75, 0.25])


def test_tanh_is_numpys_tanh() -> None:
    assert apply(Tanh(), [-1.0, 0.0, 0.5]) == pytest.approx([-0.7615941559557649, 0.0, 0.46211715726000973])


def test_gelu_of_one_is_the_published_value_of_its_tanh_form() -> None:
    assert apply(GELU(), [1.0, 0.0, -1.0]) == pytest.approx([0.8411919906082768, 0.0, -0.15880800939172324])


def test_gelu_is_right_as_far_as_its_docstring_says_and_its_slope_of_a_billion_too() -> None:
    x = np.array([[-9e8, -1e6, -50, -12, 12, 50, 1e6, 9e8]], np.float32)
    gelu = GELU()
    network = Network([gelu], x.shape[1:])
    network.initialize(RandomStreams(0))
    y = network.forward(x, training=True).copy()
    np.testing.assert_allclose(y, np.where(x > 0, x, 0), rtol=1e-6, atol=2e-35 * 9e8)
    network.skip_input_gradient(False)
    network.forward(x, training=True)
    dx = network.backward(np.ones_like(x))
    assert dx is not None
    np.testing.assert_allclose(dx, (x > 0).astype(np.float32), atol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 1 / 3, 0.999999, 1e-6])
def test_dropout_keeps_the_expected_value_at_the_rate_that_is_drawn(rate: float) -> None:
    layer = Dropout(rate)
    drawn = layer.dropped / 65536
    assert drawn == pytest.approx(rate, abs=1 / 65536)
    assert drawn < 1
    assert layer.factor * (1 - drawn) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("N", [3, PIECE // 4 + 1])
def test_gelu_over_the_memory_of_its_input_is_the_same_with_and_without_training(N: int) -> None:
    """After a dense layer y takes the place of x; the numbers of the larger batch are more than a piece."""
    dense = Dense(4)
    network = Network([dense, GELU()], (2,))
    network.initialize(RandomStreams(0), np.float64)
    x = np.random.default_rng(1).standard_normal((N, 2))
    linear = x @ dense.W
    u = math.sqrt(2 / math.pi) * (linear + 0.044715 * linear**3)
    for training in (True, False):
        y = network.forward(x, training)
        np.testing.assert_allclose(y, linear * (1 + np.tanh(u)) / 2, atol=1e-12)


@pytest.mark.parametrize("layer", [Sigmoid(), SiLU(), GELU()])
def test_gates_neither_overflow_nor_warn_far_from_zero(layer: Layer) -> None:
    network = built([layer], (4,), np.float32)
    network.skip_input_gradient(False)
    far = np.array([[-1e4, -200, 200, 1e4]], np.float32)
    y = network.forward(far.copy(), training=True)
    np.testing.assert_allclose(y[0], [0, 0, 1, 1] if isinstance(layer, Sigmoid) else [0, 0, 200, 1e4], atol=1e-25)
    dx = network.backward(np.ones((1, 4), np.float32))
    assert dx is not None
    np.testing.assert_allclose(dx, [[0, 0, 0, 0] if isinstance(layer, Sigmoid) else [0, 0, 1, 1]], atol=1e-20)


def test_silu_is_x_times_sigmoid_of_x() -> None:
    assert apply(SiLU(), [float(np.log(3)), 0.0]) == pytest.approx([0.75 * np.log(3), 0.0])


def test_identity_changes_nothing() -> None:
    assert apply(Identity(), [-1.5, 2.5]) == [-1.5, 2.5]


@dataclass(eq=False)
class Cubed(Activation):
    """y = x^3,  dx = dy 3 x^2, as a plugin would write it: from x, and with no thought of memory."""

    def function(self, x: Array, y: Array) -> None:
        y[...] = x**3

    def derivative(self, x: Array, dydx: Array) -> None:
        dydx[...] = 3 * x**2


@dataclass(eq=False)
class CubedFromOutput(Cubed):
    """The same with its derivative from y = x^3, which is 3 |y|^(2/3)."""

    backward_needs_output: ClassVar[bool] = True

    def derivative(self, y: Array, dydx: Array) -> None:
        dydx[...] = 3 * np.abs(y) ** (2 / 3)


@pytest.mark.parametrize("N", [3, PIECE // 4 + 1])
@pytest.mark.parametrize("cubed", [Cubed, CubedFromOutput])
def test_an_activation_is_its_function_and_its_derivative(cubed: type[Cubed], N: int) -> None:
    """Over the memory of its input, too, as after a dense layer, and in pieces."""
    dense, layer = Dense(4), cubed()
    network = built([dense, layer, Dense(4), layer_below_a_dense_layer := cubed(), Dense(1)], (2,))
    assert layer.may_overwrite_x
    assert layer_below_a_dense_layer.may_overwrite_x
    x = np.random.default_rng(0).standard_normal((N, 2))
    network.forward(x, training=True)
    dy = np.ones((N, 1))
    network.backward(dy.copy())

    second, last = network.layers[2], network.layers[4]
    assert isinstance(second, Dense)
    assert isinstance(last, Dense)
    u = x @ dense.W + dense.b
    v = u**3 @ second.W + second.b
    dv = dy @ last.W.T * 3 * v**2
    np.testing.assert_allclose(last.dW, (v**3).T @ dy, rtol=1e-9)
    np.testing.assert_allclose(second.dW, (u**3).T @ dv, rtol=1e-9)
    np.testing.assert_allclose(dense.dW, x.T @ (dv @ second.W.T * 3 * u**2), rtol=1e-9)


def test_softmax_of_logarithms_gives_their_shares() -> None:
    assert apply(Softmax(), [float(np.log(1)), float(np.log(2)), float(np.log(5))]) == pytest.approx(
        [1 / 8, 2 / 8, 5 / 8]
    )


def test_softmax_of_huge_logits_is_finite() -> None:
    assert apply(Softmax(), [1e4, -1e4, 0.0]) == [1.0, 0.0, 0.0]


def test_softmax_jacobian_is_diag_y_minus_y_y_transposed() -> None:
    layer = Softmax()
    network = built([layer], (4,))
    network.skip_input_gradient(False)
    y = network.forward(np.array([[0.3, -1.0, 0.2, 2.0]]))[0].copy()
    rows = []
    for unit in np.eye(4):
        dx = network.backward(unit[None].copy())
        assert dx is not None
        rows.append(dx[0].copy())
    np.testing.assert_allclose(rows, np.diag(y) - np.outer(y, y), atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_stays_finite_for_inputs_of_ten_thousand_in_float32(name: str) -> None:
    network = built([catalogue(Activation)[name]()], (3,), np.float32)
    network.skip_input_gradient(False)
    y = network.forward(np.array([[1e4, -1e4, 0.0]], np.float32), training=True)
    assert np.isfinite(y).all()
    dx = network.backward(np.ones((1, 3), np.float32))
    assert dx is not None
    assert np.isfinite(dx).all()


def test_dense_is_x_times_w_plus_b() -> None:
    layer = Dense(2)
    network = built([layer], (3,))
    layer.W[:] = [[1, 2], [3, 4], [5, 6]]
    layer.b[:] = [10, 20]
    np.testing.assert_array_equal(network.forward(np.array([[1.0, 0.0, 2.0]])), [[21.0, 34.0]])


def test_dense_gradients_are_the_formulas_of_its_docstring() -> None:
    layer = Dense(2)
    network = built([layer], (3,))
    network.skip_input_gradient(False)
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    network.forward(x)
    dx = network.backward(dy.copy())
    np.testing.assert_allclose(layer.dW, x.T @ dy)
    np.testing.assert_allclose(layer.db, dy.sum(axis=0))
    assert dx is not None
    np.testing.assert_allclose(dx, dy @ layer.W.T)


def test_dense_without_bias_has_only_a_weight() -> None:
    assert list(built([Dense(2, bias=False)], (3,)).parameters.named()) == ["0.dense.weight"]


def test_a_bare_dense_takes_its_width_from_the_data() -> None:
    assert built([Dense()], (3,), outputs=7).output_shape == (7,)


def test_a_layers_own_initializer_wins_over_the_models() -> None:
    layer = Dense(2, weight_init=Constant(0.5))
    built([layer], (3,))
    assert (layer.W == 0.5).all()


def test_dense_on_an_image_names_the_layer_and_suggests_flatten() -> None:
    with pytest.raises(ShapeError, match=r"layer 0\.dense.*\(4, 4, 3\)") as caught:
        Network([Dense(2)], (4, 4, 3))
    assert "flatten" in str(caught.value.hint)


def test_flatten_and_back_keeps_every_number_in_its_place() -> None:
    network = built([Flatten()], (2, 3, 4))
    network.skip_input_gradient(False)
    x = np.arange(48.0).reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(network.forward(x), x.reshape(2, 24))
    dx = network.backward(x.reshape(2, 24))
    assert dx is not None
    np.testing.assert_array_equal(dx, x)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_agree_with_central_differences(name: str, loss: str) -> None:
    activation = catalogue(Activation)[name]
    network = built([Flatten(), Dense(7), activation(), Dense(6), activation(), Dense()], (3, 2, 2), outputs=4)
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((5, 3, 2, 2)), rng.integers(0, 4, 5)
    rows = check_gradients(network, catalogue(Loss)[loss](), x, t, L2(0.01))
    assert [row.name for row in rows][-1] == "input"
    assert sum(row.checked for row in rows) > 50
    assert max(row.worst for row in rows) < 2e-6


@pytest.mark.parametrize("last", ACTIVATIONS)
def test_mean_squared_error_gradient_is_true_behind_every_output_layer(last: str) -> None:
    network = built([Dense(5), Tanh(), Dense(), catalogue(Activation)[last]()], (6,), outputs=3)
    rng = np.random.default_rng(2)
    rows = check_gradients(network, MeanSquaredError(), rng.standard_normal((4, 6)), rng.standard_normal((4, 3)))
    assert max(row.worst for row in rows) < 2e-6


def test_an_array_that_lies_on_kinks_altogether_is_checked_at_a_point_nearby() -> None:
    layer = Dense(1, weight_init=Constant(0.0))  # y = 0 for every input: exactly on ReLU's kink
    network = built([layer, ReLU()], (2,))
    rows = check_gradients(network, MeanSquaredError(), np.ones((3, 2)), np.ones((3, 1)))
    weight = next(row for row in rows if row.name == "0.dense.weight")
    assert (weight.checked, weight.crossed_kinks, weight.verdict) == (2, 0, "right")


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    inputs=st.integers(1, 9),
    first=st.integers(1, 12),
    second=st.integers(1, 12),
)
def test_any_depth_width_and_batch_size_gives_the_same_as_plain_numpy(
    sizes: list[int], inputs: int, first: int, second: int
) -> None:
    layers = [Dense(size) for size in sizes]
    network = built([each for layer in layers for each in (layer, ReLU())], (inputs,))
    rng = np.random.default_rng(0)
    for batch in (first, second):  # the second reuses or outgrows the buffers of the first
        x = rng.standard_normal((batch, inputs))
        expected: Array = x
        for layer in layers:
            expected = np.maximum(expected @ layer.W + layer.b, 0)
        np.testing.assert_allclose(network.forward(x), expected)


def test_layers_write_over_their_input_only_when_nobody_needs_it_again() -> None:
    layers: list[Layer] = [Dense(4), ReLU(), Sigmoid(), Dense(4), GELU(), Flatten(), Tanh(), Softmax()]
    built(layers, (4,))
    granted = {f"{index}.{layer.name}": layer.may_overwrite_x for index, layer in enumerate(layers)}
    assert granted == {
        "0.dense": False,  # the batch is the caller's
        "1.relu": True,  # dense needs its input again, not its output
        "2.sigmoid": False,  # relu's backward reads relu's output
        "3.dense": False,
        "4.gelu": True,  # gelu keeps its derivative, not its input
        "5.flatten": False,  # a view writes nothing
        "6.tanh": True,  # over gelu's output, through the view that flatten is
        "7.softmax": False,
    }


def test_the_callers_batch_is_never_written_to() -> None:
    network = built([Flatten(), ReLU(), Dense(3)], (2, 2))
    x = -np.ones((4, 2, 2))
    network.forward(x, training=True)
    network.backward(np.ones((4, 3)))
    assert (x == -1).all()


def test_the_first_layer_with_parameters_computes_no_input_gradient() -> None:
    layers: list[Layer] = [Flatten(), Dense(3), ReLU(), Dense(2)]
    network = built(layers, (2, 2))
    network.forward(np.ones((1, 2, 2)))
    assert network.backward(np.ones((1, 2))) is None
    assert [layer.needs_dx for layer in layers] == [False, False, True, True]


def test_an_input_of_the_wrong_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(ShapeError, match=r"\(5,\).*\(4,\)"):
        built([Dense(2)], (5,)).forward(np.ones((1, 4)))


def test_a_network_that_does_not_end_in_the_datas_width_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(3,\).*\(10,\)"):
        Network([Dense(3)], (4,), outputs=10)


def test_a_network_without_weights_says_how_it_gets_them() -> None:
    with pytest.raises(UserError, match=r"no weights yet\n  call network\.initialize"):
        Network([Dense(2)], (3,)).forward(np.zeros((1, 3), np.float32))


def test_training_costs_three_forward_passes_less_what_nobody_needs() -> None:
    layers: list[Layer] = [
        Dense(100, bias=False, frozen=True),
        Dense(10),
        Residual((Dense(10, frozen=True),)),
        Dense(5),
    ]
    network = Network(layers, (20,))
    # Forward alone; forward and dW; forward and dx; all three.
    assert network.training_flops() == 2 * (20 * 100 + 2 * 100 * 10 + 2 * 10 * 10 + 3 * 10 * 5)
    network.skip_input_gradient(False)
    assert network.training_flops() == 2 * (2 * 20 * 100 + 3 * 100 * 10 + 2 * 10 * 10 + 3 * 10 * 5)
