"""Equations with the numbers of a real step, one entry of an array each, that a reader can compute again.

A formula is text in Python's arithmetic: numbers, names, + - * / **, comparisons (1 when true, else 0), the functions
below, and sums and maxima over arrays, `sum_k(x_nk * W_kj)`. A name is a letter with an index: `W_kj`, `beta1`,
`m_hat`. It is read, and never run as code.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "cos": np.cos, "abs": np.abs, "sign": np.sign,
    "floor": np.floor,
    "max": lambda *numbers: functools.reduce(np.maximum, numbers),
    "min": lambda *numbers: functools.reduce(np.minimum, numbers),
}  # fmt: skip
CONSTANTS = {"pi": math.pi, "inf": math.inf, "nan": math.nan}

SHOWN_TERMS = 4
"""Of a sum with more than twice as many terms, this many are shown, the largest, and the rest as one number."""

DIGITS = (9, 12, 15)
"""Significant digits of printed numbers: more when what is computed from fewer would differ from the value."""

AGREEMENT = 1e-7
"""How far, of its size, a value computed again from printed numbers may be off."""

ROUNDING = 1e-6, 1e-12
"""How far what the code computed may be from its formula: of its size, or of the largest of the numbers."""

CANCELLED = "numbers that cancel: what is left is rounding"
"""Said of a value so much smaller than its terms that no digits printed would give it again."""

Values = Mapping[str, Any]
"""Numbers by name, and arrays of one axis for what a sum runs over."""


class FormulaError(UserError):
    """A formula, of a plugin perhaps, that is no arithmetic over the numbers there are."""


@dataclass(frozen=True)
class Equation:
    """`name` (one entry of an array) = `formula` = `numbers` = `value`, unless the code computes something else."""

    name: str
    formula: str
    numbers: str
    value: float
    note: str = ""
    is_wrong: bool = False
    """The formula does not give the value."""

    @classmethod
    def of(cls, name: str, formula: str, values: Values, value: float | None = None, note: str = "") -> Equation:
        """The equation with values in the place of names; `value` is what the code itself computed, if it did."""
        exact = evaluate(formula, values)
        for digits in DIGITS:
            numbers, notes = insert(formula, values, digits)
            if not abs(evaluate(numbers) - exact) > AGREEMENT * abs(exact):
                break
        else:
            numbers, notes = insert(formula, values)
            notes.append(CANCELLED)
        own = exact if value is None else float(value)
        is_wrong = not _is_close(own, exact, ROUNDING[1] * _largest_number(numbers))
        if is_wrong:
            notes.append(f"the formula gives {number(exact)}, the code {number(own)}")
        elif not _is_close(own, exact) and CANCELLED not in notes:
            notes.append(CANCELLED)
        return cls(name, formula, numbers, own, "; ".join(filter(None, [note, *notes])), is_wrong)

    @property
    def sign(self) -> str:
        """Between formula and value."""
        return "≠" if self.is_wrong else "="

    @property
    def computed(self) -> float:
        """The value again, from the printed numbers."""
        return evaluate(self.numbers)


def in_turn(
    lines: Mapping[str, str],
    values: dict[str, Any],
    known: Mapping[str, float] | None = None,
    at: tuple[int, ...] = (),
) -> Iterator[Equation]:
    """An equation for every name and formula, of the entry `at`; `known` is what the code itself computed.

    Each name joins `values`, for the formulas after it.
    """
    for name, formula in lines.items():
        equation = Equation.of(entry(name, *at), formula, values, (known or {}).get(name))
        values[name] = equation.value
        yield equation


def entry(name: str, *index: int) -> str:
    """What an equation is of: `y_{0,3}`."""
    return f"{name}_{{{','.join(map(str, index))}}}" if index else name


def largest(array: Array) -> tuple[int, ...]:
    """Where the entry of the largest absolute value lies."""
    return tuple(int(each) for each in np.unravel_index(int(np.argmax(np.abs(array))), array.shape))


def evaluate(formula: str, values: Values | None = None) -> float:
    """The value of a formula, names standing for the given values; as in NumPy, what overflows is infinity.

    Raises FormulaError when it cannot be computed.
    """
    with np.errstate(all="ignore"):
        return float(_value(parse(formula), values or {}))


def insert(formula: str, values: Values, digits: int = DIGITS[0]) -> tuple[str, list[str]]:
    """The formula with numbers in the place of names, and what is to be said of numbers that stand for many terms."""
    inserted = _Insert(values, digits)
    return ast.unparse(inserted.visit(parse(formula))), inserted.notes


def number(value: float, digits: int = DIGITS[0]) -> str:
    """As it is printed: nine significant digits unless more are asked for."""
    return f"{value + 0.0:.{digits}g}"  # 0.0: minus zero is zero


def parse(formula: str) -> ast.expr:
    """The formula as a tree; FormulaError when it is none."""
    try:
        return ast.parse(formula, mode="eval").body
    except SyntaxError:
        raise FormulaError(f"{formula!r} is no formula", "write it in Python's arithmetic: 1 / (1 + exp(-x))") from None


def reduction(name: str) -> tuple[str, str] | None:
    """What a function does to all terms, and over what it runs: sum, k of `sum_k`; None for any other function."""
    kind, _, over = name.partition("_")
    return (kind, over) if kind in ("sum", "max") and over else None


def _is_close(own: float, exact: float, rounding: float = 0.0) -> bool:
    """Whether they differ by no more than that, or than is usual for numbers of their size."""
    return (math.isnan(own) and math.isnan(exact)) or math.isclose(own, exact, rel_tol=ROUNDING[0], abs_tol=rounding)


def _largest_number(numbers: str) -> float:
    """Of those in the text, by its size."""
    constants = (node.value for node in ast.walk(parse(numbers)) if isinstance(node, ast.Constant))
    return max((abs(float(constant)) for constant in constants), default=0.0)  # type: ignore[arg-type]  # numbers, as `parse` made them


def _value(node: ast.expr, values: Values) -> Any:
    match node:
        case ast.Constant(value=int() | float() as constant):
            return np.float64(constant)
        case ast.Name(id=name):
            value = values.get(name, CONSTANTS.get(name))
            if value is None:
                raise FormulaError(f"a formula names {name}, which has no value here", f"known are {', '.join(values)}")
            return np.asarray(value, np.float64)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _value(left, values), _value(right, values)
            match operator:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
                case ast.Pow():
                    return a**b
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            a, b = _value(left, values), _value(right, values)
            results = {ast.Gt: a > b, ast.Lt: a < b, ast.GtE: a >= b, ast.Eq: a == b}
            return np.asarray(results[type(operator)], np.float64)
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in FUNCTIONS:
            return FUNCTIONS[name](*(_value(argument, values) for argument in arguments))
        case ast.Call(func=ast.Name(id=name), args=[body]) if how := reduction(name):
            return _total(how[0], np.atleast_1d(_value(body, values)))
    known = f"known are + - * / **, comparisons, {', '.join(FUNCTIONS)}, and sums as sum_k(x_k)"
    raise FormulaError(f"a formula has {ast.unparse(node)}, which cannot be computed", known)


def _largest_terms(kind: str, terms: Array) -> list[int]:
    """Which terms are shown of many: those that are not 0 when they are few, else the largest."""
    size = np.abs(terms) if kind == "sum" else terms
    most = SHOWN_TERMS if kind == "max" or np.count_nonzero(terms) > 2 * SHOWN_TERMS else np.count_nonzero(terms)
    return sorted(np.argsort(-size, kind="stable")[:most].tolist())


def _total(kind: str, terms: Array) -> float:
    return float(np.sum(terms) if kind == "sum" else np.max(terms))


class _Insert(ast.NodeTransformer):
    """Numbers in the place of names; sums and maxima written out."""

    def __init__(self, values: Values, digits: int) -> None:
        self.values, self.digits = values, digits
        self.notes: list[str] = []

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._number(self.values[node.id]) if node.id in self.values else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        how = reduction(node.func.id) if isinstance(node.func, ast.Name) else None
        if how is None:
            node.args = [self.visit(argument) for argument in node.args]
            return node
        return self._written_out(how[0], node.args[0])

    def _written_out(self, kind: str, body: ast.expr) -> ast.expr:
        """All terms when they are few, else the largest, and the rest as one number."""
        with np.errstate(all="ignore"):
            terms = np.atleast_1d(_value(body, self.values))
        shown = list(range(len(terms)))
        if len(terms) > 2 * SHOWN_TERMS:
            shown = _largest_terms(kind, terms)
        parts = [self._term(body, index) for index in shown]
        others = f"the other {len(terms) - len(shown):,}"
        rest = np.delete(terms, shown)
        if kind == "sum" and rest.size and not rest.any():
            self.notes.append(f"{others} terms are 0")
        elif rest.size:
            total = _total(kind, rest)
            parts.append(self._number(total))
            what = f"sum of {others} terms" if kind == "sum" else f"largest of {others}"
            self.notes.append(f"{number(total, self.digits)} is the {what}")
        if kind == "max":
            return ast.Call(ast.Name("max"), parts, [])
        return functools.reduce(lambda a, b: ast.BinOp(a, ast.Add(), b), parts) if parts else self._number(0.0)

    def _term(self, body: ast.expr, index: int) -> ast.expr:
        copy = parse(ast.unparse(body))
        names = {node.id for node in ast.walk(copy) if isinstance(node, ast.Name)} & self.values.keys()
        values = {name: self.values[name][index] if np.ndim(self.values[name]) else self.values[name] for name in names}
        return cast(ast.expr, _Insert(values, self.digits).visit(copy))

    def _number(self, value: float) -> ast.expr:
        return parse(number(float(value), self.digits))
