"""What of the examples decides which of them may stand in different splits: groups that stay together, an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Taken = Mapping[str, tuple[str, Array]]
"""Of each split by its name, which examples (train, val, test) it is made of, and which rows of them."""


@dataclass(frozen=True, eq=False)
class Separation:
    """Of the training examples, and, as far as they are known, of the other splits (train, val, test)."""

    groups_from: str = ""
    """What the groups are the values of: a column, an array, a part of the file names."""
    groups: Mapping[str, Array] = field(default_factory=dict)
    """Its values as whole numbers (N,) by split: equal number, equal group."""
    order_from: str = ""
    """What the order is that of; empty where the examples are in order."""
    order: Array | None = None
    """Of the training examples (N,): those with the largest numbers are the last, which are held out."""


def contradictions(
    split_by: str | None, split: Literal["random", "last"], order_by: str | None
) -> Iterator[tuple[str, str]]:
    """The fields of a source that cannot be meant together, and why."""
    if split_by is not None and split == "last":
        yield "split_by", "keeps groups together, split: last cuts by an order; keep one of them"
    if order_by is not None and split != "last":
        yield "order_by", "has no effect without split: last"


def numbered(values: Mapping[str, Sequence[str] | Array]) -> dict[str, Array]:
    """The groups of each split as whole numbers (N,), counted through all of them."""
    if not values:
        return {}
    _, numbers = np.unique(np.concatenate([np.asarray(each) for each in values.values()]), return_inverse=True)
    borders = np.cumsum([len(each) for each in values.values()])[:-1]
    return dict(zip(values, np.split(numbers, borders), strict=True))


def told(separation: Separation, splits: Taken) -> str:
    """What was kept apart, in a line; empty where examples are held out at random."""
    if separation.order is not None:
        return f"the last by {separation.order_from}" if separation.order_from else "the last, as they stand"
    members = _members(separation, splits)
    if not members:
        return ""
    counts = {name: len(np.unique(each)) for name, each in members.items()}
    number = len(np.unique(np.concatenate(list(members.values()))))
    kept = "none in two splits" if sum(counts.values()) == number else "some in two splits"
    each = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
    return f"{number:,} groups by {separation.groups_from}: {each}; {kept}"


def suspicious_groups(separation: Separation, splits: Taken) -> Iterator[str]:
    """A sentence for every two splits that have groups in common, and one where no group has two examples."""
    members = _members(separation, splits)
    for (first, one), (second, other) in combinations(members.items(), 2):
        common = np.intersect1d(one, other)
        if len(common):
            number, examples = len(common), int(np.isin(other, common).sum())
            yield (
                f"{number:,} values of {separation.groups_from} are in {first} and in {second} "
                f"({examples:,} of {len(other):,} {second} examples): the score there looks better than it is"
            )
    every = np.concatenate(list(members.values())) if members else np.empty(0)
    if len(every) and len(np.unique(every)) == len(every):
        yield f"every value of {separation.groups_from} is there once: split_by keeps nothing together"


def _members(separation: Separation, splits: Taken) -> dict[str, Array]:
    """The groups of the examples of each split, as far as they are known."""
    found = separation.groups
    return {name: found[source][rows] for name, (source, rows) in splits.items() if source in found}
