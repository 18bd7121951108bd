"""Difference quotients: as good as they say, however rough the function, and better where that is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from nnscratch.nn.difference_quotient import Quotient, derivative

FUNCTIONS: dict[str, tuple[Callable[[float], float], float]] = {
    "sine": (lambda x: math.sin(1 + x), math.cos(1)),
    "exponential": (lambda x: math.exp(3 * x), 3.0),
    "line": (lambda x: 7 + 2 * x, 2.0),
    "ninth power": (lambda x: (1 + x) ** 9, 9.0),
    "narrow": (lambda x: math.tanh(100 * x), 100.0),
    "tiny": (lambda x: 1 + 1e-9 * math.sin(x), 1e-9),
    "constant": (lambda x: 5.0, 0.0),
    "wave": (lambda x: math.sin(20 * x) + math.cos(7 * x), 20.0),
}


def never(quotient: Quotient) -> bool:
    return False


def always(quotient: Quotient) -> bool:
    return True


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("noise", [0.0, 1e-15, 1e-12, 1e-9, 1e-7])
@pytest.mark.parametrize("enough", [always, never])
def test_the_derivative_lies_within_the_quotients_own_error(
    name: str, noise: float, enough: Callable[[Quotient], bool]
) -> None:
    f, exact = FUNCTIONS[name]
    rounding = noise + 4e-16 * max(abs(f(0.0)), 1)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = derivative(lambda h, rng=rng: f(h) + noise * rng.uniform(-1, 1), 1.0, rounding, enough)  # type: ignore[misc]  # a default binds the loop variable
        assert found is not None
        assert abs(found.value - exact) <= found.error


@pytest.mark.parametrize("name", FUNCTIONS)
def test_where_the_first_quotient_is_not_enough_a_better_one_is_found(name: str) -> None:
    f, exact = FUNCTIONS[name]
    for noise in (1e-15, 1e-10):
        rng = np.random.default_rng(1)

        def noisy(h: float, rng: np.random.Generator = rng, noise: float = noise) -> float:
            return f(h) + noise * rng.uniform(-1, 1)

        first = derivative(noisy, 1.0, 2 * noise, always)
        best = derivative(noisy, 1.0, 2 * noise, never)
        assert first is not None
        assert best is not None
        assert best.error <= first.error
        assert abs(best.value - exact) < 1e-6 * max(abs(exact), 1)


@pytest.mark.parametrize("distance", [0.3, 3e-3, 2e-4, 3e-6, 5e-8])
def test_no_step_crosses_a_kink(distance: float) -> None:
    def move(h: float) -> float | None:
        return math.sin(h) if abs(h) < distance else None

    found = derivative(move, 1.0, 1e-16, never)
    assert found is not None
    assert abs(found.value - 1) <= found.error < 1e-6


def test_at_a_kink_there_is_none() -> None:
    assert derivative(lambda h: None, 1.0, 1e-16, always) is None
    assert derivative(lambda h: abs(h) if h > 0 else None, 1.0, 1e-16, always) is None


def test_steps_that_cross_a_kink_there_and_back_do_not_count() -> None:
    """Smooth again far away: those values belong to another piece of the function."""

    def move(h: float) -> float | None:
        return h if abs(h) < 0.01 else 100.0 if abs(h) > 0.2 and h > 0 else -100.0 if abs(h) > 0.2 else None

    found = derivative(move, 1.0, 1e-16, never)
    assert found is not None
    assert found.value == pytest.approx(1, rel=1e-9)


def test_a_function_that_is_not_a_number_has_no_number_for_a_derivative() -> None:
    found = derivative(lambda h: math.nan, 1.0, 1e-16, never)
    assert found is not None
    assert math.isnan(found.value)


def test_nothing_but_the_first_four_values_is_asked_for_when_they_are_enough() -> None:
    asked = []

    def move(h: float) -> float:
        asked.append(h)
        return math.sin(h)

    derivative(move, 1.0, 1e-16, always)
    assert sorted(asked) == [-2e-3, -1e-3, 1e-3, 2e-3]
