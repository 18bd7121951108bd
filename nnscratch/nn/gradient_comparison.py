"""The gradient of a function of arrays, as a backward pass computes it, against difference quotients of its values.

Entry by entry, which says where an error is; and along a random direction in which all entries move at once, which
leaves none out: one wrong entry among a million shows there, and halving the entries that move leads to it.

A backward value a and a quotient n that is good to e, on the scale s = |a| + |n|: the entry is right when |a - n| and e
are within the tolerance of s; wrong when |a - n| is beyond both the tolerance of s and e; and else rounding hides it.
Entries far below the largest one count on a larger scale: they need not be known beyond what an update would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.difference_quotient import Quotient, derivative

TOLERANCE = 1e-6
AGREEMENT = 1e-7
"""Two numbers computed in ways so different do not agree to this by accident."""
NEGLIGIBLE = 1e-3
"""An entry known to that much of the tolerance of the largest one is known well enough to need no second look."""
COARSE = 1e-4
"""The least tolerance for a loss that is only known in single precision."""
BACKWARD_ROUNDING = 1e-12
"""What a sum in a backward pass may be off by, beside the array's largest entry: Winograd's tiles reach 1e-13."""
EPSILON = float(np.finfo(np.float64).eps)

NEAR = (1e-5, 1e-7, 1e-10, 1e-15)
PLACES = np.arange(-5.0, 6.0)
"""Of the values that tell the rounding, in units of one of the distances `NEAR`."""
DEGREE = 4
"""Of the curve through them: what it leaves out is beyond the last digit."""

State = Literal["right", "wrong", "hidden"]
Steps = Sequence[tuple[Array, Array]]
"""Pieces of arrays, and how far each number of a piece moves along a direction."""


@dataclass(frozen=True)
class Function:
    """A function of arrays, which can be moved in place, and its gradient as backward passes compute it."""

    arrays: Mapping[str, Array]
    value: Callable[[], float | np.floating[Any]]
    """In the precision it is computed in."""
    kinks: Callable[[], Iterable[Array]]
    """Which side of every kink the numbers of the last `value` fell on."""
    gradient: Callable[[], Mapping[str, Array]]
    examples: int
    """In the batch."""
    hint: Callable[[str], str] = field(default=lambda name: "")
    """What the function knows of an array whose gradient may be wrong."""

    @contextmanager
    def moved(self, size: float, seed: int) -> Iterator[None]:
        """Inside, every number is another one nearby: by `size`, beside what its array holds."""
        rng = np.random.default_rng(seed)
        kept = {name: array.copy() for name, array in self.arrays.items()}
        for array in self.arrays.values():
            array += size * _typical(array) * rng.standard_normal(array.shape)
        yield
        for name, array in self.arrays.items():
            array[...] = kept[name]


@dataclass(frozen=True)
class Entry:
    """One entry of an array, or the derivative along a direction: a, n good to e, and |a - n| on their scale."""

    index: int | None
    analytic: float
    numeric: Quotient
    error: float
    state: State


class Comparison:
    """A function's gradient at the present values of its arrays, beside difference quotients."""

    def __init__(self, function: Function, tolerance: float, seed: int) -> None:
        self.function, self.rng = function, np.random.default_rng(seed)
        self.analytic = {name: gradient.astype(np.float64) for name, gradient in function.gradient().items()}
        sizes = {name: _largest(gradient) for name, gradient in self.analytic.items()}
        self.largest = max(sizes.values(), default=0.0)
        self.own = {name: BACKWARD_ROUNDING * size + EPSILON * self.largest for name, size in sizes.items()}
        value = function.value()
        self.value, self.unmoved = float(value), [pattern.copy() for pattern in function.kinks()]
        epsilon = float(np.finfo(value.dtype).eps) if isinstance(value, np.floating) else EPSILON
        self.is_single = epsilon > EPSILON
        self.tolerance = max(tolerance, COARSE) if self.is_single else tolerance
        self.rounding = epsilon * abs(self.value) + self._roughness()

    def entry(self, name: str, index: int) -> Entry | None:
        """One entry of an array; None where every step crosses a kink."""
        entry = self.function.arrays[name].reshape(-1)[index : index + 1]
        analytic = float(self.analytic[name].reshape(-1)[index])
        return self._judged(index, analytic, [(entry, np.ones(1))], max(1.0, abs(float(entry[0]))), self.own[name])

    def along(self, parts: Mapping[str, slice]) -> Entry | None:
        """The derivative when those parts of the arrays move at once, each entry up or down at random.

        The parts of one array move as the whole of it does.
        """
        rng = np.random.default_rng(len(parts))
        size = sum(self.function.arrays[name].size for name in parts)
        steps, analytic, squares = [], 0.0, 0.0
        for name, part in parts.items():
            array = self.function.arrays[name].reshape(-1)
            step = _signs(rng, array.size)[part] * np.maximum(1.0, np.abs(array[part])) / size**0.5
            products = self.analytic[name].reshape(-1)[part] * step
            analytic += float(np.sum(products))
            squares += float(np.sum(np.square(products)))
            steps.append((array[part], step))
        own = BACKWARD_ROUNDING * squares**0.5 + sum(self.own[name] for name in parts)
        return self._judged(None, analytic, steps, 1.0, own)

    def worst_of(self, name: str) -> Entry | None:
        """A wrong entry of an array, found by halving what moves; None when the whole of it is not wrong.

        Of an array whose errors are many and small it is the derivative along the direction.
        """
        start, stop = 0, self.analytic[name].size
        whole = self.along({name: slice(start, stop)})
        if whole is None or whole.state != "wrong":
            return None
        off = whole.analytic - whole.numeric.value
        while stop - start > 1:
            middle = (start + stop) // 2
            half = self.along({name: slice(start, middle)})
            if half is None:
                return whole
            first = half.analytic - half.numeric.value
            if abs(first) < abs(off - first):
                start, off = middle, off - first
            else:  # nan, too
                stop, off = middle, first
        found = self.entry(name, start)
        return found if found is not None and found.state == "wrong" else whole

    def _roughness(self) -> float:
        """How far values are from a smooth curve: six deviations, of values that lie very close to each other.

        So close that only rounding keeps them from lying on one; closer still where a kink lies between.
        """
        flat = [array.reshape(-1) for array in self.function.arrays.values()]
        size = sum(array.size for array in flat)
        at = self._line(
            [(each, _signs(self.rng, each.size) * (np.abs(each) + _typical(each)) / size**0.5) for each in flat]
        )
        for distance in NEAR:
            values = [at(place * distance) for place in PLACES]
            if all(smooth for _, smooth in values):
                break
        y = np.array([value for value, _ in values])
        if not np.isfinite(y).all():
            return np.nan
        off = y - np.polynomial.Polynomial.fit(PLACES, y, DEGREE)(PLACES)
        return 6 * float(np.sqrt(np.sum(np.square(off)) / (len(PLACES) - DEGREE - 1)))

    def _line(self, steps: Steps) -> Callable[[float], tuple[float, bool]]:
        """The function at a distance along the steps, and whether no kink lies between."""
        kept = [piece.copy() for piece, _ in steps]

        def at(distance: float) -> tuple[float, bool]:
            for (piece, step), start in zip(steps, kept, strict=True):
                np.add(start, distance * step, out=piece)
            value = float(self.function.value())
            smooth = all(map(np.array_equal, self.unmoved, self.function.kinks()))
            for (piece, _), start in zip(steps, kept, strict=True):
                piece[...] = start
            return value, smooth

        return at

    def _judged(self, index: int | None, a: float, steps: Steps, scale: float, own: float) -> Entry | None:
        """The entry with a quotient along the steps; `own` is what a may be off by, having been rounded, too."""
        at = self._line(steps)

        def move(distance: float) -> float | None:
            value, smooth = at(distance)
            return value if smooth else None

        def enough(n: Quotient) -> bool:
            size = max(abs(a) + abs(n.value), NEGLIGIBLE * self.largest)
            return self._agree(a, n) or abs(a - n.value) <= n.error + own <= self.tolerance * size

        n = derivative(move, scale, self.rounding, enough)
        if n is None:
            return None
        n = Quotient(n.value, n.error + own)
        off, size = abs(a - n.value), abs(a) + abs(n.value)
        size = max(size, min(n.error / self.tolerance, self.largest))
        error = off / size if size else off
        if self._agree(a, n) or max(error, n.error / size if size else 0.0) <= self.tolerance:
            return Entry(index, a, n, error, "right")
        return Entry(index, a, n, error, "hidden" if off <= n.error else "wrong")

    def _agree(self, a: float, n: Quotient) -> bool:
        return abs(a - n.value) <= min(AGREEMENT, self.tolerance) * (abs(a) + abs(n.value))


def _signs(rng: np.random.Generator, size: int) -> Array:
    return rng.integers(0, 2, size, np.int8) * 2.0 - 1


def _typical(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) or 1.0


def _largest(gradient: Array) -> float:
    finite = np.abs(gradient[np.isfinite(gradient)])
    return float(np.max(finite, initial=0.0))
