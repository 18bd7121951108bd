"""Which decimal mark the numbers of a table have: what its columns need, and what is taken where they leave it open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nnscratch.datasets.tables.columns import Column, Number
from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.parsing import OTHER, Decimal, fitting_mark, has_fractions, known_cells
from nnscratch.datasets.tables.reader import TextTable
from nnscratch.datasets.tables.text import number_pattern
from nnscratch.datasets.tables.units import unit_of, without_unit


def decimal_mark(table: TextTable, given: Decimal | None) -> tuple[Decimal, str]:
    """The decimal mark of a table, and why: the comma where more columns need it than the point.

    1,234 and 1.234 need neither. Where nothing else speaks, the mark is the comma in cells that semicolons divide, as
    programs write for whom it is one: 1,234 is broken there, and 1.234 has thousands; else it is the point. Of numbers
    with a point this is the lesser harm: where it is wrong, it makes every such cell a thousand times as large, which
    scaling undoes, while thousands read as broken numbers come out below the 532 beside them.
    """
    if given is not None:
        return given, "as configured"
    need, unclear = needed_marks(table)
    if len(need[","]) > len(need["."]):
        return ",", f"column {table.names[need[','][0]]!r} has numbers with a comma"
    if not unclear or need["."]:
        return ".", ""
    mark: Decimal = "," if _is_of_semicolons(table) else "."
    meant = unclear[0].replace(OTHER[mark], "").replace(",", ".")
    return mark, f"{unclear[0]} could be either, and is taken for {meant} (decimal: {OTHER[mark]!r} overrules)"


def with_marks_of(table: TextTable, columns: Sequence[Column], places: Sequence[int]) -> list[Column]:
    """The columns, which have these places in the table, with the decimal mark of its numbers.

    Another file than that of training may have another one. A column that fits both, such as 1,100, has that of
    training, unless more columns need the other (not counted are those that had the other in training), or nothing
    speaks but semicolons, of which 1,100 has a decimal comma.
    """
    need, unclear = needed_marks(table)
    has_commas = _is_of_semicolons(table) and any("," in cell and "." not in cell for cell in unclear)
    placed = list(zip(places, columns, strict=True))
    trained = {place: column.decimal for place, column in placed if isinstance(column, Number)}
    marked: list[Column] = []
    for place, column in placed:
        if isinstance(column, Number):
            own, other = column.decimal, OTHER[column.decimal]
            changed = [each for each in need[other] if trained.get(each) != other]
            mark = other if len(changed) > len(need[own]) else own
            if has_commas and not changed and not need[own]:
                mark = ","
            column = replace(column, decimal=fitting_mark(without_unit(table.columns[place], column.unit), mark))
        marked.append(column)
    return marked


def _is_of_semicolons(table: TextTable) -> bool:
    """Whether they divide its cells, as programs write for whom the comma is the decimal mark."""
    return any(guess.what == "separator" and guess.taken == ";" for guess in table.guesses)


def needed_marks(table: TextTable) -> tuple[dict[Decimal, list[int]], list[str]]:
    """The places of the columns that need each decimal mark, and a number from each that holds one and needs neither.

    A column says so when half of its cells are numbers: a wrong cell among them does not hide what the others need.
    """
    need: dict[Decimal, list[int]] = {".": [], ",": []}
    unclear = []
    # Numbers of JSON and Parquet have no mark that people chose.
    is_text = any(guess.what == "separator" for guess in table.guesses)
    for place, cells in enumerate(table.columns):
        if cells.dtype == pl.Float64:
            need["."] += [place] if is_text and has_fractions(cells.to_numpy()[:1000]) else []
            continue
        known = known_cells(cells[:2000])
        known = without_unit(known, unit_of(known))
        with_point, with_comma = (known.str.contains(number_pattern(mark)) for mark in need)
        points, commas = with_point.sum(), with_comma.sum()
        if 2 * max(points, commas) < len(known):
            continue
        need["."] += [place] if points > commas else []
        need[","] += [place] if commas > points else []
        if points == commas:
            unclear += known.filter(with_point & with_comma & known.str.contains("[.,]")).sort()[:1].to_list()
    return need, unclear
