"""What of the examples decides which of them may stand in different splits: groups that stay together, an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Separation:
    """Of the training examples, and, as far as they are known, of the other splits (train, val, test)."""

    column: str = ""
    """The column whose values are the groups."""
    groups: Mapping[str, Array] = field(default_factory=dict)
    """Its values as whole numbers (N,) by split: equal number, equal group."""
    order: Array | None = None
    """Of the training examples (N,): those with the largest numbers are the last, which are held out."""


def shared_groups(separation: Separation, rows: Mapping[str, tuple[str, Array]]) -> Iterator[str]:
    """A sentence for every two splits that have groups in common.

    `rows` says of each split which examples (train, val, test) it is made of, and which rows of them.
    """
    members = {
        name: separation.groups[source][taken] for name, (source, taken) in rows.items() if source in separation.groups
    }
    for (first, one), (second, other) in combinations(members.items(), 2):
        common = np.intersect1d(one, other)
        if len(common):
            number, examples = len(common), int(np.isin(other, common).sum())
            yield (
                f"{number:,} values of {separation.column!r} are in {first} and in {second} "
                f"({examples:,} of {len(other):,} {second} examples): the score there looks better than it is"
            )
