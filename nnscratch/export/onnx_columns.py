"""A table's columns as inputs of an ONNX graph: each under its name, as it is in the table, encoded in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnscratch.datasets.tables.columns import Boolean, Category, Column, Number
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.export.onnx_graph import Graph
from nnscratch.nn.compute.buffers import Array

UNKNOWN = "\x00unknown"
"""A level that no table has."""


def can_be_inputs(encoding: TableEncoding) -> bool:
    """Whether the graph can encode every column itself; a calendar is beyond its operators."""
    return all(type(column) in _WAYS for column in encoding.columns)


def is_text(column: Column) -> bool:
    """Whether its input is text; else it is float64, where NaN is a gap."""
    return isinstance(column, Category)


def encoded(encoding: TableEncoding, graph: Graph, names: list[str]) -> str:
    """The features (N, D) float32 of the inputs (N, 1) of these names."""
    blocks = []
    for column, name in zip(encoding.columns, names, strict=True):
        blocks += _WAYS[type(column)](column, graph, name)
    return graph.add("Concat", *blocks, axis=1)


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


def _float(graph: Graph, x: str) -> str:
    return graph.add("Cast", x, to=1)  # TensorProto.FLOAT


def _texts(values: Any) -> Array:
    return np.array(values, object).reshape(1, -1)


_WAYS: dict[type[Column], Callable[..., list[str]]] = {Number: _number, Boolean: _number, Category: _category}


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
        else:
            cells = np.where(is_gap, np.nan, block[:, 0] + getattr(column, "centre", 0.0))
        columns.append(cells.reshape(-1, 1))
    return columns
