"""Sums and maps by feature against their definitions, however an array is cut into rows and pieces."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.statistics import LONGEST, WIDE, Features, column_sums
from nnscratch.nn.compute.workers import Workers

SHAPES: list[Shape] = [(7, 3), (2 * LONGEST + 5, 4), (9, 5, 6, 2), (3, 4, WIDE), (40, 32, 32, 8), (5, 2, 3, 4, 2)]


def numbers(shape: Shape, seed: int) -> Array:
    return 3 + np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_means_variances_and_sums_are_those_over_all_axes_but_the_last(shape: Shape) -> None:
    x, dy = numbers(shape, 0), numbers(shape, 1)
    axes = tuple(range(len(shape) - 1))
    features = Features(shape, Workers(2))
    mean, variance = features.mean_and_variance(x)
    np.testing.assert_allclose(mean, x.mean(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(variance, x.var(axis=axes), rtol=1e-12)
    sums, weighted = features.sums(dy, x, mean)
    np.testing.assert_allclose(sums, dy.sum(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(weighted, (dy * (x - mean)).sum(axis=axes), rtol=1e-9, atol=1e-9 * x.size)
    np.testing.assert_allclose(column_sums(x), x.sum(axis=axes), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_affine_maps_have_a_factor_and_an_offset_for_each_feature(shape: Shape) -> None:
    x, dy = numbers(shape, 0), numbers(shape, 1)
    a, b, c = numbers((3, shape[-1]), 2)
    features = Features(shape, Workers(2))
    np.testing.assert_allclose(features.affine(a, x, c, np.empty(shape)), a * x + c, rtol=1e-12)
    expected = a * dy + b * x + c
    assert features.affine_in_two(a, dy, b, x, c, out=dy) is dy
    np.testing.assert_allclose(dy, expected, rtol=1e-12)


def test_the_sums_of_a_million_float32_numbers_far_from_zero_are_right_to_seven_digits() -> None:
    x = (1000 + np.random.default_rng(0).standard_normal((1 << 20, 2))).astype(np.float32)
    mean, variance = Features(x.shape, Workers()).mean_and_variance(x)
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(variance, x.var(axis=0, dtype=np.float64), rtol=1e-4)
