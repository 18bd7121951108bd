"""Every layer, loss and optimizer is worked by hand, forward and backward, and every printed equation holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pytest

import nnscratch.config.builtins  # noqa: F401  so that every component is known
from nnscratch.component import Component, catalogue
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import CANCELLED, Equation, evaluate
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import (
    GELU,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Identity,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)  # fmt: skip
from nnscratch.nn.losses import CrossEntropy, Huber, Loss, MeanAbsoluteError, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2
from nnscratch.teaching.mathematics import to_mathml, to_tex, to_text
from nnscratch.training.averaging import Averaging, ExponentialMovingAverage, Lookahead
from nnscratch.training.muon import Muon
from nnscratch.training.optimizers import SGD, Adam, AdamW, Lion, Optimizer, RMSProp
from nnscratch.training.update_equations import Before, clipping_equations

IMAGES, FLAT = (7, 6, 3), (12,)

LAYERS: list[tuple[Layer, tuple[int, ...]]] = [
    (Dense(5), FLAT),
    (Dense(5, bias=False), FLAT),
    (Dense(3, frozen=True), FLAT),
    (Conv(4), IMAGES),
    (Conv(4, kernel=4, bias=False), IMAGES),
    (Conv(2, kernel=3, stride=2, padding=2), IMAGES),
    (Conv(2, kernel=2, stride=3, padding="valid"), IMAGES),
    (Conv(2, kernel=1), IMAGES),
    (Conv(6, groups=3), IMAGES),
    (Conv(2, frozen=True), IMAGES),
    (BatchNorm(), IMAGES),
    (BatchNorm(scale=False, shift=False), FLAT),
    (LayerNorm(), IMAGES),
    (LayerNorm(), FLAT),
    (MaxPool(), IMAGES),
    (MaxPool(3, stride=1), IMAGES),
    (MaxPool(5), IMAGES),
    (MaxPool(2, stride=3), IMAGES),
    (AveragePool(), IMAGES),
    (AveragePool(3, stride=2), IMAGES),
    (GlobalAveragePool(), IMAGES),
    (Flatten(), IMAGES),
    (Dropout(0.3), IMAGES),
    (Dropout(0.0), FLAT),
    (Residual((Conv(3), ReLU())), IMAGES),
    (Residual((Dense(4), Tanh()), (Dense(4),)), FLAT),
    (Scale(-0.5), FLAT),
    (Softmax(), FLAT),
    (Softmax(), IMAGES),
    *((layer(), shape) for layer in (Identity, ReLU, LeakyReLU, Sigmoid, Tanh, GELU, SiLU) for shape in (FLAT, IMAGES)),
]
LOSSES: list[Loss] = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    CrossEntropy(class_weights=(0.5, 2.0, 1.0, 1.0, 3.0)),
    CrossEntropy(label_smoothing=0.2, class_weights="balanced"),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Huber(),
    Huber(0.3),
]
OPTIMIZERS: list[Optimizer] = [
    SGD(),
    SGD(momentum=0.9),
    SGD(momentum=0.9, dampening=0.2, nesterov=True, weight_decay=0.1),
    RMSProp(),
    Adam(),
    AdamW(weight_decay=0.1),
    Lion(weight_decay=0.1),
    Muon(),
    Muon(normalize=True, iterations=1),
    Muon(weight_decay=0.1, sgd_weight_decay=0.0, sgd_momentum=0.0),
]
AVERAGES: list[Averaging] = [ExponentialMovingAverage(), Lookahead(every=2)]
GRADIENTS = ("dW", "db", "dgamma", "dbeta")


def built_in(kind: type[Component]) -> set[type[Component]]:
    return {each for each in catalogue(kind).values() if each.__module__.startswith("nnscratch.")}


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        (Layer, [layer for layer, _ in LAYERS]),
        (Loss, LOSSES),
        (Optimizer, OPTIMIZERS),
        (Averaging, AVERAGES),
    ],
)
def test_every_built_in_component_is_among_the_cases(kind: type[Component], cases: list[Component]) -> None:
    assert {type(each) for each in cases} == built_in(kind)


def printed(text: str) -> str:
    """The arithmetic that a printed line stands for."""
    for shown, written in (("·", "*"), ("−", "-"), ("^", "**"), ("[", "("), ("]", ")"), ("π", "pi"), ("∞", "inf")):
        text = text.replace(shown, written)
    return text


def check(equations: Iterable[Equation], arrays: Mapping[str, Array | None]) -> set[str]:
    """Each holds from its printed text alone and is the entry of the real array; gives the names of those shown."""
    shown = set()
    for equation in equations:
        again = evaluate(printed(to_text(equation.numbers)))
        largest = max([abs(float(each)) for each in re.findall(r"[\d.]+(?:e[+-]\d+)?", equation.numbers)], default=0.0)
        allowed = 1e-7 * largest if CANCELLED in equation.note else 1e-12 * largest
        assert again == pytest.approx(equation.value, rel=1e-6, abs=allowed), equation
        assert not equation.is_wrong, equation
        assert "Σ" not in to_text(equation.numbers)
        assert to_tex(equation.formula)
        assert to_mathml(equation.formula)
        name, _, index = equation.name.partition("_{")
        array = arrays.get(name)
        if array is not None:
            place = tuple(int(each) for each in index.removesuffix("}").split(",")) if index else ()
            assert equation.value == pytest.approx(float(array[place]), rel=1e-12, abs=1e-300), equation
            shown.add(name)
    return shown


@pytest.mark.parametrize("N", [1, 2, 9])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda each: getattr(each, "name", None))
def test_every_layer_is_worked_forward_and_backward(layer: Layer, shape: tuple[int, ...], N: int) -> None:
    network = Network([layer], shape)
    network.initialize(RandomStreams(4), np.float64)
    network.skip_input_gradient(False)
    rng = np.random.default_rng(0)
    network.parameters.theta += 0.1 * rng.standard_normal(network.parameters.size)  # biases, gamma, beta
    x = rng.standard_normal((N, *shape))
    y = layer.forward(x.copy(), True).copy()
    n = N // 2
    forward = list(layer.worked_forward(x, y, n))
    assert check(forward, {"y": y}) == {"y"}
    dy = rng.standard_normal(y.shape)
    dx = layer.backward(dy.copy())
    assert dx is not None
    dx = dx.copy()
    gradients = {name: getattr(layer, name) for name in GRADIENTS if hasattr(layer, name)}
    if getattr(layer, "frozen", False):
        del gradients["dW"]
    assert check(layer.worked_backward(x, y, dy, dx, n), {"dx": dx, **gradients}) == {"dx", *gradients}


@pytest.mark.parametrize(
    ("layer", "shape"), [(Dense(5), FLAT), (Conv(4), IMAGES), (BatchNorm(), IMAGES), (LayerNorm(), FLAT)]
)
def test_without_dx_the_own_gradients_are_worked_still(layer: Layer, shape: tuple[int, ...]) -> None:
    network = Network([layer], shape)
    network.initialize(RandomStreams(4), np.float64)
    x = np.random.default_rng(0).standard_normal((4, *shape))
    y = layer.forward(x.copy(), True).copy()
    assert layer.backward(y.copy()) is None
    gradients = {name: getattr(layer, name) for name in GRADIENTS if hasattr(layer, name)}
    assert check(layer.worked_backward(x, y, y, None), gradients) == set(gradients)


def test_the_pixel_that_max_pool_chose_among_equals_is_the_one_that_gets_dy() -> None:
    layer = MaxPool(2)
    network = Network([layer], (4, 4, 1))
    network.initialize(RandomStreams(0), np.float64)
    network.skip_input_gradient(False)
    x = np.zeros((1, 4, 4, 1))
    y = layer.forward(x, True).copy()
    dx = layer.backward(np.ones_like(y))
    assert check(layer.worked_backward(x, y, np.ones_like(y), dx), {"dx": dx}) == {"dx"}


def targets(kind: str, N: int, K: int) -> Array:
    rng = np.random.default_rng(1)
    if kind == "labels":
        return rng.integers(0, K, N)
    mixed = rng.random((N, K)) * (rng.random((N, K)) < 0.6) + 1e-3
    return mixed / mixed.sum(axis=1, keepdims=True) if kind == "mixed labels" else rng.standard_normal((N, K))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("kind", ["labels", "mixed labels", "numbers"])
@pytest.mark.parametrize(("N", "K"), [(1, 5), (3, 5), (30, 5)])
def test_every_loss_is_worked(loss: Loss, kind: str, N: int, K: int) -> None:
    if kind == "numbers" and "regression" not in loss.tasks:
        return
    loss.prepare(np.arange(40) % 5 % 4, K)
    y, t = 3 * np.random.default_rng(0).standard_normal((N, K)), targets(kind, N, K)
    value, dy = loss(y.copy(), t)
    dy = dy.copy()
    names = check(loss.worked(y, t, value, dy), {"dy": dy, "L": None})
    assert names == {"dy"}
    by_name = {equation.name: equation.value for equation in loss.worked(y, t, value, dy)}
    assert by_name["L"] == value
    assert by_name["L_{0}"] == pytest.approx(loss.per_example(y, t)[0], rel=1e-12)
    assert value == pytest.approx(float(np.mean(loss.per_example(y, t))), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_every_loss_is_worked_with_weights_of_examples(loss: Loss) -> None:
    kind = "numbers" if "regression" in loss.tasks else "labels"
    loss.prepare(np.arange(40) % 5 % 4, 5)
    y, t, w = 3 * np.random.default_rng(0).standard_normal((3, 5)), targets(kind, 3, 5), np.array([0.4, 2.0, 0.6])
    value, dy = loss.weighted(y, t, w)
    dy = dy.copy()
    assert check(loss.worked(y, t, value, dy, w), {"dy": dy, "L": None}) == {"dy"}
    by_name = {equation.name: equation.value for equation in loss.worked(y, t, value, dy, w)}
    assert by_name["L"] == value


def test_under_label_smoothing_the_truth_is_no_longer_one_at_the_label() -> None:
    loss = CrossEntropy(label_smoothing=0.1)
    y, t = np.array([[0.0, 3.0]]), np.array([0])
    value, dy = loss(y, t)
    told = list(loss.worked(y, t, value, dy))
    (q,) = [equation for equation in told if equation.name.startswith("q_")]
    assert q.value == pytest.approx(0.95)
    assert not [equation for equation in told if "q is 1" in equation.note]


def test_logits_of_thousands_are_worked_without_overflow() -> None:
    y, t = np.array([[4000.0, -3000.0, 3999.0]]), np.array([2])
    value, dy = CrossEntropy()(y.copy(), t)
    assert check(CrossEntropy().worked(y, t, value, dy), {"dy": dy}) == {"dy"}


def network_with_gradient(seed: int) -> Network:
    network = Network([Dense(9, learning_rate_scale=0.5), Tanh(), Dense(20), Tanh(), Dense(3)], (12,))
    network.initialize(RandomStreams(seed), np.float64)
    network.parameters.gradient[:] = np.random.default_rng(seed).standard_normal(network.parameters.size)
    return network


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_every_optimizer_is_worked_for_weights_and_biases(optimizer: Optimizer, l2: float, factor: float) -> None:
    network = network_with_gradient(5)
    parameters = network.parameters
    optimizer.bind(parameters)
    for step in range(3):
        parameters.gradient[:] = np.random.default_rng(step).standard_normal(parameters.size)
        before = Before.of(parameters, optimizer.state)
        optimizer.step(factor, l2)
    told = optimizer.told_places(before.gradient)
    places = [*told, *(int(positions.flat[0]) for positions in parameters.named(np.arange(parameters.size)).values())]
    for at in places:
        equations = list(optimizer.worked_update(parameters, before, at, factor, l2))
        new = [equation.value for equation in equations if equation.name == "theta_new"]
        assert new == [parameters.theta[at]]
        check(equations, {})


def test_muon_tells_of_a_hidden_matrix_and_of_what_sgd_trains() -> None:
    network = network_with_gradient(0)
    optimizer = Muon()
    optimizer.bind(network.parameters)
    hidden, other = optimizer.told_places(network.parameters.gradient)
    assert any(each.place.start <= hidden < each.place.stop for each in optimizer.hidden)
    assert not any(each.place.start <= other < each.place.stop for each in optimizer.hidden)


@pytest.mark.parametrize("strength", [0.1, 1e-4])
@pytest.mark.parametrize("divide_by_batch", [False, True])
def test_the_penalty_is_worked(strength: float, divide_by_batch: bool) -> None:
    parameters, l2 = network_with_gradient(0).parameters, L2(strength, divide_by_batch)
    (equation,) = l2.worked(parameters, 7)
    check([equation], {"R": np.array(l2.penalty(parameters, 7))})
    assert not list(L2().worked(parameters, 7))


def test_clipping_is_worked_where_it_changes_something() -> None:
    gradient = np.array([3.0, -4.0])
    norm, clipped = clipping_equations(gradient, 1, 1.0, None)
    assert norm.value == 5.0
    assert clipped.value == pytest.approx(-0.8)
    (by_value,) = clipping_equations(gradient, 1, None, 0.5)
    assert by_value.value == -0.5
    check([norm, clipped, by_value], {})
    assert not list(clipping_equations(gradient, 1, 6.0, 5.0))


@pytest.mark.parametrize("averaging", AVERAGES, ids=repr)
@pytest.mark.parametrize(("step", "total_steps"), [(2, 10), (4, 10), (5, 5)])
def test_every_average_is_worked(averaging: Averaging, step: int, total_steps: int) -> None:
    average, theta = np.array([1.0, -2.0]), np.array([1.5, 7.0])
    before, given = average.copy(), theta.copy()
    averaging.update(average, theta, step, total_steps, np.empty(2))
    told = list(averaging.worked_update(before[1], given[1], average[1], step, total_steps))
    assert [each.value for each in told if each.name == "a_new"] == [average[1]]
    check(told, {})
    assert all(each.value == theta[1] for each in told if each.name == "theta_new")


def test_between_its_steps_lookahead_has_nothing_to_tell() -> None:
    assert not list(Lookahead(every=5).worked_update(1.0, 2.0, 1.0, 3, 10))
