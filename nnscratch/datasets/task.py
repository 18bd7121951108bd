"""The rules for numbers as targets, whatever file they come from: classes or a quantity, and how many digits."""

from __future__ import annotations

import numpy as np

from nnscratch.datasets.tables.text import Array

MOST_CLASSES = 20
"""A column of whole numbers with more distinct values than this is taken for a quantity, unless they count 0, 1, 2, ...
"""
EXAMPLES_EACH = 10


def classes_or_quantity(values: Array) -> tuple[bool, str]:
    """Whether numbers (N,) are labels of classes, and why, in words that go on from "classification, as it holds".

    They are when all are whole, and there are two of them, or at most 20 that come twice on average, or any number that
    counts 0, 1, 2, ... without a gap and comes ten times on average.
    """
    distinct = np.unique(values)
    count, number = len(values), len(distinct)
    if not np.all(distinct == np.rint(distinct)):
        return False, "broken numbers"
    if number <= 2 or (number <= MOST_CLASSES and number * 2 <= count):
        return True, f"{number} whole numbers"
    if distinct[0] == 0 and distinct[-1] == number - 1 and number * EXAMPLES_EACH <= count:
        return True, f"whole numbers that count from 0 to {number - 1}"
    return False, f"{number:,} different whole numbers in {count:,} rows"


def as_float32(values: Array) -> Array:
    """Numbers (N, K) as float32, unless that loses digits that tell them apart: dates, large counters."""
    if not len(values):
        return values.astype(np.float32)
    largest, deviation = np.max(np.abs(values), axis=0), np.std(values, axis=0)
    return values if np.any((largest > 2**12) & (largest > 2**12 * deviation)) else values.astype(np.float32)
