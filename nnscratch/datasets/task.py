"""The rules for numbers as targets, whatever file they come from: classes or a quantity, and how many digits."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from nnscratch.datasets.tables.text import Array, looks_like_number

FEW_CLASSES, MOST_CLASSES = 10, 20
"""Whole numbers of more distinct values are a quantity, unless they are about equally many, or count 0, 1, 2, ..."""
EXAMPLES_EACH = 10
ABOUT_EQUALLY = 3
"""So many times as often as the rarest may the most frequent come."""


def classes_or_quantity(values: Array) -> tuple[bool, str]:
    """Whether numbers (N,) are labels of classes, and why, in words that go on from "classification, as it holds".

    They are when all are whole, and there are two of them, or at most 10 that come twice on average, or at most 20 that
    come twice and about equally often (marks from 0 to 20 do not), or any number that counts 0, 1, 2, ... without a gap
    and comes ten times on average.
    """
    distinct, counts = np.unique(values, return_counts=True)
    count, number = len(values), len(distinct)
    if not np.all(distinct == np.rint(distinct)):
        return False, "broken numbers"
    most = MOST_CLASSES if counts.max(initial=0) <= ABOUT_EQUALLY * counts.min(initial=count) else FEW_CLASSES
    if number <= 2 or (number <= most and number * 2 <= count):
        return True, f"{number} whole numbers"
    if distinct[0] == 0 and distinct[-1] == number - 1 and number * EXAMPLES_EACH <= count:
        return True, f"whole numbers that count from 0 to {number - 1}"
    return False, f"{number:,} different whole numbers in {count:,} rows"


def doubt_of_classes(names: Collection[str], examples: int) -> str | None:
    """Why different texts, of as many examples, are hardly the names of classes; None where they may be."""
    if len(names) <= MOST_CLASSES:
        return None
    if sum(map(looks_like_number, names)) * 2 > len(names):
        return "most of them numbers"
    return "hardly one comes twice" if len(names) * 2 > examples else None


def as_float32(values: Array) -> Array:
    """Numbers (N, K) as float32, unless that loses digits that tell them apart: dates, large counters."""
    if not len(values):
        return values.astype(np.float32)
    largest, deviation = np.max(np.abs(values), axis=0), np.std(values, axis=0)
    return values if np.any((largest > 2**12) & (largest > 2**12 * deviation)) else values.astype(np.float32)
