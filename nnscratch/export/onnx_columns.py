"""A table's columns as inputs of an ONNX graph: each under its name, as it is in the table, encoded in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnscratch.datasets.tables.columns import DAY, Boolean, Category, Column, Date, Number
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.datasets.tables.parsing import FIRST, LAST
from nnscratch.datasets.tables.text import LARGEST
from nnscratch.export.onnx_graph import Graph
from nnscratch.nn.compute.buffers import Array

DOUBLE = 11
"""TensorProto.DOUBLE."""
UNKNOWN = "\x00unknown"
"""A level that no table has."""


def is_text(column: Column) -> bool:
    """Whether its input is text; else it is float64, where NaN is a gap: of a date, seconds since 1970."""
    return isinstance(column, Category)


def encoded(encoding: TableEncoding, graph: Graph, names: list[str]) -> str:
    """The features (N, D) float32 of the inputs (N, 1) of these names."""
    blocks = []
    for column, name in zip(encoding.columns, names, strict=True):
        blocks += _WAYS[type(column)](column, graph, name)
    return graph.add("Concat", *blocks, axis=1)


def refused(encoding: TableEncoding, graph: Graph, names: list[str]) -> str:
    """Which rows (N, 1) hold what the run refuses: numbers and moments that it does not have, gaps, new levels.

    Empty where it refuses none.
    """
    schema, found = encoding.schema, []
    for kind in _WAYS:
        columns = [(column, name) for column, name in zip(encoding.columns, names, strict=True) if type(column) is kind]
        if not columns:
            continue
        x = graph.add("Concat", *(name for _, name in columns), axis=1)
        if kind in _REFUSED:
            found.append(_REFUSED[kind](graph, x))
        if schema.missing in ("error", "drop"):
            is_text = kind is Category
            found.append(
                graph.add("Equal", x, graph.array("no text", _texts([""]))) if is_text else graph.add("IsNaN", x)
            )
        for column, name in columns if schema.unknown_levels == "error" else ():
            if isinstance(column, Category):
                known = graph.add("Equal", name, graph.array(f"{name}: all levels", _texts(["", *column.levels])))
                some = graph.add("ReduceMax", _float(graph, known), graph.integers(1), keepdims=1)
                found.append(graph.add("Less", some, graph.numbers(1.0)))
    if not found:
        return ""
    wrong = graph.add("Concat", *(_float(graph, each) for each in found), axis=1)
    return graph.add("Greater", graph.add("ReduceMax", wrong, graph.integers(1), keepdims=1), graph.numbers(0.0))


def _too_large(graph: Graph, x: str) -> str:
    return graph.add("Greater", graph.add("Abs", x), graph.array("largest", np.array([LARGEST])))


def _not_0_or_1(graph: Graph, x: str) -> str:
    """x (x - 1) is 0 for both, and a gap is neither more nor less."""
    product = graph.add("Mul", x, graph.add("Sub", x, graph.array("float64 one", np.array([1.0]))))
    return graph.add("Greater", graph.add("Abs", product), graph.array("float64 zero", np.array([0.0])))


def _too_far(graph: Graph, x: str) -> str:
    """Seconds further from the middle of the years that a date may have than their first and last."""
    middle = graph.array("middle of dates", np.array([(FIRST + LAST) / 2]))
    reach = graph.array("reach of dates", np.array([(LAST - FIRST) / 2]))
    return graph.add("GreaterOrEqual", graph.add("Abs", graph.add("Sub", x, middle)), reach)


def _number(column: Number | Boolean, graph: Graph, x: str) -> list[str]:
    is_gap = graph.add("IsNaN", x)
    x = graph.add("Where", is_gap, graph.array(f"{x}: fill", np.array([column.fill])), x)
    centre = getattr(column, "centre", 0.0)
    if centre:
        x = graph.add("Sub", x, graph.array(f"{x}: centre", np.array([centre])))
    return [_float(graph, x), *([_float(graph, is_gap)] if column.flag else [])]


def _category(column: Category, graph: Graph, x: str) -> list[str]:
    is_gap = graph.add("Equal", x, graph.array("no text", _texts([""])))
    fill = column.levels[int(column.fill)] if column.levels else ""
    x = graph.add("Where", is_gap, graph.array(f"{x}: fill", _texts([fill])), x)
    blocks = []
    if column.own:
        levels = graph.array(f"{x}: levels", _texts(column.levels[: column.own]))
        blocks.append(_float(graph, graph.add("Equal", x, levels)))
    if column.own < len(column.levels):
        one = graph.numbers(1.0)
        if not blocks:
            blocks.append(graph.add("Add", graph.add("Mul", _float(graph, is_gap), graph.numbers(0.0)), one))
        else:
            known = graph.add("ReduceMax", blocks[0], graph.integers(1), keepdims=1)
            blocks.append(graph.add("Sub", one, known))
    return [*blocks, *([_float(graph, is_gap)] if column.flag else [])]


def _date(column: Date, graph: Graph, x: str) -> list[str]:
    """Days since the first, and sin and cos of each circle, in float64 as the run computes them."""

    def number(value: float) -> str:
        return graph.array(f"float64:{value!r}", np.array([value], np.float64))

    is_gap = graph.add("IsNaN", x)
    seconds = graph.add("Where", is_gap, number(column.fill), x)
    days = graph.add("Floor", graph.add("Div", seconds, number(DAY)))
    blocks = [graph.add("Div", graph.add("Sub", seconds, number(column.origin)), number(DAY))]
    for part in column.parts:
        if part == "day":
            turn = graph.add("Sub", graph.add("Div", seconds, number(DAY)), days)
        elif part == "week":
            monday = graph.add("Add", days, number(3))  # 1970 began on a Thursday
            weeks = graph.add("Floor", graph.add("Div", monday, number(7)))
            turn = graph.add("Sub", graph.add("Div", monday, number(7)), weeks)
        else:
            turn = _turn_of_year(graph, days, number)
        angle = graph.add("Mul", turn, number(2 * np.pi))
        # cos a = sin(a + pi/2): runtimes have the cosine of float32 alone.
        blocks += [graph.add("Sin", angle), graph.add("Sin", graph.add("Add", angle, number(np.pi / 2)))]
    return [*(_float(graph, block) for block in blocks), *([_float(graph, is_gap)] if column.flag else [])]


def _turn_of_year(graph: Graph, days: str, number: Callable[[float], str]) -> str:
    """How far through its year a day lies that is so many days after the first of 1970."""

    def first(year: str) -> str:
        """The days from the first of 1970 to the first of a year, after as many leap days (Gregorian calendar)."""
        total = graph.add("Mul", graph.add("Sub", year, number(1970)), number(365))
        for every, sign in ((4, "Add"), (100, "Sub"), (400, "Add")):
            before = 1969 // every  # leap days up to 1969, which 1970 begins after
            past = graph.add("Floor", graph.add("Div", graph.add("Sub", year, number(1)), number(every)))
            total = graph.add(sign, total, graph.add("Sub", past, number(before)))
        return total

    # The mean length of a year tells it to one more or less.
    year = graph.add("Add", graph.add("Floor", graph.add("Div", days, number(365.2425))), number(1970))
    is_later = graph.add("Cast", graph.add("Less", days, first(year)), to=DOUBLE)
    year = graph.add("Sub", year, is_later)
    following = graph.add("Add", year, number(1))
    is_over = graph.add("Cast", graph.add("GreaterOrEqual", days, first(following)), to=DOUBLE)
    year = graph.add("Add", year, is_over)
    start = first(year)
    length = graph.add("Sub", first(graph.add("Add", year, number(1))), start)
    return graph.add("Div", graph.add("Sub", days, start), length)


def _float(graph: Graph, x: str) -> str:
    return graph.add("Cast", x, to=1)  # TensorProto.FLOAT


def _texts(values: Any) -> Array:
    return np.array(values, object).reshape(1, -1)


_WAYS: dict[type[Column], Callable[..., list[str]]] = {
    Number: _number,
    Boolean: _number,
    Category: _category,
    Date: _date,
}

_REFUSED: dict[type[Column], Callable[[Graph, str], str]] = {Number: _too_large, Boolean: _not_0_or_1, Date: _too_far}


def raw(encoding: TableEncoding, features: Array) -> list[Array]:
    """Columns (N, 1) that have these features (N, D): what to ask the graph, to compare it with the run."""
    columns, start = [], 0
    for column in encoding.columns:
        block = features[:, start : start + len(column.features)].astype(np.float64)
        start += len(column.features)
        is_gap = block[:, -1] > 0 if column.flag else np.zeros(len(block), bool)
        if isinstance(column, Category):
            width = column.own + (column.own < len(column.levels))
            levels = np.array([*column.levels[:width], UNKNOWN], object)
            places = np.where(block[:, :width].any(axis=1), block[:, :width].argmax(axis=1), width) if width else 0
            cells = np.where(is_gap, "", levels[places])
        elif isinstance(column, Date):
            cells = np.where(is_gap, np.nan, _seconds(column, block))
        else:
            cells = np.where(is_gap, np.nan, block[:, 0] + getattr(column, "centre", 0.0))
        columns.append(cells.reshape(-1, 1))
    return columns


def _seconds(column: Date, block: Array) -> Array:
    """The moments of a date's features: to the second, or as the circle of the day tells the time, which float32
    keeps better than the days."""
    days = block[:, 0] + column.origin / DAY
    if "day" not in column.parts:
        return np.rint(days * DAY)
    place = 1 + 2 * column.parts.index("day")
    turn = np.mod(np.arctan2(block[:, place], block[:, place + 1]) / (2 * np.pi), 1)
    return np.asarray((np.rint(days - turn) + turn) * DAY)
