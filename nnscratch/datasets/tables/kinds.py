"""Which kind each column of a table is: what its cells speak for, or what the config says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nnscratch.datasets.formats.folder import natural
from nnscratch.datasets.tables.columns import Boolean, Category, Column, Date, Number
from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.parsing import FORMATS, as_text, known_cells, read_dates, read_numbers
from nnscratch.datasets.tables.reader import TextTable
from nnscratch.datasets.tables.text import WORDS, Values, number_pattern
from nnscratch.errors import DataError

Decimal = Literal[".", ","]

FEW = 20
"""With no more distinct values than this, text is a category whatever else it looks like."""
LONG = 60
"""Characters that a level of a category has at most, on average."""
ID_NAME = re.compile(
    r"(.*[_ .-])?(id|ids|uuid|guid|index|idx|obs|rowid|rownames?|row[_ ]?(number|nr|no)?|nr|no|key|.*Id)|unnamed:.*"
)


@dataclass(frozen=True)
class Decision:
    """A column with the kind that was taken, or None when it is left out; and why."""

    column: Column | None
    why: str
    warning: str = ""


def decimal_mark(table: TextTable, given: Decimal | None) -> tuple[Decimal, str]:
    """The decimal mark of a table, and why: the comma where more columns need it than the point."""
    if given is not None:
        return given, "as configured"
    need: dict[str, list[str]] = {".": [], ",": []}
    for name, cells in zip(table.names, table.columns, strict=True):
        if cells.dtype == pl.Float64:
            values = cells.to_numpy()[:1000]
            need["."] += [name] if np.any(np.mod(values, 1) > 0) else []
            continue
        known = known_cells(cells[:2000])
        if len(known):
            fits = {mark: bool(known.str.contains(number_pattern(mark)).all()) for mark in need}
            need["."] += [name] if fits["."] and not fits[","] else []
            need[","] += [name] if fits[","] and not fits["."] else []
    if len(need[","]) > len(need["."]):
        return ",", f"column {need[','][0]!r} has numbers with a comma"
    return ".", ""


def decide(
    table: TextTable, name: str, decimal: Decimal, given: Mapping[str, str], *, is_target: bool = False
) -> Decision:
    """The kind of one column. Raises DataError for cells that are not of the kind that was asked for.

    A target is never left out.
    """
    cells = table.column(name)
    if name in given and given[name] != "ignore":
        return _as_configured(table, name, decimal, given[name])
    if given.get(name) == "ignore":
        return Decision(None, "as configured")
    if cells.dtype == pl.Float64:
        return _number(table, name, decimal, is_target)
    known = known_cells(cells)
    if not len(known):
        return Decision(None, "every cell is a gap")
    decimal = _fitting(known, decimal)
    _, bad = read_numbers(known, decimal)
    if not bad.any():
        if known.str.contains(r"^[+-]?0\d+$").any():
            decision = _text(table, name, known, is_target)
            return Decision(decision.column, f"numbers written with leading zeros; {decision.why}")
        return _number(table, name, decimal, is_target)
    too_large = known.filter(pl.Series(bad)).cast(pl.Float64, strict=False).is_not_null().all()
    if too_large or (len(known) > FEW and np.mean(bad) <= 0.1):
        raise _not_of_kind(table, name, Number(name, decimal=decimal))
    lower = set(known.str.to_lowercase())
    words = next((pair for pair in WORDS if lower <= set(pair)), None)
    if words is not None:
        return Decision(Boolean(name, words=words), f"{' and '.join(sorted(lower))}")
    if (date := _date(name, known)) is not None:
        return date
    decision = _text(table, name, known, is_target)
    if decision.column is not None and not bad.all() and np.mean(bad) < 0.5:
        odd = ", ".join(repr(cell) for cell in known.filter(pl.Series(bad))[:3])
        return Decision(
            decision.column,
            decision.why,
            f"column {name!r} is taken for a category, as {odd} is no number; "
            f"empty such cells to have it as a number (columns: {{{name}: category}} says that it is meant)",
        )
    return decision


def _fitting(known: pl.Series, decimal: Decimal) -> Decimal:
    """The table's decimal mark, or the other where all numbers of this column have that one."""
    other: Decimal = "," if decimal == "." else "."
    return other if read_numbers(known, decimal)[1].any() and not read_numbers(known, other)[1].any() else decimal


