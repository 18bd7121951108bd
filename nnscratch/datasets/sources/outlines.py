"""The outlines of the `shapes` dataset: signed distances, negative inside, in a shape's own coordinates.

Each function takes u (to the right) and v (downwards), in units of the shape's radius, and returns about how far that
point is from the outline. Only +, -, *, /, sqrt, abs, minimum and maximum are used: IEEE 754 rounds these alike on
every machine, which it does not promise of sin, cos or hypot, so the images are the same everywhere, bit for bit.
Source of the star, heart and ellipse: Inigo Quilez, "2D distance functions".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnscratch.datasets.dataset import Array


def length(u: Array, v: Array) -> Array:
    """sqrt(u^2 + v^2)."""
    squared: Array = u * u + v * v
    return np.sqrt(squared, out=squared)


def _box(u: Array, v: Array, width: float, height: float) -> Array:
    return np.maximum(np.abs(u) - width, np.abs(v) - height)


def arrow(u: Array, v: Array) -> Array:
    shaft = _box(u, v - 0.375, 0.22, 0.475)
    head = np.maximum(0.79436 * np.abs(u) - 0.60745 * (v + 0.9), v + 0.05)
    return np.minimum(shaft, head)


def circle(u: Array, v: Array) -> Array:
    return length(u, v) - 0.8


def crescent(u: Array, v: Array) -> Array:
    return np.maximum(length(u, v) - 0.9, 0.72 - length(u - 0.45, v))


def cross(u: Array, v: Array) -> Array:
    return np.minimum(_box(u, v, 0.85, 0.27), _box(u, v, 0.27, 0.85))


def ellipse(u: Array, v: Array) -> Array:
    # f / |grad f| with f = |(u / a, v / b)| - 1, a = 1, b = 0.45
    scaled = length(u, v / 0.45)
    outline: Array = scaled * (scaled - 1) / (length(u, v / 0.2025) + 1e-6)
    return outline


def heart(u: Array, v: Array) -> Array:
    x, y = np.abs(u) * 0.68, 0.58 - v * 0.68
    lobe = length(x - 0.25, y - 0.75) - 0.353553
    diagonal = 0.5 * np.maximum(x + y, 0)
    tip = np.minimum(length(x, y - 1), length(x - diagonal, y - diagonal)) * np.sign(x - y)
    outline: Array = np.where(x + y > 1, lobe, tip) / 0.68
    return outline


def ring(u: Array, v: Array) -> Array:
    return np.abs(length(u, v) - 0.66) - 0.2


def square(u: Array, v: Array) -> Array:
    return _box(u, v, 0.7, 0.7)


def star(u: Array, v: Array) -> Array:
    cosine, sine = 0.809017, 0.587785  # of 36 degrees
    x, y = np.abs(u), -v
    # Two mirrors fold the five points onto one.
    for mirror in (cosine, -cosine):
        beyond = 2 * np.maximum(mirror * x - sine * y, 0)
        x, y = x - beyond * mirror, y + beyond * sine
    x, y = np.abs(x), y - 1
    edge_x, edge_y = 0.42 * sine, 0.42 * cosine - 1
    along = np.minimum(np.maximum((x * edge_x + y * edge_y) / (edge_x * edge_x + edge_y * edge_y), 0), 1)
    return length(x - edge_x * along, y - edge_y * along) * np.sign(y * edge_x - x * edge_y)


def triangle(u: Array, v: Array) -> Array:
    return np.maximum(0.866025 * np.abs(u) - 0.5 * v, v) - 0.45


OUTLINES: dict[str, Callable[[Array, Array], Array]] = {
    outline.__name__: outline
    for outline in (arrow, circle, crescent, cross, ellipse, heart, ring, square, star, triangle)
}
"""Every class of the dataset by its name, in the order of the labels."""
