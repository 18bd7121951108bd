"""Rows in JSON: objects by the columns' names, or lists of numbers; a list of them, one alone, or one in each line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nnscratch.datasets.tables.json_text import Digits, json_object
from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import printable
from nnscratch.results.model import Model
from nnscratch.results.predict import read_item
from nnscratch.results.prediction_inputs import json_line_items
from nnscratch.results.prediction_tables import Item, record_items
from nnscratch.serve.limits import Limits, Refusal
from nnscratch.serve.row import Row


def read_json(model: Model, data: bytes, limits: Limits) -> Iterator[Row]:
    """The rows in a JSON text. Raises Refusal when it is none, and when there are too many."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal(422, "JSON is UTF-8, and this is not") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        if len(lines) == 1 or not any(_is_object(line) for _, line in lines):
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise Refusal(422, f"no JSON: {reason}") from None
        limits.check_rows(len(lines))
        return _of_items(json_line_items(model.loaded, lines, ()), "line")
    if isinstance(value, dict):
        value, text = [value], f"[{text}]"
    if not isinstance(value, list):
        raise Refusal(422, "this JSON holds no rows: they are objects or lists of numbers")
    if any(isinstance(each, dict) for each in value):
        limits.check_rows(len(value))
        return _objects(model, text, value)
    return _lists(model, value, limits)


def _is_object(line: str) -> bool:
    try:
        json_object(line)
    except ValueError:
        return False
    return True


def _objects(model: Model, text: str, values: Sequence[Any]) -> Iterator[Row]:
    """Rows by the columns' names, each as `predict` takes a line of JSON."""
    errors = {
        number: "not an object, as others are"
        for number, each in enumerate(values, start=1)
        if not isinstance(each, dict)
    }
    own: dict[int, Row] = {number: Row(f"row {number}", error) for number, error in errors.items()}
    if model.loaded.encoding is None:
        own |= {
            number: Row(f"row {number}", _only(_stored(model, each)))
            for number, each in enumerate(values, start=1)
            if number not in errors
        }
    else:
        exact = json.loads(text, parse_float=Digits, parse_int=Digits)
        records = [(number, each) for number, each in enumerate(exact, start=1) if number not in errors]
        read = _of_items(record_items(model.loaded, records, ()), "row")
        own |= {number: row for (number, _), row in zip(records, read, strict=True)}
    return (own[number] for number in sorted(own))


def _of_items(items: Iterable[Item], what: str) -> Iterator[Row]:
    try:
        for item in items:
            yield Row(f"{what} {item.name.rpartition(':')[2]}", read_item(item))
    except UserError as error:
        raise Refusal(422, printable(error.message)) from None


def _lists(model: Model, values: list[Any], limits: Limits) -> Iterator[Row]:
    """Rows of numbers in the order of the inputs: all at once where none of them is in error."""
    if not values:
        raise Refusal(422, "this JSON holds no rows: the list is empty")
    whole = _stored(model, values)
    if isinstance(whole, str) and isinstance(values[0], list) and len(values) > 1:
        limits.check_rows(len(values))
        each = [_stored(model, row) for row in values]
        if not all(isinstance(row, str) for row in each):
            return (Row(f"row {number}", _only(row)) for number, row in enumerate(each, start=1))
    rows: list[Array | str] = [whole] if isinstance(whole, str) else list(whole)
    limits.check_rows(len(rows))
    return (Row(f"row {number}", row) for number, row in enumerate(rows, start=1))


def _only(rows: Array | str) -> Array | str:
    """The row itself, of what may be in error or several rows."""
    if isinstance(rows, str):
        return rows
    row: Array | str = rows[0] if len(rows) == 1 else "rows within rows"
    return row


def _stored(model: Model, values: Any) -> Array | str:
    """The rows (N, ...) as the data is stored, or in words what is wrong with them."""
    try:
        if not isinstance(values, dict):
            values = np.asarray(values)
            if values.dtype.kind not in "biuf":
                return "a list holds numbers alone; text and gaps go into an object by the columns' names"
        return model.stored(values)
    except UserError as error:
        return printable(error.message.removeprefix("x: "))
    except ValueError:
        return "its rows do not have the same number of values"
