"""A table's columns in an exported model.py: what was learned of them as JSON, and the lines that use it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nnscratch.datasets.tables.columns import Boolean, Column, Date, Number
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.datasets.tables.parsing import FIRST, ISO, LAST, date_pattern
from nnscratch.datasets.tables.text import CURRENCIES, GAPS, MAGNITUDES, WORDS, number_pattern, unit_pattern
from nnscratch.export import column_formulas, formulas
from nnscratch.export.numpy_layers import Module
from nnscratch.export.onnx_columns import raw
from nnscratch.nn.compute.buffers import Array

CLOSE = 0.02
"""Seconds that float32 may make of none."""
FORMULAS = (
    column_formulas.encode,
    column_formulas.text_of,
    column_formulas.decimal_marks,
    column_formulas.without_unit,
    column_formulas.column_features,
    column_formulas.read_number,
    column_formulas.read_boolean,
    column_formulas.read_category,
    column_formulas.place_of,
    column_formulas.read_date,
    column_formulas.date_features,
)


def features(encoding: TableEncoding, module: Module) -> list[str]:
    """The lines of `features`, which takes rows of the table as they are."""
    for formula in FORMULAS:
        module.needs(formula)
    schema = encoding.schema
    said = {
        "columns": [_said(column) for column in encoding.columns],
        "patterns": {mark: number_pattern(mark) for mark in ".,"},
        "gaps": GAPS,
        "missing": schema.missing,
        "unknown": schema.unknown_levels,
    }
    module.array("columns", np.array(json.dumps(said)))
    return [
        "def features(rows: Any) -> Array:",
        '    """The features (N, D) of rows: dicts by column of text as in a CSV file, numbers, or None."""',
        '    x, errors = encode(rows, **json.loads(str(W["columns"])))',
        "    if errors:",
        "        row = min(errors)",
        '        raise ValueError(f"row {row + 1}: {errors[row]}")',
        "    return x",
        "",
        "",
    ]


def reading(encoding: TableEncoding, module: Module) -> list[str]:
    """The lines that read the rows in the file `path`."""
    names = "[]"
    if not encoding.schema.has_header:
        names = module.array("columns of a file", np.array(encoding.schema.names, str)) + ".tolist()"
    module.needs(formulas.is_below)
    return [
        f"rows = {module.needs(formulas.read_table)}(path, {names})",
        "places = [place for place, row in rows.items() if not isinstance(row, str)]",
        'x, errors = encode([rows[place] for place in places], **json.loads(str(W["columns"])))',
        "return rows | {place: errors.get(row, x[row]) for row, place in enumerate(places)}",
    ]


def rows_of(encoding: TableEncoding, stored: Array) -> list[dict[str, Any]]:
    """Rows that have these features (N, D), to compare what is exported with the run: as a table has them."""
    takes_gaps = encoding.schema.missing not in ("error", "drop")
    pairs = zip(encoding.columns, raw(encoding, stored), strict=True)
    cells = [[_cell(column, value, takes_gaps) for value in values.ravel().tolist()] for column, values in pairs]
    names = [column.name for column in encoding.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]


def _cell(column: Column, value: Any, takes_gaps: bool) -> Any:
    """What stands in a table for a raw value: text, except for numbers that need no unit."""
    if value != value:
        return None
    match column:
        case Date():
            # Between two months or minutes, as a median may be, lies what a column of these alone cannot have.
            is_filled = takes_gaps and not column.flag and abs(value - column.fill) < CLOSE
            return None if is_filled else column.written(value)
        case Number() if column.unit in MAGNITUDES:
            return f"{value!r}{column.unit}".replace(".", column.decimal, 1)
    return value


def _said(column: Column) -> dict[str, Any]:
    said = column.to_dict()
    match column:
        case Number():
            if column.unit:
                said |= {"unit": unit_pattern(column.unit), "unit_is_needed": column.unit in MAGNITUDES}
            said["units"] = rf"{CURRENCIES}|[%\s\u00a0\u2009\u202f'’]"
        case Boolean():
            codes = {word: code for pair in WORDS for code, word in enumerate(pair)}
            said["codes"] = codes | {word: code for code, word in enumerate(column.words)}
        case Date():
            formats = (column.format, *(ISO if "%d" in column.format else ()))
            said["notations"] = [each for format in formats for each in _notations(format)]
            said |= {"earliest": FIRST, "latest": LAST}
    return said


def _notations(format: str) -> list[tuple[str, str, str]]:
    """A notation in Python's words, with what stands before it where it is no whole date: first with fractions.

    And the pattern of the text that is read by it.
    """
    prefix, pattern = "", date_pattern(format)
    if "%d" not in format:
        is_month = "%Y" in format or "%y" in format
        prefix, format = ("1 ", f"%d {format}") if is_month else ("1970-01-01 ", f"%Y-%m-%d {format}")
    fractions = ("", ".%f") if "%.f" in format else ("",)
    return [(prefix, format.replace("%.f", fraction), pattern) for fraction in fractions]
