"""Student's t: intervals of means, and how many repetitions a difference takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from nnscratch.training.metrics.student import distribution, interval, quantile, repetitions_needed


@pytest.mark.parametrize(
    ("p", "degrees", "t"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 4, 2.7764), (0.975, 9, 2.2622), (0.8, 5, 0.9195)],
)
def test_quantiles_are_those_of_the_printed_tables(p: float, degrees: int, t: float) -> None:
    assert quantile(p, degrees) == pytest.approx(t, abs=5e-5)


@pytest.mark.parametrize("degrees", [1, 2, 3, 8, 31, 200])
@pytest.mark.parametrize("t", [0.0, 0.3, 2.0, 11.0])
def test_the_distribution_equals_scipys(degrees: int, t: float, oracle: Callable[[str], Any]) -> None:
    assert distribution(t, degrees) == pytest.approx(oracle("scipy.stats").t.cdf(t, degrees), abs=1e-12)


def test_the_interval_of_three_figures_is_four_standard_errors_wide_on_each_side() -> None:
    found = interval([0.896, 0.899, 0.902])
    assert found.deviation == pytest.approx(0.003)
    assert found.low == pytest.approx(0.899 - 4.302653 * 0.003 / math.sqrt(3))
    assert found.high == pytest.approx(0.899 + 4.302653 * 0.003 / math.sqrt(3))


@pytest.mark.parametrize(
    ("values", "why"),
    [([0.99], "one figure alone"), ([0.99] * 3, "all 3 are alike"), ([0.75 - 0.74, 0.81 - 0.8], "all 2 are alike")],
)
def test_figures_that_are_all_alike_have_no_interval(values: list[float], why: str) -> None:
    found = interval(values, least=0, most=1)
    assert (found.low, found.high, found.why_none) == (None, None, why)
    assert not found.is_clear
    assert interval([0.99, 0.991]).why_none is None


def test_the_interval_of_a_share_ends_at_none_and_at_all() -> None:
    # 0.5 +- 4.302653 * 0.5 / sqrt(3) would be -0.742 to 1.742.
    found = interval([0.0, 0.5, 1.0], least=0, most=1)
    assert (found.low, found.high) == (0, 1)
    assert interval([0.0, 0.5, 1.0]).high == pytest.approx(0.5 + 4.302653 * 0.5 / math.sqrt(3))


def test_one_figure_has_a_mean_and_no_interval() -> None:
    found = interval([0.9])
    assert (found.mean, found.deviation, found.low) == (0.9, None, None)
    assert not found.is_clear


def test_folds_that_share_training_examples_widen_the_interval() -> None:
    values = [0.8, 0.82, 0.84, 0.86, 0.88]
    alone, shared = interval(values), interval(values, overlap=1 / 4)
    assert alone.high is not None
    assert shared.high is not None
    assert (shared.high - shared.mean) / (alone.high - alone.mean) == pytest.approx(
        math.sqrt((1 / 5 + 1 / 4) / (1 / 5))
    )


def test_a_difference_of_one_deviation_takes_ten_pairs() -> None:
    # (t_0.975 + t_0.8) / sqrt(n) is 1.020 for n = 9 and 0.955 for n = 10 degrees of freedom n - 1.
    assert repetitions_needed(1.0, 1.0) == 10


def test_a_tiny_difference_takes_more_than_a_thousand() -> None:
    assert repetitions_needed(0.001, 1.0) is None
