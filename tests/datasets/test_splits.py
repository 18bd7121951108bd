from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnscratch.datasets.splits import limit_indices, split_indices
from nnscratch.errors import ConfigError, DataError

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(lambda values: np.array(values, np.int64))


@given(LABELS, st.floats(0, 0.99), st.integers(0, 9), st.booleans())
def test_a_split_covers_every_example_exactly_once_in_order(
    targets: np.ndarray, fraction: float, seed: int, stratify: bool
) -> None:
    try:
        train, held_out = split_indices(targets, fraction, np.random.default_rng(seed), stratify)
    except DataError:
        wanted = round(fraction * len(targets))
        assert wanted in (0, len(targets)) or np.bincount(targets).max() == 1
        return
    assert train.dtype == held_out.dtype == np.int64
    assert (np.diff(train) > 0).all()
    assert (np.diff(held_out) > 0).all()
    assert np.array_equal(np.sort(np.concatenate([train, held_out])), np.arange(len(targets)))
    assert len(train) > 0
    assert (len(held_out) == 0) == (fraction == 0)


@given(LABELS, st.floats(0.01, 0.9), st.integers(0, 9))
def test_a_stratified_split_takes_each_class_s_share_to_within_one(
    targets: np.ndarray, fraction: float, seed: int
) -> None:
    try:
        train, held_out = split_indices(targets, fraction, np.random.default_rng(seed), stratify=True)
    except DataError:
        return
    for label in np.unique(targets):
        size = np.sum(targets == label)
        taken = np.sum(targets[held_out] == label)
        assert abs(taken - fraction * size) < 1 or (taken == size - 1)
        assert np.sum(targets[train] == label) >= 1


def test_a_tenth_of_cifar10_is_500_of_each_class() -> None:
    targets = np.repeat(np.arange(10), 5000)
    train, held_out = split_indices(targets, 0.1, np.random.default_rng(0), stratify=True)
    assert len(train) == 45_000
    assert np.bincount(targets[held_out]).tolist() == [500] * 10


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    targets = np.arange(100) % 3
    first, again, other = (split_indices(targets, 0.3, np.random.default_rng(seed), True)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_class_with_one_example_stays_in_train() -> None:
    targets = np.array([0] * 10 + [1])
    train, _ = split_indices(targets, 0.5, np.random.default_rng(0), stratify=True)
    assert 10 in train


def test_regression_targets_are_split_by_count() -> None:
    targets = np.zeros((10, 2), np.float32)
    train, held_out = split_indices(targets, 0.3, np.random.default_rng(0), stratify=True)
    assert (len(train), len(held_out)) == (7, 3)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 7.0, float("nan")])
def test_a_fraction_outside_0_to_1_is_a_config_error(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.validation"):
        split_indices(np.zeros(10, np.int64), fraction, np.random.default_rng(0), stratify=True)


@pytest.mark.parametrize(("count", "fraction", "split"), [(3, 0.99, "training"), (3, 0.01, "hold-out")])
def test_a_fraction_that_leaves_a_split_empty_is_an_error(count: int, fraction: float, split: str) -> None:
    with pytest.raises(DataError, match=f"leaves the {split} split empty"):
        split_indices(np.zeros(count, np.int64), fraction, np.random.default_rng(0), stratify=False)


def test_no_examples_cannot_be_split() -> None:
    with pytest.raises(DataError, match="no examples"):
        split_indices(np.zeros(0, np.int64), 0.1, np.random.default_rng(0), stratify=True)


def test_classes_of_one_example_each_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="every class has a single example"):
        split_indices(np.arange(10), 0.5, np.random.default_rng(0), stratify=True)


def test_a_limit_takes_the_first_examples_of_each_class_in_proportion() -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert limit_indices(targets, 4).tolist() == [0, 1, 4, 5]


@given(LABELS, st.integers(1, 300))
def test_a_limit_gives_exactly_that_many_sorted_distinct_examples(targets: np.ndarray, limit: int) -> None:
    chosen = limit_indices(targets, limit)
    assert len(chosen) == min(limit, len(targets))
    assert (np.diff(chosen) > 0).all()


def test_a_limit_of_regression_takes_the_first_rows() -> None:
    assert limit_indices(np.zeros((9, 1), np.float32), 3).tolist() == [0, 1, 2]


def test_a_limit_below_one_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"data\.limit"):
        limit_indices(np.zeros(3, np.int64), 0)
