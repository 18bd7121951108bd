"""A CSV file as rows of cells, each fault named by file:line:column; nothing is converted or guessed here."""

from __future__ import annotations

import csv
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nnscratch.errors import DataError

LONGEST_LINE = 1 << 24
MOST_COLUMNS = 100_000
GAPS = ("", "?", "na", "n/a")
"""What stands for a missing value, in small letters; nan is a number to Python."""


@dataclass(frozen=True)
class Layout:
    """How a file is to be read: its separator, whether a header leads it, and what the columns are called."""

    delimiter: str
    has_header: bool
    names: tuple[str, ...]


def detect_layout(path: Path, delimiter: str | None, header: bool | None) -> Layout:
    """The layout, found in the first two rows where it is not given.

    The delimiter is the most frequent of comma, semicolon and tab. There is a header when no cell of the first row is
    a number, or when a column has text in the first row over a number in the second. A gap is no such text.
    """
    if delimiter is None:
        with closing(_lines(path)) as lines:
            delimiter = max(",;\t", key=next(lines, "").count)
    with closing(read_rows(path, delimiter)) as rows:
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: the file is empty")
        second = next(rows, None)
    cells = first[1]
    if header is None:
        text = [not is_number(cell) and cell.strip().lower() not in GAPS for cell in cells]
        below = second[1] if second is not None else []
        header = any(text) and not any(is_number(cell) for cell in cells)
        header = header or any(is_text and is_number(cell) for is_text, cell in zip(text, below, strict=False))
    names = tuple(cell.strip() for cell in cells) if header else tuple(f"column{i}" for i in range(1, len(cells) + 1))
    repeated = next((name for index, name in enumerate(names) if name and name in names[:index]), None)
    if repeated is not None:
        raise DataError(f"{path}:{first[0]}: two columns are called {repeated!r}", "rename one of them")
    return Layout(delimiter, header, names)


def read_rows(path: Path, delimiter: str) -> Generator[tuple[int, list[str]]]:
    """Line number (of the row's last line) and cells of each row that is not blank; a DataError for unreadable text."""
    with closing(_lines(path)) as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if len(row) > MOST_COLUMNS:
                    raise DataError(
                        f"{path}:{reader.line_num}: {len(row):,} columns; at most {MOST_COLUMNS:,} are read",
                        "is the table transposed? Each row must be one example; large arrays belong into an NPZ file",
                    )
                if row and any(cell.strip() for cell in row):
                    yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}") from error


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def cell_place(path: Path, line: int, row: list[str], index: int) -> str:
    """file:line:column of a cell, the column counted in characters from 1 (of a row without quotes)."""
    return f"{path}:{line}:{sum(len(cell) + 1 for cell in row[:index]) + 1}"


def _lines(path: Path) -> Generator[str]:
    """The lines with their ends. Decoded one by one: decoding ahead could not tell the line of a wrong byte."""
    encoding = "utf-8-sig"
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE):
            number += 1
            if len(line) >= LONGEST_LINE:
                raise DataError(
                    f"{path}:{number}: a line of more than {LONGEST_LINE:,} bytes",
                    "is it a table with one example per line?",
                )
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}:{number}:{error.start + 1}: not UTF-8 text (byte {line[error.start]:#04x})",
                    "save the file as UTF-8",
                ) from error
            encoding = "utf-8"
