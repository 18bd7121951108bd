"""What looks wrong with data as a whole, each a sentence that says what to do: of plain arrays, before any training."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnscratch.errors import listed

Array = NDArray[Any]

MOST_UNEVEN = 9.0
"""Beyond so many examples of the largest class for each of the smallest, accuracy says little by itself."""
ALONE = 0.995
"""A column that predicts the target so well has the answer in it, or all of it."""
FEWEST = 10
"""Of fewer examples any column may fit the target by chance."""
MANY = 20
"""Of fewer rows any count may happen to be another in each."""
OFTEN = 3
"""Times that a value stands for a gap, at least."""
MOST_CELLS = 1_000_000
"""Of larger tables evenly spaced rows are looked at."""
MOST_BYTES = 1 << 30
"""Inputs larger than this are not searched for identical examples."""


@dataclass(frozen=True)
class Shared:
    """How many different inputs stand in both of two splits, and the rows of the first of them with their names."""

    first: str
    second: str
    count: int
    rows: tuple[int, int]
    names: tuple[str, str] | None = None
    """The file, or the table's file and line; None where examples have no names."""


def column_suspicions(
    values: Array,
    targets: Array,
    names: Sequence[str],
    categories: Collection[str] = (),
    dates: Collection[str] = (),
    how: str = "",
) -> Iterator[str]:
    """Of the columns of values (N, C), NaN for gaps: constants, numbers of rows, and what alone predicts the target.

    Targets are labels (N,) or numbers (N, K); the values of `categories` are codes without an order, and a date may
    well be another in every row. `how` says with which field a column is left out.
    """
    step = max(1, -(-values.size // MOST_CELLS))
    constants = []
    marks: dict[float, list[str]] = {}
    is_constant, has_often, is_whole = _seen_at_once(values)
    for index, name in enumerate(names):
        column, is_number = values[:, index], name not in categories and name not in dates
        if is_constant[index]:
            constants.append(name)
        elif is_number and has_often[index] and (mark := _gap_mark(column[~np.isnan(column)])) is not None:
            marks.setdefault(mark, []).append(name)
        elif is_number and is_whole[index] and (what := _names_rows(column)):
            yield (
                f"column {name!r} {what}: where these are sorted it gives the answer away; "
                f"leave it out unless it means something{how}"
            )
        elif _predicts_alone(column[::step], targets[::step], name in categories):
            yield (
                f"column {name!r} alone predicts the target: is it known before the answer is? "
                f"if not, leave it out{how}"
            )
    for mark, marked in marks.items():
        yield _gap_warning(mark, marked)
    if constants:
        has = "columns have" if len(constants) > 1 else "column has"
        yield f"{len(constants)} {has} one value in every row and can say nothing: {listed(map(repr, constants), 5)}"


def _seen_at_once(values: Array) -> tuple[Array, Array, Array]:
    """Of each column: whether it is constant, has a least or largest value that comes OFTEN, and only whole numbers.

    A gap is neither. Many columns at a time, as a wide table has as many of them as others have rows.
    """
    found = np.zeros((3, values.shape[1]), bool)
    step = max(1, MOST_CELLS // max(len(values), 1))
    for start in range(0, values.shape[1] if len(values) else 0, step):
        block, at = values[:, start : start + step], slice(start, start + step)
        low, high = np.fmin.reduce(block, axis=0), np.fmax.reduce(block, axis=0)
        found[0, at] = np.all(block == low, axis=0) & (len(block) > 1)
        found[1, at] = np.maximum((block == low).sum(axis=0), (block == high).sum(axis=0)) >= OFTEN
        found[2, at] = np.all(block == np.rint(block), axis=0)
    return found[0], found[1], found[2]


def target_suspicions(targets: Array, names: Sequence[str]) -> Iterator[str]:
    """Of numbers to predict (N, K): those that are the same everywhere, and values that stand for a gap."""
    for name, column in zip(names, targets.T, strict=True):
        if len(column) and np.all(column == column[0]):
            yield f"the target {name!r} is {column[0]:g} in every training example: there is nothing to learn of it"
        if (mark := _gap_mark(column)) is not None:
            yield _gap_warning(mark, [name])


def class_suspicions(labels: Array, classes: Sequence[str]) -> Iterator[str]:
    """Of training labels (N,): classes without examples or with one, and very uneven ones."""
    counts = np.bincount(labels, minlength=len(classes))
    for number, what in ((0, "no training example"), (1, "one training example")):
        names = [name for name, each in zip(classes, counts, strict=True) if each == number]
        if names:
            have = "class has" if len(names) == 1 else "classes have"
            told = listed(names, 5)
            yield f"{len(names)} {have} {what}, and cannot be learned: {told}; collect more, or join classes"
    share = majority_share(labels, len(classes))
    if share is not None:
        least, most = int(np.argmin(np.where(counts > 0, counts, counts.max()))), int(counts.argmax())
        yield (
            f"the classes are uneven, {counts[most]:,} of {classes[most]} to {counts[least]:,} of "
            f"{classes[least]}: always saying {classes[most]} is right {100 * share:.1f} % of the time; "
            "look at the classes one by one; loss: {name: cross_entropy, class_weights: balanced} counts them alike"
        )


def majority_share(labels: Array, classes: int) -> float | None:
    """The share of the largest class where classes are more uneven than MOST_UNEVEN to 1; None elsewhere."""
    counts = np.bincount(labels, minlength=classes)
    some = counts[counts > 0]
    if len(some) == 0 or some.max() <= MOST_UNEVEN * some.min():
        return None
    return float(some.max() / some.sum())


def identical_examples(parts: Mapping[str, tuple[Array, Array]]) -> tuple[int, tuple[Shared, ...]] | None:
    """How many inputs of the first split repeat another of it, and what any two splits share.

    Each split is its inputs and the rows of them that belong to it. None where they are too large, and of inputs that
    are one number, such as an age: they are alike without being copies.
    """
    if _are_too_large(*parts.values()) or all(inputs[:1].size == 1 for inputs, _ in parts.values()):
        return None
    seen: dict[str, dict[int, int]] = {}
    repeated = []
    for name, (inputs, rows) in parts.items():
        found: dict[int, int] = {}
        for row in rows.tolist():
            found.setdefault(_mark(inputs[row]), row)
        seen[name] = found
        repeated.append(len(rows) - len(found))
    names = list(seen)
    shared = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            common = seen[first].keys() & seen[second].keys()
            if common:
                key = min(common, key=lambda each: seen[second][each])
                shared.append(Shared(first, second, len(common), (seen[first][key], seen[second][key])))
    return repeated[0], tuple(shared)


def seen_before(seen: tuple[Array, Array], other: tuple[Array, Array]) -> int | None:
    """How many inputs of the second are among those of the first; None where too large. Each is inputs and rows."""
    if _are_too_large(seen, other):
        return None
    (inputs, rows), (others, other_rows) = seen, other
    known = {_mark(inputs[row]) for row in rows.tolist()}
    return sum(_mark(others[row]) in known for row in other_rows.tolist())


def _are_too_large(*parts: tuple[Array, Array]) -> bool:
    return sum(inputs.nbytes // max(len(inputs), 1) * len(rows) for inputs, rows in parts) > MOST_BYTES


def _mark(values: Array) -> int:
    """What equal inputs have in common: 64 bits with a secret key, in which no two others will agree by chance."""
    return hash(values.tobytes())


def shared_suspicions(shared: Sequence[Shared]) -> Iterator[str]:
    """Identical inputs in two splits: copies of one example make a score look better than it is."""
    for each in shared:
        inputs = f"{each.count:,} inputs are" if each.count > 1 else "1 input is"
        alike = " and ".join(each.names) if each.names is not None else f"rows {each.rows[0]} and {each.rows[1]}"
        yield (
            f"{inputs} in {each.first} and in {each.second}, such as {alike}: "
            "the score there may look better than it is"
        )


def _names_rows(column: Array) -> str:
    """What makes a column look like numbers of rows: it counts them, or is unique and has hardly a number left out."""
    steps = np.diff(column)
    if len(column) <= 2 or np.isnan(column).any():
        return ""
    if column[0] in (0, 1) and np.all(steps == 1):
        return "counts the rows"
    if len(column) <= MANY or np.any(column != np.rint(column)) or len(np.unique(column)) < len(column):
        return ""
    is_dense, is_sorted = np.ptp(column) < 2 * len(column), np.all(steps > 0)
    return "is another whole number in every row, as the names of rows are" if is_dense or is_sorted else ""


def _gap_mark(known: Array) -> float | None:
    """A value that comes often, and is the only negative one or further from all others than these are apart: -999."""
    values, counts = np.unique(known, return_counts=True)
    if len(values) <= FEWEST:
        return None
    for place, others in ((0, values[1:]), (-1, values[:-1])):
        distance = min(abs(values[place] - others[0]), abs(values[place] - others[-1]))
        is_odd = distance > others[-1] - others[0] or values[place] < 0 <= others[0]
        if is_odd and counts[place] >= max(OFTEN, len(known) / 1000):
            return float(values[place])
    return None


def _gap_warning(mark: float, names: Sequence[str]) -> str:
    shown = listed(map(repr, names), 5)
    what = f"column {shown} holds" if len(names) == 1 else f"columns {shown} hold"
    return f"{what} {mark:g} often, and nothing like it: if that stands for a gap, empty these cells"


def _predicts_alone(column: Array, targets: Array, is_category: bool) -> bool:
    known = ~np.isnan(column)
    if known.sum() < FEWEST or known.mean() < 0.5:
        return False
    levels, codes, counts = np.unique(column[known], return_inverse=True, return_counts=True)
    if len(levels) < 2 or (is_category and len(levels) * 5 > known.sum()):
        return False
    if targets.ndim == 1:
        return _separates(codes, targets[known], is_category)
    return any(_explains(codes, counts, t, is_category) for t in targets[known].astype(np.float64).T)


def _separates(codes: Array, labels: Array, is_category: bool) -> bool:
    """Whether levels, or for numbers one interval of them for each class, tell the classes apart."""
    classes, labels = np.unique(labels, return_inverse=True)
    if len(classes) < 2 or len(classes) > 20:
        return False
    table = np.bincount(codes * len(classes) + labels, minlength=(codes.max() + 1) * len(classes))
    table = table.reshape(-1, len(classes))
    most = table.sum(axis=0).max() / len(labels)
    enough = max(ALONE, 1 - (1 - most) / 10)
    if is_category or len(table) == 2:
        return len(table) >= len(classes) and table.max(axis=1).sum() / len(labels) >= enough
    if len(classes) == 2:
        below = np.cumsum(table, axis=0)
        above = below[-1] - below
        right = np.maximum(below[:, 0] + above[:, 1], below[:, 1] + above[:, 0])
        return bool(right.max() / len(labels) >= enough)
    own = table.argmax(axis=1)
    intervals = 1 + np.count_nonzero(np.diff(own))
    return bool(intervals == len(classes) and table.max(axis=1).sum() / len(labels) >= enough)


def _explains(codes: Array, counts: Array, t: Array, is_category: bool) -> bool:
    """Whether the level says the number t, or t rises or falls with the value in almost every row."""
    if np.ptp(t) == 0:
        return False
    if is_category:
        means = np.bincount(codes, t) / counts
        return bool(np.var(t - means[codes]) <= (1 - ALONE) * np.var(t))
    _, of_target, target_counts = np.unique(t, return_inverse=True, return_counts=True)
    a, b = _ranks(codes, counts), _ranks(of_target, target_counts)
    return bool(abs(np.corrcoef(a, b)[0, 1]) >= 0.999)


def _ranks(codes: Array, counts: Array) -> Array:
    """The rank of each number, equal ones at their mean."""
    ends = np.cumsum(counts)
    ranks: Array = (ends - (counts - 1) / 2)[codes]
    return ranks
