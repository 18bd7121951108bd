"""What is likely wrong with a gradient, from how it differs from the right one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from nnscratch.nn.compute.buffers import Array

ALIKE = 1e-4
"""Relative; quotients are better than that where a pattern is worth telling."""


def common_factor(pairs: Collection[tuple[float, float]], examples: int) -> str:
    """`sign flipped` and the like when all gradients a are the right ones n times one number; else nothing."""
    a, n = np.array([pair for pair in pairs if pair[1]]).reshape(-1, 2).T
    if len(a) < 2 or not np.isfinite(a).all():
        return ""
    factor = float(np.median(a / n))
    if not np.allclose(a, factor * n, rtol=ALIKE, atol=ALIKE * float(np.max(np.abs(n)))):
        return ""
    if np.isclose(factor, 1, rtol=ALIKE):
        spread = float(np.max(np.abs(a / (factor * n) - 1)))  # of which no factor is told that is no larger
        if abs(factor - 1) <= max(1e-6, 10 * spread):
            return ""
    if abs(factor) < ALIKE:
        return "every entry is 0: is it never written, or multiplied by something that is 0?"
    if np.isclose(factor, -1, rtol=ALIKE):
        return "the sign is flipped: every entry is minus the right one"
    for value, said in (
        (examples, f"{examples} times the right one, {examples} being the batch size: the loss has divided by it"),
        (1 / examples, f"1/{examples} of the right one, {examples} being the batch size: the loss has divided already"),
    ):
        if examples > 1 and np.isclose(factor, value, rtol=ALIKE):
            return f"every entry is {said}"
    return f"every entry is {factor:.6g} times the right one"


def transposition(analytic: Array, numeric: Mapping[int, tuple[float, float]]) -> str:
    """When a square matrix holds at [i, j] what belongs at [j, i]."""
    if analytic.ndim != 2 or analytic.shape[0] != analytic.shape[1] or len(numeric) < 2:
        return ""
    turned = analytic.T.reshape(-1)
    if all(np.isclose(turned[index], n, rtol=ALIKE, atol=0) for index, (_, n) in numeric.items()):
        return "it is transposed: entry [i, j] is the right one of [j, i]"
    return ""


def transposed_product(dx: Array, dy: Array, matrices: Mapping[str, Array]) -> str:
    """When dx is dy W, where y = x W asks for dy W^T: only a square W lets that pass."""
    for W in matrices.values():
        is_square = W.ndim == 2 and W.shape[0] == W.shape[1] == dx.shape[-1] == dy.shape[-1]
        if is_square and np.allclose(dx, dy @ W, rtol=ALIKE):
            return "the matrix is transposed: dx is dy W, and y = x W asks for dy W^T"
    return ""
