"""Weight averages against their formulas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nnscratch.training.averaging import Averaging, ExponentialMovingAverage, Lookahead


def run(method: Averaging, thetas: list[float], total: int) -> tuple[list[float], list[float]]:
    """The average and theta after each step, when step n sets theta to thetas[n]."""
    average, theta, scratch = np.zeros(1), np.zeros(1), np.empty(1)
    averages, kept = [], []
    for step, value in enumerate(thetas, 1):
        theta[:] = value
        method.update(average, theta, step, total, scratch)
        averages.append(float(average[0]))
        kept.append(float(theta[0]))
    return averages, kept


def test_ema_starts_with_a_short_memory() -> None:
    averages, thetas = run(ExponentialMovingAverage(0.999), [1.0, 1.0], 100)
    assert averages == pytest.approx([1 - 2 / 11, 1 - 2 / 11 * 3 / 12])
    assert thetas == [1.0, 1.0]


def test_lookahead_moves_theta_to_the_average_every_few_steps_only() -> None:
    averages, thetas = run(Lookahead(every=2, decay=0.5, power=0), [1.0, 2.0, 3.0, 4.0], 4)
    # Step 2: 0 + (1 - 0.25)(2 - 0); step 4: 1.5 + 0.75 (4 - 1.5).
    assert averages == [0.0, 1.5, 1.5, 3.375]
    assert thetas == [1.0, 1.5, 3.0, 3.375]


def test_lookahead_with_a_power_is_fast_first_and_slow_in_the_end() -> None:
    averages, _ = run(Lookahead(every=1, decay=0.8, power=3), [1.0] + [0.0] * 3, 4)
    shares = [averages[0], *(later / earlier for earlier, later in pairwise(averages))]
    assert shares == pytest.approx([1 - 0.8 / 64, 0.8 / 8, 0.8 * 27 / 64, 0.8])


def test_lookahead_takes_in_what_remains_after_its_last_full_round() -> None:
    averages, thetas = run(Lookahead(every=2, decay=0.5, power=0), [1.0, 2.0, 5.5], 3)
    assert averages == [0.0, 1.5, 4.5]  # the last step: 1.5 + 0.75 (5.5 - 1.5)
    assert thetas[-1] == 4.5
