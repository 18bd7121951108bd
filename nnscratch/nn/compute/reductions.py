"""Sums over the rows of a large array: what biases and normalisation need of a batch."""

from __future__ import annotations

import numpy as np

from nnscratch.nn.compute.buffers import Array


def column_sums(x: Array) -> Array:
    """(C,): the sum of x (..., C) over all other axes, as the matrix product 1^T x, which BLAS does at memory speed."""
    rows = x.reshape(-1, x.shape[-1])
    return np.asarray(np.ones(len(rows), x.dtype) @ rows)
