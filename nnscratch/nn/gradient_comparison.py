"""The gradient of a function of arrays, as a backward pass computes it, against difference quotients of its values.

Entry by entry, which says where an error is; and along a random direction in which all entries move at once, which
leaves none out: one wrong entry among a million shows there, and halving the entries that move leads to it.

A backward value a and a quotient n that is good to e, on the scale s = |a| + |n|: the entry is right when |a - n| and e
are within the tolerance of s; wrong when |a - n| is beyond both the tolerance of s and e; and else rounding hides it.
Entries far below the largest one count on a larger scale: they need not be resolved beyond what an update would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.difference_quotient import Quotient, derivative
from nnscratch.nn.gradient_hints import common_factor, transposition

Verdict = Literal["right", "wrong", "not checked"]

TOLERANCE = 1e-6
AGREEMENT = 1e-7
"""Two numbers computed in ways so different do not agree to this by accident."""
NEGLIGIBLE = 1e-3
"""An entry known to that much of the tolerance of the largest one is known well enough to need no second look."""
BACKWARD_ROUNDING = 1e-12
"""What a sum in a backward pass may be off by, beside the array's largest entry: Winograd's tiles reach 1e-13."""
EPSILON = float(np.finfo(np.float64).eps)
NEAR = (1e-5, 1e-7, 1e-10, 1e-15)
PLACES = np.arange(-5.0, 6.0)
"""Of the values that tell the rounding, in units of one of the distances `NEAR`."""
DEGREE = 4
"""Of the curve through them: what it leaves out is beyond the last digit."""
COARSE = 1e-4
"""The least tolerance for a loss that is only known in single precision."""
NUDGES = (1e-3, 1e-1)
"""How far a point that lies on kinks is moved, beside the size of its numbers."""
SOME = 5
"""Entries that are looked at where a whole direction cannot be, or was wrong."""


@dataclass(frozen=True)
class ArrayCheck:
    """How well the gradient of one array agrees with difference quotients."""

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    """`not checked` when not one entry could be told right or wrong: all lie at kinks, or rounding hides them."""
    worst: float
    """max over the entries that were told of |a - n| / s."""
    analytic: float
    numeric: float
    """Both gradients at the worst entry."""
    own_error: float
    """How far `numeric` may be from the true derivative."""
    index: tuple[int, ...]
    """Of the worst entry; empty when it is the derivative along a direction."""
    checked: int
    crossed_kinks: int
    """Entries left out because every step crossed a kink, where there is no derivative."""
    unresolved: int
    """Entries left out because rounding hides whether they are right."""
    situation: str = ""
    """The batch that the gradient is wrong for, when it is right for others."""
    hint: str = ""
    """What is likely wrong with it."""


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
    """What the function knows of an array whose gradient is not right."""


@dataclass(frozen=True)
class Entry:
    """One entry of an array, or the derivative along a direction: a, n, e, and |a - n| on their scale."""

    index: int | None
    analytic: float
    numeric: Quotient
    error: float
    state: Literal["right", "wrong", "hidden"]


class Comparison:
    """A function's gradient at the present values of its arrays, beside difference quotients."""

    def __init__(self, function: Function, tolerance: float, seed: int) -> None:
        self.function, self.tolerance = function, tolerance
        self.rng = np.random.default_rng(seed)
        self.analytic = {name: gradient.astype(np.float64) for name, gradient in function.gradient().items()}
        magnitudes = {name: _largest(gradient) for name, gradient in self.analytic.items()}
        self.largest = max(magnitudes.values(), default=0.0)
        self.own = {name: BACKWARD_ROUNDING * size + EPSILON * self.largest for name, size in magnitudes.items()}
        self.rounding = self._rounding()

    def _rounding(self) -> float:
        """How far a value may be off: six deviations from a smooth curve through values very close to each other.

        So close that only rounding keeps them from lying on one; closer still where a kink lies between.
        """
        value = self.function.value()
        self.value = float(value)
        epsilon = float(np.finfo(value.dtype).eps) if isinstance(value, np.floating) else EPSILON
        self.is_single = epsilon > EPSILON
        if self.is_single:
            self.tolerance = max(self.tolerance, COARSE)
        self.unmoved = [pattern.copy() for pattern in self.function.kinks()]
        flat = [array.reshape(-1) for array in self.function.arrays.values()]
        size = sum(array.size for array in flat)
        line = self._line(
            [(each, self._signs(each.size) * (np.abs(each) + _typical(each)) / size**0.5) for each in flat]
        )
        for distance in NEAR:
            values = [line(place * distance) for place in PLACES]
            if all(smooth for _, smooth in values):
                break
        y = np.array([value for value, _ in values])
        off = y - np.polynomial.Polynomial.fit(PLACES, y, DEGREE)(PLACES)
        return 6 * float(np.sqrt(np.sum(np.square(off)) / (len(PLACES) - DEGREE - 1))) + epsilon * abs(self.value)

    def _signs(self, size: int) -> Array:
        return self.rng.integers(0, 2, size, np.int8) * 2.0 - 1

    def _line(self, steps: Sequence[tuple[Array, Array]]) -> Callable[[float], tuple[float, bool]]:
        """The function at a distance along those steps of pieces of its arrays, and whether no kink lies between."""
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

    def row(self, name: str, samples: int) -> ArrayCheck:
        """That many entries of one array, at random, and the largest."""
        gradient = self.analytic[name].reshape(-1)
        chosen = self.rng.choice(gradient.size, min(samples, gradient.size), replace=False)
        largest = int(np.argmax(np.abs(gradient)))
        chosen[0] = chosen[0] if largest in chosen else largest
        return self._row(name, [self.entry(name, int(index)) for index in np.sort(chosen)])

    def entry(self, name: str, index: int) -> Entry | None:
        """One entry of an array; None where every step crosses a kink."""
        entry = self.function.arrays[name].reshape(-1)[index : index + 1]
        analytic = float(self.analytic[name].reshape(-1)[index])
        return self._judged(index, analytic, [(entry, np.ones(1))], max(1.0, abs(float(entry[0]))), self.own[name])

    def wrong_arrays(self) -> list[ArrayCheck] | None:
        """A row for every array that is wrong when all of its entries move at once; None where kinks forbid it."""
        together = self._along({name: slice(None) for name in self.analytic})
        if together is None or together.state != "wrong":
            return None if together is None else []
        return [row for name in self.analytic if (row := self._wrong_array(name)) is not None]

    def _wrong_array(self, name: str) -> ArrayCheck | None:
        size = self.analytic[name].size
        whole = self._along({name: slice(0, size)})
        if whole is None or whole.state != "wrong":
            return None
        start, stop, left = 0, size, whole.analytic - whole.numeric.value
        while stop - start > 1:  # into the half that is further off
            middle = (start + stop) // 2
            first = self._along({name: slice(start, middle)})
            if first is None:
                break
            off = first.analytic - first.numeric.value
            if not abs(off) < abs(left - off):  # nan, too
                stop, left = middle, off
            else:
                start, left = middle, left - off
        found = self.entry(name, start) if stop - start == 1 else None
        worst = found if found is not None and found.state == "wrong" else whole
        others = self.rng.choice(size, min(SOME, size), replace=False)  # for what the entries have in common
        return self._row(name, [worst, *(self.entry(name, int(index)) for index in others if index != worst.index)])

    def _along(self, parts: Mapping[str, slice]) -> Entry | None:
        """The derivative when those parts of the arrays move at once, each entry up or down at random."""
        rng = np.random.default_rng(len(parts))  # halves of an array move as the whole did
        size = sum(self.function.arrays[name].size for name in parts)
        steps, analytic, squares = [], 0.0, 0.0
        for name, part in parts.items():
            array = self.function.arrays[name].reshape(-1)
            signs = rng.integers(0, 2, array.size, np.int8)[part] * 2.0 - 1
            step = signs * np.maximum(1.0, np.abs(array[part])) / size**0.5
            along = self.analytic[name].reshape(-1)[part] * step
            analytic += float(np.sum(along))
            squares += float(np.sum(np.square(along)))
            steps.append((array[part], step))
        own = BACKWARD_ROUNDING * squares**0.5 + sum(self.own[name] for name in parts)
        return self._judged(None, analytic, steps, 1.0, own)

    def _judged(
        self, index: int | None, a: float, steps: Sequence[tuple[Array, Array]], scale: float, own: float
    ) -> Entry | None:
        """The entry with a quotient along those steps; None where every step crosses a kink."""
        tolerance, line = self.tolerance, self._line(steps)

        def move(distance: float) -> float | None:
            value, smooth = line(distance)
            return value if smooth else None

        def enough(n: Quotient) -> bool:
            off, size = abs(a - n.value), max(abs(a) + abs(n.value), NEGLIGIBLE * self.largest)
            return (
                off <= min(AGREEMENT, tolerance) * (abs(a) + abs(n.value)) or off <= n.error + own <= tolerance * size
            )

        n = derivative(move, scale, self.rounding, enough)
        if n is None:
            return None
        n = Quotient(n.value, n.error + own)
        off, size = abs(a - n.value), abs(a) + abs(n.value)
        size = max(size, min(n.error / tolerance, self.largest))
        error = off / size if size else off
        if off <= min(AGREEMENT, tolerance) * (abs(a) + abs(n.value)) or (
            error <= tolerance and n.error <= tolerance * size
        ):
            return Entry(index, a, n, error, "right")
        return Entry(index, a, n, error, "hidden" if off <= n.error else "wrong")

    def _row(self, name: str, entries: list[Entry | None]) -> ArrayCheck:
        found = [entry for entry in entries if entry is not None]
        told = [entry for entry in found if entry.state != "hidden"]
        wrong = [entry for entry in told if entry.state == "wrong"]
        # nan is the worst of all
        worst = max(wrong or told or found, key=lambda entry: np.nan_to_num(entry.error, nan=np.inf), default=None)
        shape = self.analytic[name].shape
        index = worst.index if worst is not None else None
        verdict: Verdict = "wrong" if wrong else "right" if told else "not checked"
        return ArrayCheck(
            name,
            shape,
            verdict,
            worst.error if worst is not None and told else 0.0,
            worst.analytic if worst is not None else 0.0,
            worst.numeric.value if worst is not None else 0.0,
            worst.numeric.error if worst is not None else 0.0,
            tuple(int(i) for i in np.unravel_index(index, shape)) if index is not None else (),
            checked=len(told),
            crossed_kinks=len(entries) - len(found),
            unresolved=len(found) - len(told),
            hint=self.function.hint(name) or self._pattern(name, told, found),
        )

    def _pattern(self, name: str, told: list[Entry], found: list[Entry]) -> str:
        """What the entries have in common, or why nothing can be told."""
        if all(entry.state == "right" for entry in told) and told:
            return (
                f"the loss is in single precision: right to {self.tolerance:g}, beyond that not known"
                if self.is_single
                else ""
            )
        if not told:
            single = " as single precision does" if self.rounding > 1e-9 * abs(self.value) else ""
            hidden = f"rounding hides it: the values it is a derivative of vary by {self.rounding:.0e}{single}"
            return "every step crosses a kink, however small" if not found else hidden
        pairs = {entry.index: (entry.analytic, entry.numeric.value) for entry in told if entry.index is not None}
        pattern = common_factor(list(pairs.values()), self.function.examples)
        pattern = pattern or transposition(self.analytic[name], pairs)
        right = sum(entry.state == "right" for entry in told)
        return pattern or (f"{right} of the {len(told)} entries looked at are right" if right else "")


