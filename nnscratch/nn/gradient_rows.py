"""What is found out about the gradient of each array, in one row: right, wrong and where, or not checked and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nnscratch.nn.gradient_comparison import Comparison, Entry, Function
from nnscratch.nn.gradient_hints import common_factor, transposition

Verdict = Literal["right", "wrong", "not checked"]

NUDGES = (1e-3, 1e-1)
"""How far a point that lies on kinks is moved, beside the size of its numbers."""
SOME = 5
"""Entries that are looked at where a whole direction cannot be, or was wrong."""
SINGLE = 1e-9
"""Relative; values in double precision are known better."""


@dataclass(frozen=True)
class ArrayCheck:
    """How well the gradient of one array agrees with difference quotients."""

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    """`not checked` when not one entry could be told right or wrong: all lie at kinks, or rounding hides them."""
    worst: float
    """The largest |a - n| / (|a| + |n|), a from the backward pass and n the quotient, of the entries that were told.

    Of entries far below the largest of all arrays it is less: they count on a larger scale.
    """
    analytic: float
    numeric: float
    """a and n of the worst entry."""
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
    """What is likely wrong with it, or what is to be said of it though it is right."""


def compare(function: Function, samples: int, seed: int, tolerance: float) -> list[ArrayCheck]:
    """A row per array: sampled entries, and all entries at once.

    An array that lies on kinks with every entry is looked at once more from points nearby.
    """
    with np.errstate(all="ignore"):
        comparison = Comparison(function, tolerance, seed)
        rows = {name: _sampled(comparison, name, samples) for name in comparison.analytic}
        found = _wrong_rows(comparison)
        for size in NUDGES:
            stuck = [name for name, row in rows.items() if row.verdict == "not checked" and not row.unresolved]
            if not stuck and found is not None:
                break
            with function.moved(size, seed):
                nearby = Comparison(function, tolerance, seed)
                rows |= {name: _sampled(nearby, name, samples) for name in stuck}
                found = _wrong_rows(nearby) if found is None else found
    for row in found or ():
        one_by_one = rows[row.name]
        if one_by_one.verdict == "right":
            hint = f"few of its entries are: the {one_by_one.checked} looked at one by one are right"
            rows[row.name] = replace(row, hint=hint)
    return list(rows.values())


def wrong_arrays(function: Function, seed: int, tolerance: float, situation: str) -> list[ArrayCheck]:
    """The rows of those arrays whose gradient is wrong, found by moving all entries at once; few entries if need be."""
    with np.errstate(all="ignore"):
        found = _wrong_rows(Comparison(function, tolerance, seed))
        for size in NUDGES:
            if found is None:
                with function.moved(size, seed):
                    found = _wrong_rows(Comparison(function, tolerance, seed))
        if found is None:
            comparison = Comparison(function, tolerance, seed)
            rows = [_sampled(comparison, name, SOME) for name in comparison.analytic]
            found = [row for row in rows if row.verdict == "wrong"]
    return [replace(row, situation=situation) for row in found]


def _sampled(comparison: Comparison, name: str, samples: int) -> ArrayCheck:
    """The row of one array by that many of its entries, the largest and others at random."""
    gradient = comparison.analytic[name].reshape(-1)
    chosen = comparison.rng.choice(gradient.size, min(samples, gradient.size), replace=False)
    largest = int(np.argmax(np.abs(gradient)))
    chosen[0] = chosen[0] if largest in chosen else largest
    return _row(comparison, name, [comparison.entry(name, int(index)) for index in np.sort(chosen)])


def _wrong_rows(comparison: Comparison) -> list[ArrayCheck] | None:
    """The rows of the arrays that are wrong when all entries move at once; None where kinks forbid that."""
    together = comparison.along({name: slice(None) for name in comparison.analytic})
    if together is None or together.state != "wrong":
        return None if together is None else []
    rows = []
    for name, gradient in comparison.analytic.items():
        worst = comparison.worst_of(name)
        if worst is not None:
            # Others beside it, for what they have in common.
            others = comparison.rng.choice(gradient.size, min(SOME, gradient.size), replace=False)
            entries = [comparison.entry(name, int(index)) for index in others if index != worst.index]
            rows.append(_row(comparison, name, [worst, *entries]))
    return rows


def _row(comparison: Comparison, name: str, entries: Sequence[Entry | None]) -> ArrayCheck:
    found = [entry for entry in entries if entry is not None]
    told = [entry for entry in found if entry.state != "hidden"]
    wrong = [entry for entry in told if entry.state == "wrong"]
    # nan is the worst of all
    worst = max(wrong or told or found, key=lambda entry: np.nan_to_num(entry.error, nan=np.inf), default=None)
    shape = comparison.analytic[name].shape
    index = worst.index if worst is not None else None
    return ArrayCheck(
        name,
        shape,
        "wrong" if wrong else "right" if told else "not checked",
        worst=worst.error if worst is not None and told else 0.0,
        analytic=worst.analytic if worst is not None else 0.0,
        numeric=worst.numeric.value if worst is not None else 0.0,
        own_error=worst.numeric.error if worst is not None else 0.0,
        index=tuple(int(i) for i in np.unravel_index(index, shape)) if index is not None else (),
        checked=len(told),
        crossed_kinks=len(entries) - len(found),
        unresolved=len(found) - len(told),
        hint=comparison.function.hint(name) or _hint(comparison, name, found, told, wrong),
    )


def _hint(comparison: Comparison, name: str, found: list[Entry], told: list[Entry], wrong: list[Entry]) -> str:
    """What the entries have in common, or why nothing can be told."""
    if not np.isfinite(comparison.value):
        return f"the forward pass gives {comparison.value}"
    if not found:
        return "every step crosses a kink, however small"
    if not told:
        single = " as single precision does" if comparison.rounding > SINGLE * abs(comparison.value) else ""
        return f"rounding hides it: the values it is a derivative of vary by {comparison.rounding:.0e}{single}"
    if not wrong:
        said = f"the loss is in single precision: right to {comparison.tolerance:g}, beyond that not known"
        return said if comparison.is_single else ""
    pairs = {entry.index: (entry.analytic, entry.numeric.value) for entry in told if entry.index is not None}
    pattern = common_factor(list(pairs.values()), comparison.function.examples)
    pattern = pattern or transposition(comparison.analytic[name], pairs)
    right = len(told) - len(wrong)
    return pattern or (f"{right} of the {len(told)} entries looked at are right" if right else "")
