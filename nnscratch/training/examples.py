"""The examples of one split, as rows of arrays that other splits share: a split copies no images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array


@dataclass(frozen=True)
class Examples:
    """inputs (M, ...), targets (M,) or (M, K), and the rows of both that belong to this split.

    Where examples count differently, `weights` (M,) says how much: the loss is their weighted mean.
    """

    inputs: Array
    targets: Array
    rows: Array
    names: Sequence[str] | None = None
    """What each of the M is called, where it has a name: its file."""
    weights: Array | None = None

    @classmethod
    def all_of(
        cls, inputs: Array, targets: Array, names: Sequence[str] | None = None, weights: Array | None = None
    ) -> Examples:
        return cls(inputs, targets, np.arange(len(inputs)), names, weights)

    def relative_weights(self) -> Array | None:
        """w (M,), of mean 1 over the rows of this split, so that the mean of w_n L_n is the weighted mean of L_n."""
        if self.weights is None:
            return None
        return np.asarray(self.weights / np.mean(self.weights[self.rows], dtype=np.float64))

    def own_weights(self) -> Array | None:
        """Those of this split's rows (N,), in their order."""
        relative = self.relative_weights()
        return None if relative is None else np.asarray(relative[self.rows])

    def __len__(self) -> int:
        return len(self.rows)
