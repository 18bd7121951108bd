"""The examples of one split, as rows of arrays that other splits share: a split copies no images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array


@dataclass(frozen=True)
class Examples:
    """inputs (M, ...), targets (M,) or (M, K), and the rows of both that belong to this split."""

    inputs: Array
    targets: Array
    rows: Array
    names: Sequence[str] | None = None
    """What each of the M is called, where it has a name: its file."""

    @classmethod
    def all_of(cls, inputs: Array, targets: Array) -> Examples:
        return cls(inputs, targets, np.arange(len(inputs)))

    def __len__(self) -> int:
        return len(self.rows)