def _number(table: TextTable, name: str, decimal: Decimal, is_target: bool) -> Decision:
    column = Number(name, decimal=decimal)
    values, _ = column.read(table.column(name))
    known = values[~np.isnan(values)]
    is_whole_and_unique = len(known) == len(np.unique(known)) > 1 and bool(np.all(known == np.rint(known)))
    if is_whole_and_unique and len(known) == len(values) and not is_target:
        counts = bool(np.all(np.diff(known) == 1)) and known[0] in (0, 1)
        if not name or ID_NAME.fullmatch(name.lower()) or ID_NAME.fullmatch(name):
            what = "counts the rows" if counts else "is another number in every row"
            return Decision(None, f"a row's name: it {what}" + ("" if name else " and has no name"))
    return Decision(column, "every cell is a number" + (" or a gap" if len(known) < len(values) else ""))


def _date(name: str, known: pl.Series) -> Decision | None:
    fitting: list[str] = []
    if not known[:20].str.contains(r"\d").all():  # no need to try every format
        return None
    for format in FORMATS:
        if not read_dates(known[:20], format, iso=False)[1].any():
            values, bad = read_dates(known, format, iso=False)
            if not bad.any() and np.all(values > -5.4e9) and np.all(values < 8e9):
                fitting.append(format)
    if not fitting:
        return None
    month_first = fitting[0].startswith(("%m/%d", "%m-%d"))
    swapped = re.sub(r"^%m(.)%d", r"%d\1%m", fitting[0])
    warning = ""
    if month_first and swapped in fitting:
        warning = (
            f"column {name!r} has dates whose month and day could be either: read as {fitting[0]}, the month first; "
            f"write them as 2024-12-31 where that is wrong"
        )
    return Decision(Date(name, format=fitting[0]), f"every cell is a date, {fitting[0]}", warning)


def _text(table: TextTable, name: str, known: pl.Series, is_target: bool) -> Decision:
    levels = natural_order(known.to_list())
    column = Category(name, levels=tuple(levels), own=len(levels))
    why = f"text with {len(levels)} level{'s' if len(levels) > 1 else ''}"
    if is_target:
        return Decision(column, why)
    rows = len(table)
    if ID_NAME.fullmatch(name.lower()) and len(levels) == rows > 1:
        return Decision(None, "a row's name: it is another in every row")
    average = sum(map(len, levels)) / len(levels)
    if len(levels) > 10 and average > LONG:
        return Decision(None, f"free text: {average:.0f} characters on average")
    if len(levels) > 10 and len(levels) * 2 > rows:
        return Decision(None, f"names or free text: {len(levels):,} different cells in {rows:,} rows")
    return Decision(column, why)


def _as_configured(table: TextTable, name: str, decimal: Decimal, kind: str) -> Decision:
    cells = table.column(name)
    known = known_cells(as_text(cells))
    column: Column
    if kind == "number":
        column = Number(name, decimal=_fitting(known, decimal))
    elif kind == "category":
        levels = natural_order(known.to_list())
        column = Category(name, levels=tuple(levels), own=len(levels))
    elif kind == "boolean":
        lower = set(known.str.to_lowercase())
        words = next((pair for pair in WORDS if lower <= set(pair)), None)
        if words is None:
            shown = ", ".join(sorted(lower)[:5])
            raise DataError(
                f"{table.path}: column {name!r} is no boolean: it holds {shown}",
                f"a boolean is {', '.join('/'.join(pair) for pair in WORDS)}",
            )
        column = Boolean(name, words=words)
    else:
        decision = _date(name, known)
        if decision is None or decision.column is None:
            raise _not_of_kind(table, name, Date(name))
        return Decision(decision.column, "as configured", decision.warning)
    if column.read(cells)[1].any():
        raise _not_of_kind(table, name, column)
    return Decision(column, "as configured")


def _not_of_kind(table: TextTable, name: str, column: Column) -> DataError:
    """What is wrong with a column that is almost, or should be, of that kind."""
    _, bad = column.read(table.column(name))
    rows = np.flatnonzero(bad)
    row = int(rows[0]) if len(rows) else 0
    others = f", and {len(rows) - 1:,} more such cells" if len(rows) > 1 else ""
    kinds = "columns" if re.fullmatch(r"\w+", name) else f"columns, {name!r}"
    cell = table.cell(name, row)
    return DataError(
        f"{table.place(row)}: column {name!r} is {cell!r}, not {column.expected(cell)}{others}",
        f"empty such a cell when it is a gap; as a category: data.dataset.{kinds}: {{{name}: category}}, "
        f"or leave the column out: {{{name}: ignore}}",
    )


def natural_order(names: Sequence[str]) -> list[str]:
    """Text sorted as people do: 1, 2, 10; cat2, cat10."""
    return sorted(names, key=lambda name: (natural(name), name))


def read_column(table: TextTable, column: Column) -> Values:
    """The values of a column in that table. Raises DataError, with the place, for a cell that is not of its kind."""
    values, bad = column.read(table.column(column.name))
    if bad.any():
        raise _not_of_kind(table, column.name, column)
    return values
