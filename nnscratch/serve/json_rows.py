"""Rows in JSON: objects by the columns' names, or lists of numbers; a list of them, one alone, or one in each line."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any

import numpy as np

from nnscratch.datasets.tables.json_text import EXACT_DIGITS, Digits, json_object
from nnscratch.datasets.tables.text import DIGITS, number_pattern, unit_behind
from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import printable
from nnscratch.results.model import Model
from nnscratch.serve.limits import Limits, Refusal
from nnscratch.serve.row import Row

LONGEST_TEXT = 100
"""Characters of a cell that is compared with others: of more, patterns take long."""
NUMBERS = tuple(map(number_pattern, DIGITS))


def read_json(model: Model, data: bytes, limits: Limits) -> list[Row]:
    """The rows in a JSON text. Raises Refusal when it is none, and when there are too many."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal(422, "JSON is UTF-8, and this is not") from None
    try:
        value = json.loads(text)
    except RecursionError:
        raise Refusal(422, "no JSON: nested too deeply") from None
    except ValueError as error:
        rows = _lines(model, text, limits)
        if all(isinstance(row.values, str) for row in rows):
            raise Refusal(422, f"no JSON: {error}") from None
        return rows
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
        exact = json.loads(text, parse_float=Digits, parse_int=Digits)
        objects = exact if isinstance(exact, list) else [exact]
        limits.check_rows(len(objects))
        return [Row(f"row {number}", _object(model, each)) for number, each in enumerate(objects, start=1)]
    if not isinstance(value, list) or not value:
        raise Refusal(422, "this JSON holds no rows: they are objects, or lists of numbers")
    return [Row(f"row {number}", row) for number, row in enumerate(_lists(model, value, limits), start=1)]


def marks_said(values: dict[str, Any], numbers: Container[str]) -> object:
    """What the texts of a row say of the decimal mark of its numbers; rows that say the same have the same.

    Where no number is a text, that is nothing: JSON's own numbers have a point.
    """
    texts = {
        name: cell.strip()
        for name, cell in values.items()
        if isinstance(cell, str) and not (name in numbers and isinstance(cell, Digits))
    }
    if not any(name in numbers for name in texts):
        return ()
    if max(map(len, texts.values())) > LONGEST_TEXT:
        return object()
    return tuple(
        (name, len(cell) > EXACT_DIGITS, unit_behind(cell), *(re.match(each, cell) is None for each in NUMBERS))
        for name, cell in sorted(texts.items())
    )


def _lines(model: Model, text: str, limits: Limits) -> list[Row]:
    """An object in each line; a line that is none is an error of its own."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    rows = []
    for number, line in lines[: limits.rows + 1]:
        try:
            values = _object(model, json_object(line))
        except ValueError as error:
            values = f"no JSON object: {error}"
        rows.append(Row(f"line {number}", values))
    return rows


def _object(model: Model, value: Any) -> Array | dict[str, Any] | str:
    """An object, which a table's encoding makes a row of later, or the row where there is none."""
    if not isinstance(value, dict):
        return "not an object, as others are"
    if model.loaded.encoding is not None:
        return value
    if model.feature_names is None:
        picture = "pictures as they are (multipart/form-data), or " if model.loaded.takes_images else ""
        return f"the run's data had no names of columns; send {picture}lists of numbers"
    return _only(
        _stored(model, {name: float(each) if isinstance(each, Digits) else each for name, each in value.items()})
    )


def _lists(model: Model, values: list[Any], limits: Limits) -> list[Array | str]:
    """Rows of numbers in the order of the inputs: all at once where none of them is in error."""
    whole = _stored(model, values)
    if not isinstance(whole, str):
        limits.check_rows(len(whole))
        return list(whole)
    if isinstance(values[0], list) and len(values) > 1:
        limits.check_rows(len(values))
        each = [_only(_stored(model, row)) for row in values]
        if not all(isinstance(row, str) for row in each):
            return each
    return [whole]


def _only(rows: Array | str) -> Array | str:
    """The row itself, of what may be in error or several rows."""
    if isinstance(rows, str):
        return rows
    return np.asarray(rows[0]) if len(rows) == 1 else "rows within rows"


def _stored(model: Model, values: list[Any] | dict[str, Any]) -> Array | str:
    """The rows (N, ...) as the data is stored, or in words what is wrong with them.

    Lists become an array here: to a Model, text in a list is the name of a file.
    """
    try:
        if isinstance(values, dict):
            return model.stored(values)
        numbers = np.asarray(values)
        if numbers.dtype == object and all(isinstance(each, int | float) for each in numbers.ravel()):
            numbers = numbers.astype(np.float64)  # whole numbers that no int64 holds
        if numbers.dtype.kind not in "biuf":
            return "a list holds numbers alone; text and gaps go into an object by the columns' names"
        return model.stored(numbers)
    except UserError as error:
        return printable(error.message.removeprefix("x: "))
    except OverflowError:
        return "holds a number larger than any here"
    except ValueError:
        return "its rows do not have the same number of values"