def compare(function: Function, samples: int, seed: int, tolerance: float) -> list[ArrayCheck]:
    """A row per array: sampled entries, and all entries at once.

    An array that lies on kinks with every entry is looked at once more from points nearby.
    """
    with np.errstate(all="ignore"):
        comparison = Comparison(function, tolerance, seed)
        rows = {name: comparison.row(name, samples) for name in comparison.analytic}
        found = comparison.wrong_arrays()
        for size in NUDGES:
            stuck = [name for name, row in rows.items() if row.verdict == "not checked" and not row.unresolved]
            if not stuck and found is not None:
                break
            with _moved(function, size, seed):
                nearby = Comparison(function, tolerance, seed)
                rows |= {name: nearby.row(name, samples) for name in stuck}
                found = nearby.wrong_arrays() if found is None else found
        for row in found or ():
            one_by_one = rows[row.name]
            if one_by_one.verdict == "right":
                hint = f"few of its entries are: the {one_by_one.checked} looked at one by one are right"
                rows[row.name] = replace(row, hint=hint)
    return list(rows.values())


def wrong_arrays(function: Function, seed: int, tolerance: float, situation: str) -> list[ArrayCheck]:
    """The rows of those arrays whose gradient is wrong, found by moving all entries at once; few entries if need be."""
    with np.errstate(all="ignore"):
        found = Comparison(function, tolerance, seed).wrong_arrays()
        for size in NUDGES:
            if found is None:
                with _moved(function, size, seed):
                    found = Comparison(function, tolerance, seed).wrong_arrays()
        if found is None:
            comparison = Comparison(function, tolerance, seed)
            found = [row for name in comparison.analytic if (row := comparison.row(name, SOME)).verdict == "wrong"]
    return [replace(row, situation=situation) for row in found]


@contextmanager
def _moved(function: Function, size: float, seed: int) -> Iterator[None]:
    """Inside, every number is another one nearby."""
    rng = np.random.default_rng(seed)
    kept = {name: array.copy() for name, array in function.arrays.items()}
    for array in function.arrays.values():
        array += size * _typical(array) * rng.standard_normal(array.shape)
    yield
    for name, array in function.arrays.items():
        array[...] = kept[name]


def _typical(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) or 1.0


def _largest(gradient: Array) -> float:
    finite = np.abs(gradient[np.isfinite(gradient)])
    return float(np.max(finite, initial=0.0))
