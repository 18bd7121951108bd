"""A table out of any file that holds one: columns of text, or of numbers where every cell is a plain one.

Polars reads the rows. Measured beside pandas and pyarrow on two cores: import 0.13 / 0.23 / 0.09 s, 60,000 rows of
785 numbers 0.6 / 0.77 to 1.1 / 1.8 s, 200,000 rows of 50 cells with text 0.2 / 0.33 / 0.27 s, as text alone 0.2 /
1.7 / 0.2 s, peak memory 619 / 939 / 854 MB, installed 180 / 85 / 170 MB: the fastest of the three where it counts. It
takes short rows and quotes that do not close without a word, so that `structure` looks at the rows first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.datasets.description import Guess
from nnscratch.datasets.formats.folder import refuse_endless
from nnscratch.datasets.memory import available_memory
from nnscratch.datasets.tables.cells import (
    RaggedRow,
    by_csv,
    by_polars,
    with_doubled_quotes,
    with_tight_quotes,
    without_comments,
)
from nnscratch.datasets.tables.containers import kind_of, read_bytes, refuse_large_sheets
from nnscratch.datasets.tables.decoding import to_utf8
from nnscratch.datasets.tables.dialect import Dialect, find_dialect, squeeze
from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.json_text import EXACT_DIGITS, Digits, half_character, json_cell, json_records
from nnscratch.datasets.tables.parsing import fitting_mark, shown, whole
from nnscratch.datasets.tables.structure import structure_of
from nnscratch.datasets.tables.text import EXACT, Array
from nnscratch.errors import DataError

BYTES_OF_NUMBERS = 16
"""What a number of a Parquet file takes while it is read, as it is stored and as float64."""
MOST_CELLS_OF_JSON, MOST_EMPTY = 10_000_000, 20
"""Of larger tables of objects one cell of so many is given, at least."""


@dataclass(frozen=True, eq=False)
class TextTable:
    """The cells of a file by column, and each row's line.

    A column is String, or Float64 where every cell is a number or, as NaN, a gap.
    """

    path: Path
    names: tuple[str, ...]
    has_header: bool
    columns: tuple[pl.Series, ...]
    lines: Array
    """(N,) the line that a row begins in, or its number in a file that has no lines; counted from 1."""
    guesses: tuple[Guess, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def by_name(self) -> dict[str, pl.Series]:
        """The columns by their names."""
        return dict(zip(self.names, self.columns, strict=True))

    def column(self, name: str) -> pl.Series:
        """The cells of the column of that name."""
        return self.by_name[name]

    def place(self, row: int) -> str:
        """file:line of a row."""
        return f"{self.path}:{self.lines[row]}"

    def cell(self, name: str, row: int) -> str:
        """What stands in a cell, shortened."""
        return shown(self.column(name), row)

    def take(self, rows: Array) -> TextTable:
        """Some of the rows, in that order."""
        columns = tuple(column.gather(rows) for column in self.columns)
        return replace(self, columns=columns, lines=self.lines[rows])


def read_table(
    path: Path,
    delimiter: str | None = None,
    header: bool | None = None,
    as_text: Collection[str] = (),
    numbers: Collection[str] | None = None,
    ragged: list[RaggedRow] | None = None,
) -> TextTable:
    """The table in a file of text (CSV and its kin, JSON), Parquet or XLSX, packed or not.

    Columns that are named in `as_text` stay as they are written, also where every cell is a number: 1.10 is not 1.1.
    JSON's own numbers are the same whatever text is beside them where `numbers` says which columns are of numbers.
    Raises DataError, with file:line, for what is no table, and for a row with other cells than the rest, which is put
    into `ragged` instead where that is given.
    """
    refuse_endless(path)
    try:
        kind = kind_of(path)
        if kind == "parquet":
            _refuse_large_parquet(path)
            return _typed(path, pl.read_parquet(path), "Parquet", as_text)
        if kind == "xlsx":
            guesses = (Guess("format", "XLSX", "its first sheet"),)
            return _delimited(path, _sheet(path), None, header, guesses, as_text, ragged)
        data, packed = read_bytes(path)
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, no table") from None
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path}: damaged: {str(error).splitlines()[0]}", "is it complete?") from error
    packing = (Guess("packed", packed),) if packed else ()
    return read_table_text(path, data, delimiter, header, as_text, numbers, ragged, packing)


def read_table_text(
    path: Path,
    data: bytes,
    delimiter: str | None = None,
    header: bool | None = None,
    as_text: Collection[str] = (),
    numbers: Collection[str] | None = None,
    ragged: list[RaggedRow] | None = None,
    guesses: tuple[Guess, ...] = (),
) -> TextTable:
    """The table in the contents of a text file, CSV and its kin or JSON; `path` is what it is called.

    Raises DataError, as `read_table`.
    """
    text, encoding, why = to_utf8(path, data)
    del data
    guesses = (*guesses, Guess("encoding", encoding, why))
    if text.lstrip()[:1] in (b"{", b"["):
        records = json_records(path, text)
        if records is not None:
            return from_records(path, records, guesses, as_text, numbers)
    return _delimited(path, text, delimiter, header, guesses, as_text, ragged)


def from_records(
    path: Path,
    records: Sequence[tuple[int, dict[str, Any]]],
    guesses: tuple[Guess, ...],
    as_text: Collection[str] = (),
    numbers: Collection[str] | None = None,
) -> TextTable:
    """A table from JSON objects with the line of each: a column for each name that any of them has."""
    names = tuple(dict.fromkeys(name for _, record in records for name in record))
    given = sum(len(record) for _, record in records)
    if len(names) * len(records) > max(MOST_CELLS_OF_JSON, MOST_EMPTY * given):
        raise DataError(
            f"{path}: {len(records):,} objects with {len(names):,} different names: {given:,} of "
            f"{len(names) * len(records):,} cells are given",
            "every object of a table has the same names",
        )
    try:
        "".join(names).encode()
        columns = tuple(
            _json_column(
                [record.get(name) for _, record in records],
                name in as_text,
                None if numbers is None else name in numbers,
            )
            for name in names
        )
    except UnicodeEncodeError:
        line, damage = next((line, damage) for line, record in records if (damage := half_character(record)))
        hint = "was a text cut in the middle of an emoji?"
        raise DataError(f"{path}:{line}: {damage}", hint) from None
    return TextTable(path, names, True, columns, np.array([line for line, _ in records]), guesses)


def _json_column(values: list[object], as_text: bool, is_number: bool | None) -> pl.Series:
    """Numbers of JSON, whose decimal mark is a point in any country, as numbers; long ones stay text.

    In a column of numbers such text has no mark. In any other it is as a column of nothing else would be written,
    whatever stands beside it; where the kind is not known yet, it has the mark of the other text.
    """
    if not as_text and all(
        value is None or (isinstance(value, Digits) and len(value) <= EXACT_DIGITS) for value in values
    ):
        numbers = [np.nan if value is None else float(value) for value in values]  # type: ignore[arg-type]  # digits
        if not np.isnan(numbers).all():
            return pl.Series(numbers, dtype=pl.Float64)
    if is_number and not as_text:
        values = [value.without_mark() if isinstance(value, Digits) else value for value in values]
    elif is_number is False and not as_text:
        values = [whole(value) if isinstance(value, Digits) else value for value in values]
    elif not as_text and any(isinstance(value, Digits) for value in values):
        written = [value for value in values if isinstance(value, str) and not isinstance(value, Digits)]
        if fitting_mark(pl.Series(written, dtype=pl.String), ".") == ",":
            values = [value.replace(".", ",") if isinstance(value, Digits) else value for value in values]
    return pl.Series([json_cell(value) for value in values], dtype=pl.String)


def _typed(path: Path, frame: pl.DataFrame, what: str, as_text: Collection[str]) -> TextTable:
    """A table whose file says the types: numbers without gaps stay, everything else is text."""
    columns = []
    for column in frame.get_columns():
        is_number = column.dtype.is_float() or (column.dtype.is_integer() and column.dtype.to_python() is int)
        numbers = column.cast(pl.Float64).fill_null(np.nan) if is_number and column.name not in as_text else None
        if numbers is not None and (column.dtype.is_float() or not (numbers.abs() >= EXACT).any()):
            columns.append(numbers)
            continue
        if column.dtype.is_nested() or column.dtype == pl.Binary:
            raise DataError(f"{path}: column {column.name!r} holds {column.dtype}, not one value a row")
        columns.append(column.cast(pl.String).fill_null(""))
    return TextTable(
        path, tuple(frame.columns), True, tuple(columns), np.arange(1, len(frame) + 1), (Guess("format", what),)
    )


def _refuse_large_parquet(path: Path) -> None:
    """Raises DataError for more numbers than there is memory for: what repeats takes hardly any room in the file."""
    rows, columns = pl.scan_parquet(path).select(pl.len()).collect().item(), len(pl.read_parquet_schema(path))
    if rows * columns * BYTES_OF_NUMBERS > available_memory() // 2:
        raise DataError(
            f"{path}: {rows:,} rows of {columns:,} columns, which there is no memory for here",
            "take fewer rows or columns, or more memory",
        )


def _sheet(path: Path) -> bytes:
    """The first sheet of an XLSX file as comma-separated text."""
    try:
        refuse_large_sheets(path)
        frame = pl.read_excel(path, has_header=False, engine="calamine", infer_schema_length=0, drop_empty_rows=False)
    except ModuleNotFoundError:
        raise DataError(
            f"{path} is an Excel file (XLSX), which needs one more library",
            "`pip install 'nnscratch[excel]'`, or save it as CSV",
        ) from None
    except DataError:
        raise
    # fastexcel raises its own errors for damaged files, and zipfile many.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged Excel file: {reason}", "is it complete?") from error
    return frame.write_csv(include_header=False).encode()


def _delimited(
    path: Path,
    text: bytes,
    delimiter: str | None,
    header: bool | None,
    guesses: tuple[Guess, ...],
    as_text: Collection[str],
    ragged: list[RaggedRow] | None,
) -> TextTable:
    text, is_escaped = with_doubled_quotes(with_tight_quotes(text))
    if is_escaped:
        guesses = (*guesses, Guess("quotes in cells", r"\"", "a backslash stands before each"))
    dialect = find_dialect(path, text, delimiter, header)
    body = _body(text, dialect)
    del text
    if dialect.has_comments:
        body, comments = without_comments(body)
        guesses = (*guesses, Guess("comment lines among the rows", str(comments))) if comments else guesses
    if not body.strip():
        raise DataError(f"{path}: there are no rows below its header", "each row is one example")
    separator = dialect.separator
    if separator == " ":
        body, separator = "\n".join(squeeze(line) for line in body.decode().split("\n")).encode(), "\t"
    structure = structure_of(body, separator, dialect.quote)
    rows = np.flatnonzero(~structure.is_blank)
    wrong = rows[structure.cells[rows] != len(dialect.names)]
    columns: list[pl.Series] | None = None
    lines = structure.lines[rows] + dialect.first_line
    if not len(wrong):
        columns = by_polars(body, separator, dialect, structure.has_padded_numbers, len(structure.cells), as_text)
    if columns is not None:
        columns = [column.gather(rows) for column in columns] if len(rows) < len(structure.cells) else columns
    elif len(wrong) and ragged is None and (dialect.quote is None or dialect.quote.encode() not in body):
        row = wrong[0]
        raise RaggedRow(path, int(structure.lines[row]) + dialect.first_line, int(structure.cells[row]), dialect)
    else:
        columns, lines = by_csv(path, body, separator, dialect, ragged)
    # A row of white space, which a blank line may be, is no row.
    table = TextTable(path, dialect.names, dialect.has_header, tuple(columns), lines, (*guesses, *dialect.guesses))
    return _named(_without_blank_rows(_without_trailing_columns(table)))


def _body(text: bytes, dialect: Dialect) -> bytes:
    """The lines of the text that are rows, and comments among them."""
    start = 0
    for _ in range(dialect.first_line - 1):
        start = text.find(b"\n", start) + 1
        if start == 0:
            return b""
    end = len(text)
    if dialect.last_line is not None:
        for _ in range(text.count(b"\n", start) + dialect.first_line - dialect.last_line):
            end = text.rfind(b"\n", start, end)
            if end < 0:
                return b""
    return text[start:end].rstrip(b"\n") if start or end < len(text) else text.rstrip(b"\n")


def _without_trailing_columns(table: TextTable) -> TextTable:
    """The table without last columns that have no name and no cell: separators at the ends of the lines."""
    width = len(table.names)
    while width > 1 and not (table.has_header and table.names[width - 1]):
        last = table.columns[width - 1]
        if last.dtype != pl.String or (last.str.strip_chars() != "").any():
            break
        width -= 1
    if width == len(table.names):
        return table
    why = "the last column has neither name nor cells"
    guesses = (*table.guesses, Guess("trailing separators", "yes", why))
    return replace(table, names=table.names[:width], columns=table.columns[:width], guesses=guesses)


def _named(table: TextTable) -> TextTable:
    """The table with a name for every column but the first, whose cells may be the names of rows."""
    if all(table.names[1:]):
        return table
    names = list(table.names)
    for index in range(1, len(names)):
        if not names[index]:
            names[index] = f"column{index + 1}"
            while names.count(names[index]) > 1:
                names[index] += "_"
    return replace(table, names=tuple(names))


def _without_blank_rows(table: TextTable) -> TextTable:
    if any(column.dtype != pl.String for column in table.columns):
        return table
    filled = np.zeros(len(table), bool)
    for column in table.columns:
        filled |= (column.str.strip_chars() != "").to_numpy()
        if filled.all():
            return table
    if not filled.any():
        raise DataError(f"{table.path}: there are no rows below its header", "each row is one example")
    return table.take(np.flatnonzero(filled))
