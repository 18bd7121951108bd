"""The batches that a gradient check looks at: the one it is given, and others of other sizes made of its examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array


@dataclass(frozen=True)
class Batch:
    """Inputs, targets and weights, and which of the batches is the one before it."""

    x: Array
    t: Array
    w: Array | None = None
    before: int = 1
    situation: str = ""


def batch_sizes(N: int) -> list[int]:
    """The batches that are checked beside one of N: a larger one, a shorter one of an odd number, a single example."""
    short = N - 1 if N % 2 == 0 else N - 2
    return list(dict.fromkeys(size for size in (2 * N + 1, short, 1) if 0 < size != N))


def batches_of(x: Array, t: Array, seed: int, w: Array | None = None) -> list[Batch]:
    """The batch that is given, and others made of its examples, all a little different."""
    rng, N = np.random.default_rng(seed), len(x)
    x = np.array(x, np.float64)  # its own copy: entries are moved and put back
    spread = float(np.std(x)) or 1.0
    batches, largest = [Batch(x, t, w)], 2 * N + 1
    for size in batch_sizes(N):
        rows = rng.permutation(np.arange(size) % N)
        others = x[rows] + 0.3 * spread * rng.standard_normal((size, *x.shape[1:]))
        after = N if size == largest else largest
        weights = None if w is None else w[rows] + rng.random(size)  # those of a small batch may be equal
        batches.append(
            Batch(others, t[rows], weights, int(after == largest), f"in a batch of {size} after one of {after}")
        )
    return batches
