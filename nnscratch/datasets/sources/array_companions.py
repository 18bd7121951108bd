"""What arrays beside inputs and targets mean, a value for each example: weights, groups, an order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.separation import Separation, numbered
from nnscratch.datasets.tables.text import is_gap
from nnscratch.errors import DataError

Beside = Mapping[str, tuple[str, Array]]
"""By split, the name of an array and its values (N,)."""


def weights_of(arrays: Beside) -> dict[str, Array]:
    """How much each example counts, (N,) float64; DataError for what is no number from 0 on."""
    for name, values in arrays.values():
        if values.dtype.kind not in "biuf" or not (np.isfinite(values) & (values >= 0)).all():
            raise DataError(f"{name} has what is no weight", "weights are numbers from 0 on: 0 counts not at all")
    return {split: values.astype(np.float64) for split, (_, values) in arrays.items()}


def groups_of(key: str, arrays: Beside) -> Separation:
    """The groups of each split, numbers or text. Raises DataError for a gap."""
    for name, values in arrays.values():
        gaps = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
        if values.dtype.kind == "U":
            gaps = np.array([is_gap(each) for each in values.tolist()], bool)
        if gaps.any():
            place = f"example {int(np.argmax(gaps))}, counted from 0"
            raise DataError(f"{name}: split_by: {place}, is of no group", "name its group, or leave the example out")
    cells = {split: values for split, (_, values) in arrays.items()}
    if len({values.dtype.kind == "U" for values in cells.values()}) > 1:
        cells = {split: values.astype(str) for split, values in cells.items()}
    return Separation(groups_from=repr(key), groups=numbered(cells))


def order_of(key: str, name: str, values: Array) -> Separation:
    """The order of the training examples: of numbers, or of dates, also as text. Raises DataError for anything else."""
    if values.dtype.kind == "U":
        try:
            values = values.astype("datetime64[us]")
        except ValueError as error:
            raise DataError(
                f"{name}: order_by: {error}: text is taken for dates as ISO 8601 writes them, 2024-03-01T09:30",
                f"give numbers that rise with it: numpy.unique({key}, return_inverse=True)[1], of text that sorts well",
            ) from error
    if values.dtype.kind not in "biufM":
        raise DataError(f"{name}: order_by: {values.dtype} has no order", "give numbers, or dates as text")
    is_gap = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values) if values.dtype.kind == "f" else None
    if is_gap is not None and is_gap.any():
        place = f"example {int(np.argmax(is_gap))}, counted from 0"
        raise DataError(f"{name}: order_by: {place}, has no place in it", "fill the gap, or leave the example out")
    return Separation(order_from=repr(key), order=np.unique(values, return_inverse=True)[1])
