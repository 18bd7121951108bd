"""What looks wrong with data as a whole: planted faults are found, honest data is left in peace."""

from __future__ import annotations

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.suspicions import (
    class_suspicions,
    column_suspicions,
    identical_examples,
    majority_share,
    target_suspicions,
)

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(200, 3))


def found(column: Array, targets: Array, is_category: bool = False) -> list[str]:
    """What is said of a column beside three honest ones."""
    values = np.column_stack([NOISE[: len(column)], column])
    return list(column_suspicions(values, targets, ["a", "b", "c", "last"], {"last"} if is_category else ()))


def test_honest_columns_are_not_suspected() -> None:
    targets = (NOISE[:, 0] + NOISE[:, 1] + RNG.normal(size=200) > 0).astype(np.int64)
    assert not found(RNG.normal(size=200), targets)
    assert not found(RNG.normal(size=200), NOISE[:, :1] + 0.1 * RNG.normal(size=(200, 1)))


def test_a_column_that_counts_the_rows_is_named() -> None:
    (said,) = found(np.arange(1.0, 201), RNG.integers(0, 2, 200))
    assert said.startswith("column 'last' counts the rows")


def test_numbers_that_name_the_rows_in_any_order_are_named_and_measured_ones_are_not() -> None:
    labels = RNG.integers(0, 2, 200)
    for ids in (RNG.permutation(200) + 5001.0, np.sort(RNG.choice(10**6, 200, replace=False)).astype(float)):
        (said,) = found(ids, labels)
        assert said.startswith("column 'last' is another whole number in every row")
    assert not found(RNG.choice(10**6, 200, replace=False).astype(float), labels)
    assert not found(RNG.permutation(200) / 8, labels)


def test_a_value_that_stands_for_gaps_is_named_and_a_single_outlier_is_not() -> None:
    labels, measured = RNG.integers(0, 2, 200), RNG.uniform(0, 12, 200)
    (said,) = found(np.where(np.arange(200) % 20 == 3, -200.0, measured), labels)
    assert said.startswith("column 'last' holds -200 often, and nothing like it: if that stands for a gap")
    assert found(np.where(np.arange(200) % 20 == 3, 999.0, measured), labels)
    assert not found(np.where(np.arange(200) == 3, -200.0, measured), labels)
    assert found(np.where(np.arange(200) % 20 == 3, -1.0, 100 * measured.round()), labels)
    assert not found(np.where(np.arange(200) % 20 == 3, 0.0, measured), labels)
    assert list(target_suspicions(np.where(np.arange(200) % 20 == 3, -200.0, measured)[:, np.newaxis], ["y"]))


def test_a_constant_column_is_named_and_one_with_gaps_is_none() -> None:
    (said,) = found(np.full(200, 7.0), RNG.integers(0, 2, 200))
    assert said == "1 column has one value in every row and can say nothing: 'last'"
    assert not found(np.where(np.arange(200) < 50, np.nan, 7.0), RNG.integers(0, 2, 200))


def test_a_number_below_whose_threshold_all_of_a_class_lies_is_named() -> None:
    weight = RNG.uniform(1000, 4000, 200)
    (said,) = found(weight, (weight < 2500).astype(np.int64))
    assert said.startswith("column 'last' alone predicts the target: is it known before the answer is?")


def test_an_interval_for_each_of_three_classes_is_named() -> None:
    score = RNG.uniform(0, 3, 200)
    assert found(score, score.astype(np.int64))
    assert not found(score, np.where(score < 1, 0, RNG.integers(1, 3, 200)))


def test_a_number_that_rises_with_the_target_is_named_whatever_the_curve() -> None:
    wage = RNG.uniform(20, 300, 200)
    assert found(np.log(wage), wage[:, np.newaxis])
    assert not found(wage + 10 * RNG.normal(size=200), wage[:, np.newaxis])


def test_a_category_that_says_the_class_or_the_number_is_named() -> None:
    codes = RNG.integers(0, 6, 200)
    order = np.array([2, 0, 1, 1, 2, 0])  # no interval of codes is a class
    assert found(codes.astype(float), order[codes], is_category=True)
    assert not found(codes.astype(float), RNG.integers(0, 3, 200), is_category=True)
    assert found(codes.astype(float), np.array([3.0, 1, 9, 4, 7, 5])[codes][:, np.newaxis], is_category=True)


def test_a_category_with_a_level_for_every_row_is_not_taken_for_an_answer() -> None:
    assert not found(RNG.permutation(200).astype(float), RNG.integers(0, 2, 200), is_category=True)


def test_classes_without_and_with_one_example_are_named() -> None:
    said = list(class_suspicions(np.array([0, 0, 0, 1]), ["cat", "dog", "owl"]))
    assert said[0].startswith("1 class has no training example, and cannot be learned: owl")
    assert said[1].startswith("1 class has one training example, and cannot be learned: dog")


def test_the_majority_counts_beyond_nine_to_one_and_not_at_it() -> None:
    assert majority_share(np.repeat([0, 1], [90, 10]), 2) is None
    assert majority_share(np.repeat([0, 1], [95, 5]), 3) == 0.95
    (said,) = class_suspicions(np.repeat([0, 1], [95, 5]), ["no", "yes"])
    assert "95 of no to 5 of yes: always saying no is right 95.0 % of the time" in said


def test_a_target_that_is_the_same_everywhere_is_named() -> None:
    targets = np.column_stack([np.full(50, 3.5), RNG.normal(size=50)])
    (said,) = target_suspicions(targets, ["a", "b"])
    assert said == "the target 'a' is 3.5 in every training example: there is nothing to learn of it"


def test_inputs_of_one_number_are_no_copies_of_one_another() -> None:
    ages = np.arange(50, dtype=np.float32)[:, None]
    assert identical_examples({"training": (ages, np.arange(50)), "test": (ages, np.arange(20))}) is None


def test_identical_inputs_are_counted_within_training_and_between_splits() -> None:
    train, test = RNG.integers(0, 255, (50, 4, 4, 3), np.uint8), RNG.integers(0, 255, (20, 4, 4, 3), np.uint8)
    train[7], test[3], test[4] = train[2], train[2], train[9]
    result = identical_examples({"training": (train, np.arange(50)), "test": (test, np.arange(20))})
    assert result is not None
    repeated, (shared,) = result
    assert repeated == 1
    assert (shared.first, shared.second, shared.count, shared.rows) == ("training", "test", 2, (2, 3))
