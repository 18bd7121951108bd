"""Temperature scaling: the temperature is found, and it is the one with the least log loss."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.losses import CrossEntropy
from nnscratch.training.calibration import LARGEST, fit_temperature
from nnscratch.training.metrics.probabilities import ExpectedCalibrationError, LogLoss


def sampled(classes: int, examples: int, times: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `times` too large for the labels, which are drawn from softmax of the logits / times."""
    rng = np.random.default_rng(classes)
    y = rng.normal(0, 2, size=(examples, classes))
    p = CrossEntropy.probabilities(y)
    t = (p.cumsum(axis=1) > rng.uniform(size=(examples, 1))).argmax(axis=1)
    return (times * y).astype(np.float32), t


@pytest.mark.parametrize(("classes", "times"), [(2, 3.0), (10, 1.7), (10, 0.4)])
def test_logits_that_are_so_many_times_too_large_get_that_temperature(classes: int, times: float) -> None:
    y, t = sampled(classes, 20_000, times)
    assert fit_temperature(y, t) == pytest.approx(times, rel=0.05)


def test_no_temperature_nearby_has_a_smaller_log_loss() -> None:
    y, t = sampled(5, 400, 2.5)
    T = fit_temperature(y, t)
    best = LogLoss()(t, CrossEntropy.probabilities(y, T))
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert LogLoss()(t, CrossEntropy.probabilities(y, T * factor)) > best


def test_a_network_that_is_too_sure_is_calibrated_and_predicts_the_same() -> None:
    y, t = sampled(4, 5000, 3.0)
    before, after = CrossEntropy.probabilities(y), CrossEntropy.probabilities(y, fit_temperature(y, t))
    assert ExpectedCalibrationError()(t, after) < 0.3 * ExpectedCalibrationError()(t, before)
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))


def test_labels_that_are_all_met_or_all_missed_give_a_finite_temperature() -> None:
    y = np.array([[4.0, 0.0], [0.0, 4.0]])
    assert 1 / LARGEST < fit_temperature(y, np.array([0, 1])) < 0.25
    assert fit_temperature(y, np.array([1, 0])) == pytest.approx(LARGEST, rel=1e-3)
    assert np.isfinite(fit_temperature(np.zeros((3, 2)), np.array([0, 1, 1])))
