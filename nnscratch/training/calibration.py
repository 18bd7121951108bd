"""Temperature scaling: one number that makes a classifier as sure as it is right (Guo et al. 2017, section 4.2)."""

from __future__ import annotations

import numpy as np

from nnscratch.nn.compute.buffers import Array

LARGEST = 100.0
"""Of the temperature and of 1 / it: beyond, no outputs are right, or all are."""
STEPS = 100
CLOSE = 1e-9
"""A change of 1 / T, beside it, and a slope of the log loss that are no longer worth a step."""


def fit_temperature(y: Array, t: Array) -> float:
    """The T > 0 with the least mean_n -log p_nt, p = softmax(y / T), of logits y (N, K) and labels t (N,).

    In b = 1 / T that is convex, with derivative mean_n (sum_k p_nk y_nk - y_nt) and second derivative the mean variance
    of y_n under p_n: Newton steps, kept between bounds that close in from 1 / LARGEST and LARGEST. The order of the
    outputs, and so every prediction, stays.
    """
    y = y.astype(np.float64)
    y -= np.max(y, axis=1, keepdims=True)
    own = float(np.mean(y[np.arange(len(t)), t]))
    low, high, b = 1 / LARGEST, LARGEST, 1.0
    for _ in range(STEPS):
        p = np.exp(b * y)
        p /= np.sum(p, axis=1, keepdims=True)
        mean = np.sum(p * y, axis=1)
        slope = float(np.mean(mean)) - own
        curvature = float(np.mean(np.sum(p * np.square(y), axis=1) - np.square(mean)))
        low, high = (low, b) if slope > 0 else (b, high)
        step = b - slope / curvature if curvature > 0 else high
        step = step if low < step < high else (low * high) ** 0.5
        if abs(step - b) <= CLOSE * b or abs(slope) <= CLOSE:
            break
        b = step
    return 1 / b
