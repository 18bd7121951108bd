"""Initializers: the variance each promises."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.initializers import Constant, He, Initializer, LeCun, RandomNormal, Xavier, Zeros

SHAPE, FANS = (400, 600), (400, 600)


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (He(), 2 / 400),
        (He("uniform"), 2 / 400),
        (Xavier(), 2 / 1000),
        (Xavier("uniform"), 2 / 1000),
        (LeCun(), 1 / 400),
        (RandomNormal(0.01), 0.0001),
    ],
    ids=["he", "he uniform", "xavier", "xavier uniform", "lecun", "random"],
)
def test_an_initializer_has_mean_zero_and_its_promised_variance(initializer: Initializer, variance: float) -> None:
    values = initializer.values(SHAPE, FANS, np.random.default_rng(0))
    # With 240,000 numbers the standard error of the variance is 0.3 %, that of the mean 0.2 % of a deviation.
    assert np.var(values) == pytest.approx(variance, rel=0.015)
    assert abs(np.mean(values)) < 0.01 * np.sqrt(variance)


def test_the_uniform_distribution_stays_within_its_limit_and_reaches_for_it() -> None:
    values = He("uniform").values(SHAPE, FANS, np.random.default_rng(0))
    limit = np.sqrt(6 / 400)
    assert 0.999 * limit < np.max(np.abs(values)) <= limit


def test_the_normal_distribution_has_the_tails_of_one() -> None:
    values = He().values(SHAPE, FANS, np.random.default_rng(0))
    assert np.mean(np.abs(values) > 2 * np.sqrt(2 / 400)) == pytest.approx(0.0455, rel=0.03)


def test_zeros_and_constants_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    assert not Zeros().values((2, 3), (2, 3), rng).any()
    assert (Constant(1.5).values((2, 3), (2, 3), rng) == 1.5).all()
