"""Scaling: statistics of the training split alone."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.training.examples import Examples
from nnscratch.training.scaling import (
    UNCHANGED,
    Affine,
    NoScaling,
    Standardize,
    Unit,
    fit_targets,
    moments,
    scale_targets,
)


def images(count: int = 300) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def scaled(affine: Affine, inputs: np.ndarray) -> np.ndarray:
    return affine.apply(inputs, np.empty(inputs.shape, np.float32))


def test_unit_scales_bytes_to_zero_and_one() -> None:
    inputs = np.array([[[[0, 255, 51]]]], np.uint8)
    x = scaled(Unit().fit(Examples.all_of(inputs, np.zeros(1))), inputs)
    assert x.ravel() == pytest.approx([0, 1, 0.2])


def test_unit_scales_a_tables_columns_by_their_range() -> None:
    table = np.array([[1, 5], [3, 5], [2, 5]], np.float32)
    x = scaled(Unit().fit(Examples.all_of(table, np.zeros(3))), table)
    np.testing.assert_allclose(x, np.array([[0, 0], [1, 0], [0.5, 0]]), atol=1e-7)


def test_no_scaling_changes_the_type_alone() -> None:
    x = scaled(NoScaling().fit(Examples.all_of(images(2), np.zeros(2))), images(2))
    np.testing.assert_array_equal(x, images(2))


def test_standardize_gives_every_pixel_mean_zero_and_deviation_one() -> None:
    x = scaled(Standardize().fit(Examples.all_of(images(), np.zeros(300))), images())
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)


def test_standardize_per_channel_gives_every_channel_mean_zero_and_deviation_one() -> None:
    inputs = images()
    inputs[..., 1] //= 4
    x = scaled(Standardize("channel").fit(Examples.all_of(inputs, np.zeros(300))), inputs)
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_statistics_come_from_the_splits_rows_alone() -> None:
    table = np.array([[0.0], [2.0], [1e6]], np.float32)
    x = scaled(Standardize().fit(Examples(table, np.zeros(3), np.array([0, 1]))), table)
    assert x[:2, 0] == pytest.approx([-1, 1])


def test_a_border_pixel_lit_once_does_not_outweigh_the_image() -> None:
    inputs = images()
    inputs[:, 0, 0] = 0
    inputs[0, 0, 0] = 255
    x = scaled(Standardize().fit(Examples.all_of(inputs, np.zeros(300))), inputs)
    assert x.max() < 40  # 255 over a tenth of the image's deviation of 74; its own deviation would give 17 times more


def test_a_constant_column_becomes_zero() -> None:
    table = np.full((5, 1), 7, np.float32)
    assert not scaled(Standardize().fit(Examples.all_of(table, np.zeros(5))), table).any()


def test_a_column_that_deviates_by_less_than_a_float32_can_divide_by_is_a_constant() -> None:
    column = np.linspace(0, 1e-40, 8, dtype=np.float32)[:, None]
    fitted = Standardize().fit(Examples.all_of(column, np.arange(8) % 2))
    assert np.isfinite(fitted.apply(column, np.empty_like(column))).all()


def test_moments_are_numpys_and_do_not_cancel_far_from_zero() -> None:
    table = (np.random.default_rng(0).standard_normal((2000, 3)) + 10_000).astype(np.float32)
    mean, variance = moments(Examples.all_of(table, np.zeros(2000)))
    np.testing.assert_allclose(mean, table.astype(np.float64).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(variance, table.astype(np.float64).var(axis=0), rtol=1e-4)


def test_targets_of_a_regression_get_mean_zero_and_deviation_one_in_training_and_come_back_in_their_own_units() -> None:
    prices = np.array([[400_000, 7], [500_000, 7], [600_000, 7], [9e6, 8]], np.float32)
    every = Examples.all_of(np.zeros((4, 1), np.float32), prices)
    affine = fit_targets(Examples(every.inputs, prices, np.arange(3)), "standardize")
    learned = scale_targets(every, affine).targets
    one = np.sqrt(1.5)
    np.testing.assert_allclose(learned[:3], [[-one, 0], [0, 0], [one, 0]], atol=1e-5)
    np.testing.assert_allclose(affine.undo(learned), prices, rtol=1e-6)


def test_a_constant_target_that_rounding_makes_uneven_is_not_blown_up() -> None:
    prices = np.full((1000, 1), 0.1, np.float32)
    affine = fit_targets(Examples.all_of(np.zeros((1000, 1), np.float32), prices), "standardize")
    assert affine.multiplier == pytest.approx(1)


def test_labels_and_targets_that_are_to_stay_as_they_are_stay_the_same_array() -> None:
    labels = Examples.all_of(np.zeros((3, 1), np.float32), np.arange(3))
    prices = Examples.all_of(labels.inputs, np.ones((3, 1), np.float32))
    assert fit_targets(labels, "standardize") is UNCHANGED
    assert fit_targets(prices, "none") is UNCHANGED
    assert scale_targets(prices, UNCHANGED) is prices


@pytest.mark.parametrize("size", [1e20, 1e-27])
def test_columns_of_any_magnitude_are_standardized(size: float) -> None:
    x = (np.random.default_rng(0).uniform(1, 9, (100, 1)) * size).astype(np.float32)
    affine = Standardize().fit(Examples.all_of(x, np.zeros(100, np.int64)))
    scaled = affine.apply(x, np.empty_like(x))
    assert abs(scaled.mean()) < 1e-3
    assert abs(scaled.std() - 1) < 1e-3
