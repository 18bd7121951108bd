"""Optimizers: steps computed by hand, groups, chunks, threads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnscratch.component import catalogue
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.initializers import Constant
from nnscratch.nn.parameters import Group, Parameters
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training import optimizers
from nnscratch.training.chunks import Chunk
from nnscratch.training.optimizers import SGD, Adam, AdamW, Optimizer, RMSProp


def one_weight(start: float, group: Group | None = None) -> Parameters:
    parameters = Parameters()
    parameters.declare("weight", (1,), Constant(start), group=group or Group())
    parameters.allocate(np.float64)
    parameters.initialize(RandomStreams(0))
    return parameters


def walk(optimizer: Optimizer, gradients: list[float], start: float = 1.0, l2: float = 0.0) -> list[float]:
    """theta after each step, for these gradients."""
    parameters = one_weight(start)
    optimizer.bind(parameters)
    path = []
    for gradient in gradients:
        parameters.gradient[:] = gradient
        optimizer.step(l2=l2)
        path.append(float(parameters.theta[0]))
    return path


def test_sgd_subtracts_rate_times_gradient() -> None:
    assert walk(SGD(learning_rate=0.1), [2.0, -1.0]) == pytest.approx([0.8, 0.9])


def test_sgd_momentum_adds_up_past_gradients() -> None:
    # v = 2, then 0.5 * 2 + 1 = 2
    assert walk(SGD(learning_rate=0.1, momentum=0.5), [2.0, 1.0]) == pytest.approx([0.8, 0.6])


def test_sgd_with_dampening_equal_to_momentum_averages_gradients_as_the_notebook_did() -> None:
    # v = 0.1 * 2 = 0.2, then 0.9 * 0.2 + 0.1 * 1 = 0.28
    path = walk(SGD(learning_rate=1.0, momentum=0.9, dampening=0.9), [2.0, 1.0])
    assert path == pytest.approx([0.8, 0.52])


def test_nesterov_steps_by_gradient_plus_momentum_times_velocity() -> None:
    # v = 2, step 2 + 0.5 * 2 = 3; v = 2, step 1 + 0.5 * 2 = 2
    assert walk(SGD(learning_rate=0.1, momentum=0.5, nesterov=True), [2.0, 1.0]) == pytest.approx([0.7, 0.5])


def test_rmsprop_divides_by_the_root_of_the_mean_square() -> None:
    # v = 0.1 * 4 = 0.4, then 0.9 * 0.4 + 0.1 * 1 = 0.46
    first = 1 - 0.01 * 2 / (math.sqrt(0.4) + 1e-8)
    expected = [first, first - 0.01 * 1 / (math.sqrt(0.46) + 1e-8)]
    assert walk(RMSProp(learning_rate=0.01), [2.0, 1.0]) == pytest.approx(expected, rel=1e-12)


def test_first_adam_step_moves_each_weight_by_the_learning_rate() -> None:
    for gradient in (1e-3, 1.0, -50.0):
        assert walk(Adam(learning_rate=0.01), [gradient])[0] == pytest.approx(
            1 - math.copysign(0.01, gradient), abs=1e-6
        )


def test_adam_follows_algorithm_1_of_its_paper() -> None:
    m = v = 0.0
    theta, expected = 1.0, []
    gradients = [0.5, -0.2, 0.1, 0.9]
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta -= 0.01 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(theta)
    assert walk(Adam(learning_rate=0.01), gradients) == pytest.approx(expected, rel=1e-12)


def test_adamw_shrinks_weights_by_rate_times_decay_beside_the_adam_step() -> None:
    adam = walk(Adam(learning_rate=0.01), [0.5])[0]
    assert walk(AdamW(learning_rate=0.01, weight_decay=0.1), [0.5])[0] == pytest.approx(adam - 0.01 * 0.1 * 1.0)


def test_l2_enters_the_gradient_before_the_optimizer_sees_it() -> None:
    assert walk(SGD(learning_rate=0.1), [1.0], start=2.0, l2=0.5) == pytest.approx([2 - 0.1 * (1 + 0.5 * 2)])


@pytest.mark.parametrize("optimizer", [AdamW(weight_decay=0.5), SGD()], ids=["adamw", "sgd with l2"])
def test_a_group_without_decay_is_not_decayed(optimizer: Optimizer) -> None:
    parameters = one_weight(3.0, Group(decay=False))
    optimizer.bind(parameters)
    optimizer.step(l2=0.5)
    assert parameters.theta[0] == 3.0


def test_a_groups_learning_rate_scale_multiplies_its_rate() -> None:
    parameters = one_weight(1.0, Group(learning_rate_scale=10))
    optimizer = SGD(learning_rate=0.01)
    optimizer.bind(parameters)
    parameters.gradient[:] = 1
    optimizer.step(factor=0.5)
    assert parameters.theta[0] == pytest.approx(1 - 0.01 * 0.5 * 10)


@pytest.mark.parametrize("name", sorted(catalogue(Optimizer)))
def test_frozen_parameters_never_move(name: str) -> None:
    parameters = Parameters()
    parameters.declare("free", (3,), Constant(1))
    parameters.declare("frozen", (2,), Constant(5), group=Group(frozen=True))
    parameters.allocate()
    parameters.initialize(RandomStreams(0))
    optimizer = catalogue(Optimizer)[name]()
    optimizer.bind(parameters)
    parameters.gradient[:] = 1
    optimizer.step(l2=0.1)
    assert (parameters.theta[3:] == 5).all()
    assert (parameters.theta[:3] != 1).all()


@pytest.mark.parametrize("name", sorted(catalogue(Optimizer)))
def test_neither_chunks_nor_threads_change_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(chunk: int, threads: int) -> np.ndarray:
        monkeypatch.setattr(optimizers, "CHUNK", chunk)
        parameters = Parameters()
        parameters.declare("a", (1000,), Constant(1))
        parameters.allocate()
        parameters.initialize(RandomStreams(0))
        optimizer = catalogue(Optimizer)[name]()
        optimizer.bind(parameters, Workers(threads))
        for step in range(5):
            parameters.gradient[:] = np.random.default_rng(step).standard_normal(1000)
            optimizer.step(l2=0.01)
        return parameters.theta

    np.testing.assert_array_equal(trained(1000, 1), trained(64, 2))


def test_weights_of_a_quadratic_bowl_end_at_its_bottom() -> None:
    for name, cls in catalogue(Optimizer).items():
        parameters = one_weight(1.0)
        optimizer = cls(learning_rate=0.01)
        optimizer.bind(parameters)
        for step in range(1500):
            parameters.gradient[:] = 2 * parameters.theta
            optimizer.step(factor=1 - step / 1500)
        assert abs(parameters.theta[0]) < 1e-3, name


def test_an_update_may_be_written_with_an_augmented_assignment_and_may_not_bind_another_array() -> None:
    chunk = Chunk(np.array([1.0, 2.0]), np.array([0.5, 1.0]), (), Group())
    theta = chunk.theta
    chunk.theta -= 2 * chunk.g
    assert (chunk.theta is theta, theta.tolist()) == (True, [0.0, 0.0])
    with pytest.raises(AttributeError, match=r"chunk\.theta cannot become another array: write into it"):
        chunk.theta = theta - chunk.g
