"""A derivative by difference quotients, and how far it may be off: by its step, by rounding.

With d(h) = (f(h) - f(-h)) / 2h, d(h) = f' + c_2 h^2 + c_4 h^4 + ...: the quotients of two steps combine so that c_2
falls out, those of three so that c_4 does, too (Richardson 1911). What is left shrinks with h. But f is only known to a
rounding error r, of which the quotient carries up to r / h, and that grows as h shrinks. So no one step is right for
all; each quotient comes with both of its errors, and the step is chosen that balances them (Ridders 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Tried from large, where rounding weighs least, to small, which crosses fewer kinks."""
LARGEST_STEP = 0.5
ORDERS = 12
"""How many steps, each half the one before, are combined at most."""

Move = Callable[[float], "float | None"]
"""f at a distance from the point; None where a kink lies between."""


@dataclass(frozen=True)
class Quotient:
    """A derivative, and about how far it may be from the true one."""

    value: float
    error: float


def derivative(move: Move, scale: float, rounding: float, enough: Callable[[Quotient], bool]) -> Quotient | None:
    """f'(0) by the largest step, in units of `scale`, that crosses no kink; None when all do.

    `rounding` is how far a value of f may be from the true one. While the quotient is not `enough`, better steps are
    looked for.
    """
    for step in STEPS:
        h = step * scale
        wide = _slope(move, 2 * h)
        narrow = _slope(move, h) if wide is not None else None
        if wide is None or narrow is None:
            continue
        fourth_order = (4 * narrow - wide) / 3
        first = Quotient(fourth_order, abs(fourth_order - narrow) + 1.5 * rounding / h)
        if enough(first):
            return first
        largest = LARGEST_STEP if step == STEPS[0] else 20 * step
        better = _extrapolated(move, largest * scale, rounding)
        return first if better is None or first.error <= better.error else better
    return None


def _extrapolated(move: Move, h: float, rounding: float) -> Quotient | None:
    """By many steps, each half the one before, extrapolated to step 0: the value of least own error.

    The error of an entry of the table is twice what it differs from those it was made of, and what rounding can do.
    """
    best: Quotient | None = None
    above: list[Quotient] = []  # of the step before: value, and what rounding can do to it
    for _ in range(20):
        slope = _slope(move, h)
        if slope is None:  # also after a larger step that was smooth: that one has crossed kinks there and back
            best, above, h = None, [], h / 2
            continue
        row, power = [Quotient(slope, rounding / h)], 1.0
        h /= 2
        for coarser in above[: ORDERS - 1]:
            power *= 4
            last = row[-1]
            value = (power * last.value - coarser.value) / (power - 1)
            rounded = (power * last.error + coarser.error) / (power - 1)
            row.append(Quotient(value, rounded))
            error = 2 * max(abs(value - last.value), abs(value - coarser.value)) + rounded
            if np.isfinite(error) and (best is None or error < best.error):
                best = Quotient(value, error)
        above = row
        if best is not None and row[0].error > best.error:  # from here on rounding only grows
            break
    return best


def _slope(move: Move, h: float) -> float | None:
    above = move(h)
    below = move(-h) if above is not None else None
    return None if above is None or below is None else (above - below) / (2 * h)
