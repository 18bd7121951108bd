"""Which kind each column of a table is: what its cells speak for, or what the config says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnscratch.datasets.formats.folder import natural
from nnscratch.datasets.tables.columns import Boolean, Category, Column, Date, Number
from nnscratch.datasets.tables.dates import almost_date, are_compact_dates, date_notations, date_of
from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.parsing import (
    COMPACT,
    Decimal,
    as_text,
    dates_by_format,
    fitting_mark,
    has_fractions,
    known_cells,
    stripped,
)
from nnscratch.datasets.tables.reader import TextTable
from nnscratch.datasets.tables.text import CURRENCIES, EXACT, LARGEST, WORDS, Values
from nnscratch.datasets.tables.units import may_be_units, unit_of, units_of, without_unit
from nnscratch.datasets.task import doubt_of_classes
from nnscratch.errors import DataError

FEW = 20
"""With no more distinct values than this, text is a category whatever else it looks like."""
SAME_UNIT = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
LONG = 60
"""Characters that a level of a category has at most, on average."""
ID_NAME = re.compile(
    r"(.*[_ .-])?(id|ids|uuid|guid|index|idx|obs|rowid|rownames?|row[_ ]?(number|nr|no)?|nr|no|key|.*Id|#)|unnamed:.*"
)


@dataclass(frozen=True)
class Decision:
    """A column with the kind that was taken, or None when it is left out; and why."""

    column: Column | None
    why: str
    warning: str = ""


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
        # What is broken was read with a point.
        mark = "." if has_fractions(cells.to_numpy()) else decimal
        return _number(table, Number(name, decimal=mark), is_target)
    known = known_cells(cells)
    if not len(known):
        return Decision(None, "every cell is a gap")
    number = _number_of(name, known, decimal)
    if number.unit and not _is_quantity(table, number, known, is_target):
        number = Number(name, decimal=fitting_mark(known, decimal))
    numbers, bad = number.read(known)
    if not bad.any():
        is_padded = known.str.contains(r"^[+-]?0\d+$").any()
        if is_padded or (np.max(np.abs(numbers)) >= EXACT and len(np.unique(numbers)) < len(known)):
            decision = _text(table, name, known, is_target)
            what = "written with leading zeros" if is_padded else "of more digits than a number has here"
            return Decision(decision.column, f"numbers {what}; {decision.why}")
        decision = _number(table, number, is_target)
        mixed = _mixed_units(name, known, number.unit or "%")
        return decision if decision.column is None else replace(decision, warning=mixed)
    too_large = known.filter(pl.Series(bad)).cast(pl.Float64, strict=False).abs() > LARGEST
    is_almost = len(known) > FEW and bool(np.mean(bad) <= 0.1)
    if is_almost and not is_target and (taken := _with_own_gap(table, number, known.filter(pl.Series(bad)))):
        return taken
    if too_large.fill_null(value=False).all() or is_almost:
        raise _not_of_kind(table, name, number)
    lower = set(known.str.to_lowercase())
    words = next((pair for pair in WORDS if lower <= set(pair)), None)
    if words is not None:
        return Decision(Boolean(name, words=words), f"{' and '.join(sorted(lower))}")
    if (date := date_of(name, known)) is not None:
        return Decision(date[0], f"every cell is a date, {date[0].format}", date[1])
    return _text_or_almost(table, known, almost_date(name, known) or number, is_target)


def _is_quantity(table: TextTable, number: Number, known: pl.Series, is_target: bool) -> bool:
    """Whether numbers with a unit are meant as such, and not as a few texts, or as the names of classes."""
    if not is_target:
        return len(known) > FEW or _are_names(len(known), len(table))
    values, _ = number.read(known)
    return doubt_of_classes(known, len(table)) is not None or has_fractions(values)


def _text_or_almost(table: TextTable, known: pl.Series, almost: Column, is_target: bool) -> Decision:
    """The kind of cells that are no numbers or dates: text that may be meant, and what they are almost."""
    name = almost.name
    _, bad = almost.read(known)
    if isinstance(almost, Date) and len(known) > FEW and np.mean(bad) <= 0.1:
        raise _not_of_kind(table, name, almost)
    decision = _text(table, name, known, is_target)
    fate = "is taken for a category" if decision.column is not None else "is left out"
    if notations := date_notations(known):
        wrong = f"it has dates in {len(notations)} notations, such as {', '.join(map(repr, notations))}"
        remedy = "write them all alike, such as 2024-12-31, to have it as a date"
    elif len(known) > FEW and len(units := units_of(known)) > 1 and may_be_units(units):
        wrong = f"its numbers have different texts behind them, {', '.join(map(repr, units))}"
        remedy = "give all in one unit to have it as a number"
    elif 0 < np.mean(bad) < 0.5:
        odd = [repr(cell) for cell in known.filter(pl.Series(bad)).sort()[:3]]
        wrong = f"{', '.join(odd)} {f'is no {almost.kind}' if len(odd) == 1 else f'are no {almost.kind}s'}"
        remedy = f"empty such cells to have it as a {almost.kind}"
    else:
        return decision
    meant = f"(columns: {{{name}: category}} says that it is meant)"
    return replace(decision, warning=f"column {name!r} {fate}, as {wrong}; {remedy} {meant}")


def _number(table: TextTable, column: Number, is_target: bool) -> Decision:
    name = column.name
    values, _ = column.read(table.column(name))
    known = values[~np.isnan(values)]
    if not is_target and are_compact_dates(known):
        return Decision(Date(name, format=COMPACT), "every cell is a date like 20240131")
    is_whole_and_unique = bool(np.all(known == np.rint(known))) and len(known) == len(np.unique(known)) > 1
    if is_whole_and_unique and len(known) == len(values) and not is_target:
        counts = bool(np.all(np.diff(known) == 1)) and known[0] in (0, 1)
        if not name or ID_NAME.fullmatch(name.lower()) or ID_NAME.fullmatch(name):
            what = "counts the rows" if counts else "is another number in every row"
            return Decision(None, f"a row's name: it {what}" + ("" if name else " and has no name"))
    unit = f", with {column.unit} behind it" if column.unit else ""
    return Decision(column, "every cell is a number" + (" or a gap" if len(known) < len(values) else "") + unit)


def _with_own_gap(table: TextTable, number: Number, odd: pl.Series) -> Decision | None:
    """The numbers of a column where one text comes again and again, as for a gap; None when what is odd may be else.

    What comes once may be a slip, and what has digits, such as <5, says something of the number.
    """
    name, word = number.name, odd[0]
    count = int((stripped(table.column(name)) == word).sum())
    if len(odd) > 1 or count < 2 or not re.fullmatch(r"\D{1,20}", word):
        return None
    warning = (
        f"column {name!r} has {word!r} in {count:,} cells and else numbers: it is taken for a gap "
        f"(columns: {{{name}: number}} refuses it, {{{name}: category}} makes levels of all)"
    )
    return Decision(replace(number, gap=word), "every cell is a number or a gap", warning)


def _mixed_units(name: str, known: pl.Series, unit: str) -> str:
    """What is to be said of a column whose unit or percent sign some cells lack, or with several currencies."""
    has_unit = known.str.contains(unit, literal=True)
    others = known.filter(~has_unit)
    if has_unit.any() and not others.str.contains(r"^[0.,]+$").all():
        called = "a percent sign" if unit == "%" else unit
        return (
            f"column {name!r} has numbers with {called} and without: 12 {unit} is read as 12, {others.sort()[0]} as it "
            "stands"
        )
    found = known.str.extract(rf"({CURRENCIES})").drop_nulls().unique().to_list()
    units = {SAME_UNIT.get(unit, unit) for unit in found}
    if len(units) < 2:
        return ""
    return f"column {name!r} has amounts in {', '.join(sorted(found))}: they are not converted"


def _text(table: TextTable, name: str, known: pl.Series, is_target: bool) -> Decision:
    levels = natural_order(known.to_list())
    column = Category(name, levels=tuple(levels), own=len(levels))
    why = f"text with {len(levels)} level{'s' if len(levels) > 1 else ''}"
    warning = _alike(name, levels)
    if is_target:
        return Decision(column, why, warning)
    rows = len(table)
    if ID_NAME.fullmatch(name.lower()) and len(levels) == rows > 1:
        return Decision(None, "a row's name: it is another in every row")
    average = sum(map(len, levels)) / len(levels)
    if len(levels) > 10 and average > LONG:
        return Decision(None, f"free text: {average:.0f} characters on average")
    if _are_names(len(levels), rows):
        return Decision(None, f"names or free text: {len(levels):,} different cells in {rows:,} rows")
    return Decision(column, why, warning)


def _are_names(levels: int, rows: int) -> bool:
    """Whether so many different texts hardly come twice."""
    return levels > 10 and levels * 2 > rows


def _alike(name: str, levels: Sequence[str]) -> str:
    """What is to be said of levels that differ in capitals alone."""
    by_letters: dict[str, list[str]] = {}
    for level in levels:
        by_letters.setdefault(level.casefold(), []).append(level)
    alike = [", ".join(map(repr, each)) for each in by_letters.values() if len(each) > 1]
    if not alike:
        return ""
    more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
    return f"column {name!r} has levels that differ in capitals alone, each its own: {alike[0]}{more}; write them alike"


def _as_configured(table: TextTable, name: str, decimal: Decimal, kind: str) -> Decision:
    cells = table.column(name)
    known = known_cells(as_text(cells), with_words=kind == "category")
    column: Column
    if kind == "number":
        column = as_number(table, name, decimal)
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
        date = date_of(name, known)
        if date is None:
            raise _not_of_kind(table, name, almost_date(name, known) or Date(name))
        return Decision(date[0], "as configured", date[1])
    if column.read(cells)[1].any():
        raise _not_of_kind(table, name, column)
    return Decision(column, "as configured")


def as_number(table: TextTable, name: str, decimal: Decimal, unit: str | None = None) -> Number:
    """A column of numbers, with the decimal mark of the table or, where more of its cells have it, the other.

    Its unit is that which its cells have, unless it is given.
    """
    cells = table.column(name)
    return _number_of(name, cells if cells.dtype == pl.Float64 else known_cells(cells), decimal, unit)


def _number_of(name: str, known: pl.Series, decimal: Decimal, unit: str | None = None) -> Number:
    unit = unit_of(known) if unit is None else unit
    return Number(name, decimal=fitting_mark(without_unit(known, unit), decimal), unit=unit)


def _not_of_kind(table: TextTable, name: str, column: Column) -> DataError:
    """What is wrong with a column that is almost, or should be, of that kind."""
    cells = table.column(name)
    _, bad = column.read(cells)
    if isinstance(column, Date) and not bad.any():  # in ISO's notation, of which there may be some to predict
        _, bad = dates_by_format(cells, [column.format])[column.format]
    rows = np.flatnonzero(bad)
    row = int(rows[0])
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
