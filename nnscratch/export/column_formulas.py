"""How a table's columns become features, for an exported model.py: the source of what is needed is copied there.

So they stand alone, as `formulas`. A column is a dict of what was learned from its training rows: how its cells are
written, `fill` for a gap, `flag` when a feature says so. A cell is text as in a CSV file, a number, or None for a gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array


def encode(rows: Any, columns: Any, gaps: Any, missing: str, unknown: str) -> Array:
    """Features (N, D) of rows, dicts of cells by column. Raises ValueError for a cell that is none of its kind."""
    kinds = {"number": read_number, "boolean": read_boolean, "category": read_category, "date": read_date}
    blocks = []
    for column in columns:
        values = np.empty(len(rows))
        for index, row in enumerate(rows):
            cell = row[column["name"]]
            text = "" if cell is None or cell != cell else str(cell).strip()
            is_level = column["kind"] == "category" and text in column["levels"]
            if text.lower() in gaps and not is_level:
                if missing in ("error", "drop"):
                    raise ValueError(f"row {index + 1}: {column['name']!r} is empty")
                values[index] = np.nan
                continue
            try:
                values[index] = kinds[column["kind"]](cell if isinstance(cell, (int, float)) else text, column)
            except (ValueError, KeyError):
                raise ValueError(f"row {index + 1}: {column['name']!r} is {text!r:.40}") from None
            if unknown == "error" and column["kind"] == "category" and values[index] < 0:
                raise ValueError(f"row {index + 1}: {column['name']!r} is {text!r:.40}, which no training row was")
        blocks.append(column_features(values, column))
    return np.hstack(blocks).astype(np.float32)


def column_features(values: Array, column: Any) -> Array:
    """The features (N, width) of a column's values (N,), NaN where there is a gap."""
    is_gap = np.isnan(values)
    x = np.where(is_gap, column["fill"], values)
    if column["kind"] == "category":  # a 1 in the level's own feature, or in that of all others
        own, width = column["own"], column["own"] + (column["own"] < len(column["levels"]))
        place = np.where((x < 0) | (x >= own), own, x)
        block = (place[:, np.newaxis] == np.arange(width)).astype(float)
    elif column["kind"] == "date":
        block = date_features(x, column)
    else:
        block = (x - column.get("centre", 0.0))[:, np.newaxis]
    return np.column_stack([block, is_gap]) if column["flag"] else block


def read_number(cell: Any, column: Any) -> float:
    """A number with the column's decimal mark; thousands separators, a currency and a percent sign are taken off."""
    import re

    if not isinstance(cell, str):
        return float(cell)
    if not re.match(column["pattern"], cell):
        value = float(cell)  # in Python's own notation, or an error
        if column["decimal"] == "," or not np.isfinite(value):
            raise ValueError(cell)
        return value
    plain = re.sub(column["units"], "", re.sub("[−–]", "-", cell))
    if plain.startswith("("):  # as accountants write what is negative
        plain = "-" + plain[1:-1]
    return float(plain.replace(",", "") if column["decimal"] == "." else plain.replace(".", "").replace(",", "."))


def read_boolean(cell: Any, column: Any) -> float:
    """1 for yes, 0 for no."""
    return float(column["codes"][f"{cell:g}" if isinstance(cell, (int, float)) else cell.lower()])


def read_category(cell: Any, column: Any) -> float:
    """The place of the cell among the levels; -1 for a level that no training row had."""
    text = f"{cell:.17g}" if isinstance(cell, float) else str(cell)
    return float(column["levels"].index(text)) if text in column["levels"] else -1.0


def read_date(cell: Any, column: Any) -> float:
    """Seconds since 1970, UTC, of a moment in one of the column's notations; a number is these seconds itself."""
    from datetime import UTC, datetime

    if not isinstance(cell, str):
        return float(cell)
    for prefix, notation in column["notations"]:
        try:
            moment = datetime.strptime(prefix + cell, notation)
        except ValueError:
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise ValueError(cell)


def date_features(x: Array, column: Any) -> Array:
    """Days since the first, and where in the year, the week and the day, as sin and cos of a circle, for seconds x."""
    days = np.floor(x / 86400)
    date = days.astype("datetime64[D]")
    year = date.astype("datetime64[Y]")
    first, following = (each.astype("datetime64[D]").astype(float) for each in (year, year + 1))
    turns = {
        "year": (days - first) / (following - first),
        "week": np.mod(days + 3, 7) / 7,  # from Monday; 1970 began on a Thursday
        "day": np.mod(x, 86400) / 86400,
    }
    angles = [2 * np.pi * turns[part] for part in column["parts"]]
    return np.column_stack([(x - column["origin"]) / 86400, *(f(a) for a in angles for f in (np.sin, np.cos))])


def read_table(path: str, names: list[str]) -> Any:
    """The rows of a CSV file as dicts of text by column; `names` are its columns where it does not name them."""
    import csv

    with open(path, newline="", encoding="utf-8-sig") as file:
        separator = max(",;\t|", key=file.readline().count)
        file.seek(0)
        return list(csv.DictReader(file, names or None, delimiter=separator))
