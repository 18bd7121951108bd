"""Whether the first row of a table names the columns, and what they are called."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from nnscratch.datasets.tables.text import is_gap, looks_like_number, unit_behind
from nnscratch.errors import DataError

TARGET_NAMES = ("label", "target", "class", "y")


def likeness(name: str) -> tuple[int, bool]:
    """By which of several columns that have such a name, in whatever letters, the target comes first."""
    return TARGET_NAMES.index(name.lower()), name not in TARGET_NAMES


def first_row_is_header(rows: list[list[str]], width: int) -> tuple[bool, str]:
    """Whether the first of the rows names the columns, and why.

    It does when a column has text over numbers; when it has no number and what it says does not come again below; when
    it counts through columns (0, 1, 2, label) or years; never when a cell is a gap, but for the first of a
    counting row.
    """
    first, below = [cell.strip() for cell in rows[0]], [row for row in rows[1:] if len(row) == width]
    numbers = [cell for cell in first if looks_like_number(cell)]
    if _counts(numbers) and len(numbers) >= len(first) - 1 and len(first) > 2 and _is_name_or_corner(first):
        return True, "the first row counts the columns"
    if _counts_alone(first) and not any(_counts([cell.strip() for cell in row]) for row in below[:20]):
        return True, "the first row counts on, no row below does"
    texts = [index for index, cell in enumerate(first) if not looks_like_number(cell) and not is_gap(cell)]
    if not texts:
        return False, "the first row has no text"
    offset = width - len(first)  # of R, whose header has no name for the row names
    over = [
        index
        for index in texts
        if any(0 <= index + offset < len(row) and looks_like_number(row[index + offset].strip()) for row in below[:1])
    ]
    if over:
        return True, f"{first[over[0]]!r} stands over numbers"
    again = [index for index in texts if any(len(row) > index and row[index].strip() == first[index] for row in below)]
    if numbers:
        if len(numbers) > 2 and _counts(numbers) and not again:
            return True, "the numbers of the first row count on"
        return False, f"{numbers[0]!r} in the first row is a number"
    if len(set(filled := [cell for cell in first if cell])) < len(filled) and below:
        return False, "its cells repeat"
    if any(is_gap(cell) for cell in first[1:]) and below:
        return False, "the first row has gaps"
    if again and len(again) * 2 >= len(texts):
        return False, f"{first[again[0]]!r} comes again in its column"
    for index in texts:
        unit = unit_behind(first[index])
        if unit and below and all(unit_behind(row[index]) == unit for row in below[:20]):
            return False, f"{first[index]!r} in the first row is a number, as those below it"
    return True, "the first row is all text"


def is_unit_row(rows: list[list[str]], width: int) -> bool:
    """Whether the first of the rows below a header says units: text, or nothing, over every column of numbers.

    Over two of them, or over one when it says nothing else: else it is a row with a wrong cell.
    """
    first, below = [cell.strip() for cell in rows[0]] if rows else [], [row for row in rows[1:51] if len(row) == width]
    if len(first) != width or len(below) < 2:
        return False
    columns = [[cell for row in below if not is_gap(cell := row[index].strip())] for index in range(width)]
    over = [cell for cell, column in zip(first, columns, strict=True) if column and all(map(looks_like_number, column))]
    said = [cell for cell in over if not is_gap(cell)]
    says_more = said != [cell for cell in first if cell]
    return len(said) > says_more and not any(map(looks_like_number, said))


def column_names(path: Path, line: int, names: list[str] | None, width: int, rows: list[list[str]]) -> tuple[str, ...]:
    """A name for each column: those of the header, made to fit the rows; column1, column2, ... where there is none.

    Raises DataError when two columns have one name.
    """
    if names is None:
        return tuple(f"column{index}" for index in range(1, width + 1))
    found = [name.strip() for name in names]
    below = [row for row in rows[1:] if len(row) == width]
    if len(found) == width - 1 and below:
        # The rows end in a separator, or begin with names as R writes them.
        trailing = all(not row[-1].strip() for row in below)
        if not trailing and len({row[0] for row in below}) < len(below):
            raise DataError(
                f"{path}:{line}: the header has {len(found)} names, the rows have {width} cells",
                "every row needs the same number of cells; a cell that holds the separator stands in quotes",
            )
        found = [*found, ""] if trailing else ["", *found]
    elif len(found) == width + 1 and not found[-1]:
        found = found[:-1]
    repeated = next((name for name, times in Counter(found).items() if name and times > 1), None)
    if repeated is not None:
        raise DataError(f"{path}:{line}: two columns are called {repeated!r}", "rename one of them")
    return tuple(found)


def _counts(numbers: list[str]) -> bool:
    """0, 1, 2, ... or 1, 2, 3, ... or 2019, 2020, 2021, ..."""
    if len(numbers) < 2 or not all(re.fullmatch(r"\d+", number) for number in numbers):
        return False
    whole = [int(number) for number in numbers]
    return whole == list(range(whole[0], whole[0] + len(whole)))


def _counts_alone(first: list[str]) -> bool:
    """From 0, as tables are written whose columns have no names, far from 1, or through years."""
    if len(first) < 3 or not _counts(first):
        return False
    return first[0] == "0" or (first[0] == "1" and len(first) > 4) or 1900 <= int(first[0]) <= 2100


def _is_name_or_corner(first: list[str]) -> bool:
    others = [cell for cell in first if not looks_like_number(cell)]
    starts = next((cell for cell in first if looks_like_number(cell)), "") in ("0", "1")
    return starts and len(others) == 1 and (first[0] == "" or others[0].lower() in TARGET_NAMES)
