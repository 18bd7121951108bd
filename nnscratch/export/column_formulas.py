"""How a table's columns become features, for an exported model.py: the source of what is needed is copied there.

So they stand alone, as `formulas`. A column is a dict of what was learned from its training rows: how its cells are
written, `fill` for a gap, `flag` when a feature says so. A cell is text as in a CSV file, a number, or None for a gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array


def encode(
    rows: Any, columns: Any, patterns: Any, gaps: Any, missing: str, unknown: str
) -> tuple[Array, dict[int, str]]:
    """Features (N, D) of rows, dicts of cells by column, and of each row that has a wrong cell what is wrong."""
    lacking = [column["name"] for column in columns if any(column["name"] not in row for row in rows)]
    if lacking:
        raise ValueError("no column " + ", ".join(map(repr, lacking[:10])))
    kinds = {"number": read_number, "boolean": read_boolean, "category": read_category, "date": read_date}
    marks = decimal_marks(rows, columns, patterns, gaps)
    blocks = []
    errors: dict[int, str] = {}
    for column in columns:
        name, kind, values = column["name"], column["kind"], np.full(len(rows), np.nan)
        if kind == "number":
            column = {**column, "decimal": marks[name], "pattern": patterns[marks[name]]}
        for index, row in enumerate(rows):
            cell = row[name].item() if isinstance(row[name], np.generic) else row[name]
            text, wrong = text_of(cell), ""
            is_number = isinstance(cell, (int, float))
            if (text.lower() in gaps or text == column.get("gap")) and text not in column.get("levels", ()):
                wrong = "is empty" if missing in ("error", "drop") else ""
            else:
                bare = text if is_number else without_unit(text, column)
                try:
                    values[index] = kinds[kind](cell if is_number and kind == "number" else bare, column)
                    if column.get("unit_is_needed") and values[index] and bare == text:
                        raise ValueError(text)
                except (ValueError, KeyError):
                    wrong = f"is {text[:40]!r}, not a {kind}"
                if unknown == "error" and kind == "category" and values[index] < 0:
                    wrong = f"is {text[:40]!r}, a level that no training row has"
            if wrong:
                errors.setdefault(index, f"column {name!r} {wrong}")
        blocks.append(column_features(values, column))
    return np.hstack(blocks).astype(np.float32), errors


def text_of(cell: Any) -> str:
    """A cell as a CSV file has it, without blanks around it: a number in its fewest digits, "" for a gap."""
    import json

    if cell is None or cell != cell:
        return ""
    return json.dumps(cell) if isinstance(cell, (int, float)) else str(cell).strip()


def decimal_marks(rows: Any, columns: Any, patterns: Any, gaps: Any) -> dict[str, str]:
    """The decimal mark of each column of numbers: the one with which more of its different cells are numbers.

    Of a column that leaves it open, that of training, unless more columns of the rows need the other, those not
    counted that had the other in training.
    """
    import re

    numbers = {each["name"]: each for each in columns if each["kind"] == "number"}
    trained = {name: each["decimal"] for name, each in numbers.items()}
    fitting, needed = {}, {}
    for name in rows[0] if rows else ():
        texts = {row[name] for row in rows if isinstance(row.get(name), str)}
        cells = {without_unit(text.strip(), numbers.get(name, {})) for text in texts}
        known = [cell for cell in cells if cell.lower() not in gaps]
        points, commas = (sum(re.match(patterns[mark], cell) is not None for cell in known) for mark in ".,")
        if points != commas:
            fitting[name] = "," if commas > points else "."
            if 2 * max(points, commas) >= len(known):  # a text's few numbers say nothing
                needed[name] = fitting[name]
    marks = {}
    for name, own in trained.items():
        changed = [each for each, mark in needed.items() if mark != own and trained.get(each) != mark]
        is_other = len(changed) > list(needed.values()).count(own)
        marks[name] = fitting.get(name, {".": ",", ",": "."}[own] if is_other else own)
    return marks


def without_unit(cell: Any, column: Any) -> Any:
    """A cell of text without the unit that stands behind the column's numbers."""
    import re

    return re.sub(column["unit"], r"\1", cell.strip()) if "unit" in column and isinstance(cell, str) else cell


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

    if isinstance(cell, str):
        if not re.match(column["pattern"], cell):
            raise ValueError(cell)
        cell = re.sub(column["units"], "", re.sub("[−–]", "-", cell))
        if cell.startswith("("):  # as accountants write what is negative
            cell = "-" + cell[1:-1]
        cell = cell.replace(",", "") if column["decimal"] == "." else cell.replace(".", "").replace(",", ".")
    if abs(value := float(cell)) > float(np.finfo(np.float32).max):
        raise ValueError(cell)
    return value


def read_boolean(text: str, column: Any) -> float:
    """1 for yes, 0 for no."""
    codes = column["codes"]
    return float(codes[list(codes)[place_of(text.lower(), codes)]])


def read_category(text: str, column: Any) -> float:
    """The place of the cell among the levels; -1 for a level that no training row had."""
    try:
        return float(place_of(text, column["levels"]))
    except KeyError:
        return -1.0


def place_of(text: str, names: Any) -> int:
    """Where a text stands among names; as a whole number 1.0 is 1, and 1 is 1.0."""
    import re

    if text in names:
        return list(names).index(text)
    wholes = [re.sub(r"^([+-]?\d+)\.0+$", r"\1", each) for each in (text, *names)]
    if wholes[1:].count(wholes[0]) != 1:
        raise KeyError(text)
    return wholes[1:].index(wholes[0])


def read_date(text: str, column: Any) -> float:
    """Seconds since 1970, UTC, of a moment in one of the column's notations."""
    import re
    from datetime import UTC, datetime

    for prefix, notation, pattern in column["notations"]:
        cell = re.sub(r"([zZ]|\s(?:GMT|UTC))$", "+0000", text) if "%z" in notation else text
        cell = re.sub(r"(\.\d{6})\d+", r"\1", cell) if "%f" in notation else cell
        try:
            moment = datetime.strptime(prefix + cell, notation)
        except ValueError:
            continue
        if "%y" in notation and moment.year == 1969:  # as the run reads 69
            moment = moment.replace(year=2069)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if column["earliest"] < seconds < column["latest"] and re.search(pattern, text):
            return seconds
    raise ValueError(text)


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
