"""The cells of a text whose layout is known, by column: text, or numbers where every cell is a plain one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.datasets.tables.dialect import LONGEST_LINE, Dialect
from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.text import EXACT, MAYBE_THOUSANDS, Array
from nnscratch.errors import DataError

SAMPLE_ROWS = 1000
"""Rows of a long table that decide which columns are read as numbers at once, and columns of a wide one."""
BLOCK_CELLS = 4_000_000
"""Looked at together."""


class RaggedRow(DataError):
    """A row that has other cells than the rest; `line` is where it begins."""

    def __init__(self, path: Path, line: int, cells: int, dialect: Dialect) -> None:
        where = "the header has" if dialect.has_header else "most rows have"
        super().__init__(
            f"{path}:{line}: {cells} columns, but {where} {len(dialect.names)}",
            "every row needs the same number of cells; a cell that holds the separator stands in quotes",
        )
        self.line = line


def with_tight_quotes(text: bytes) -> bytes:
    """The text without blanks between separators and a cell's quotes, which no reader of CSV allows: 1, "a, b", 2.

    What stands in quotes is as it was.
    """
    if not any(pair in text for pair in (b' "', b'" ', b" '", b"' ")):
        return text
    cell = rb"""("(?:[^"]|"")*+"|"(?:[^"\\]|\\.)*+"|'(?:[^']|'')*+')"""
    return re.sub(rb"(?:(?<=[,;|\t\n])|\A) *" + cell + rb" *(?=[,;|\t\r\n]|\Z)", rb"\1", text)


def with_doubled_quotes(text: bytes) -> tuple[bytes, bool]:
    r"""The text with quotes doubled in cells that have a backslash before each, "a \"b\"", and whether it was so.

    A quote behind a backslash ends its cell where a separator follows, as in "C:\", unless some other does not.
    """
    if rb"\"" not in text or re.search(rb'(?<![^,;|\t\n])"(?:[^"\\]|\\.)*\\"[^,;|\t\r\n"]', text) is None:
        return text, False
    quoted = rb'(?<![^,;|\t\n])"(?:[^"\\]|\\.|"")*"(?![^,;|\t\r\n])'
    return re.sub(quoted, lambda cell: re.sub(rb'\\(["\\])', _unescaped, cell[0]), text), True


def _unescaped(pair: re.Match[bytes]) -> bytes:
    return b'""' if pair[1] == b'"' else pair[1]


def without_comments(body: bytes) -> tuple[bytes, int]:
    """The text with blank lines in the places of lines that begin with #, and how many these were."""
    lines = body.split(b"\n")
    marked = [line.lstrip().startswith(b"#") for line in lines]
    return b"\n".join(b"" if mark else line for line, mark in zip(lines, marked, strict=True)), sum(marked)


def by_polars(
    body: bytes, separator: str, dialect: Dialect, has_padded: bool, rows: int, as_text: Collection[str]
) -> list[pl.Series] | None:
    """The columns, or None when the text has quotes in places where CSV has none."""
    names = [f"column_{index + 1}" for index in range(len(dialect.names))]

    def read(types: dict[str, Any], only: list[int] | None = None, n_rows: int | None = None) -> pl.DataFrame:
        return pl.read_csv(
            body,
            has_header=False,
            separator=separator,
            quote_char=dialect.quote,
            schema=dict.fromkeys(names, pl.String) | types,
            columns=only,
            n_rows=n_rows,
            empty_string_is_null=False,
            ignore_errors=bool(types),
            missing_columns="insert",
        )

    try:
        if rows <= SAMPLE_ROWS and len(names) <= SAMPLE_ROWS:
            frame = read({})
        else:
            odd, padded, grouped, is_whole = _seen_in(read({}, n_rows=SAMPLE_ROWS))
            kept = [name in as_text for name in dialect.names]
            told = zip(names, is_whole, odd, padded, grouped, kept, strict=True)
            # As a whole number a later 1.234 cannot be read, and is looked at as text.
            types = {name: pl.Int64 if whole else pl.Float64 for name, whole, *said in told if not any(said)}
            frame = read(types).with_columns(pl.col(pl.Int64).cast(pl.Float64).fill_null(float("nan")))
            plain = dict(zip(types, _are_plain(frame.select(list(types)), has_padded), strict=True)) if types else {}
            again = [index for index, name in enumerate(names) if not plain.get(name, True)]
            if again:
                frame = frame.with_columns(read({}, only=again))
    except pl.exceptions.PolarsError:
        return None
    return list(frame.get_columns()) if len(frame) == rows else None


def _seen_in(sample: pl.DataFrame) -> tuple[Array, Array, Array, Array]:
    """Of each column: whether a cell is no exact number, has leading zeros, or may have a thousands separator; and
    whether all are whole numbers, with no point.

    1.234 may have one, which the table's other columns tell: a number would hide it. The cells are looked at as one
    long column, since a wide table has as many columns as others have rows.
    """
    cells = sample.unpivot().to_series(1)
    numbers = cells.cast(pl.Float64, strict=False)
    has_point = cells.str.contains(".", literal=True)

    def any_in_column(found: pl.Series) -> Array:
        return np.asarray(found.fill_null(value=False).to_numpy().reshape(sample.width, sample.height).any(axis=1))

    odd = any_in_column(numbers.is_null() | (numbers.abs() >= EXACT))
    padded = any_in_column(cells.str.contains(r"^[+-]?0\d"))
    other = any_in_column(has_point & ~cells.str.contains(MAYBE_THOUSANDS))
    is_broken = any_in_column(cells.cast(pl.Int64, strict=False).is_null())
    return odd, padded, any_in_column(has_point) & ~other, ~is_broken


def _are_plain(numbers: pl.DataFrame, has_padded: bool) -> Array:
    """Whether numbers say all that a column's cells say: no gap, nothing infinite, no whole numbers written as 007."""
    is_plain, is_whole = np.ones(numbers.width, bool), np.full(numbers.width, has_padded)
    for block in numbers.iter_slices(max(1, BLOCK_CELLS // numbers.width)):
        values = block.to_numpy()
        is_plain &= np.isfinite(values).all(axis=0)
        if has_padded:
            is_whole &= (values == np.rint(values)).all(axis=0)
    return np.asarray(is_plain & ~is_whole)


def _records(
    path: Path, text: str, separator: str, quote: str, first_line: int
) -> Iterator[tuple[int, list[str], bool]]:
    """Each record with the line that it begins in, and whether it is the last."""
    # Lines end as files end them: U+2028 is a character of a cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quotechar=quote)
    begin, before = first_line, None
    try:
        for cells in reader:
            if before is not None:
                yield *before, False
            before, begin = (begin, cells), first_line + reader.line_num
    except csv.Error as error:
        raise DataError(f"{path}:{begin}: not valid CSV: {error}") from error
    if before is not None:
        yield *before, True


def by_csv(
    path: Path, body: bytes, separator: str, dialect: Dialect, ragged: list[RaggedRow] | None = None
) -> tuple[list[pl.Series], Array]:
    """The columns of text with stray quotes, read cell by cell; each fault has its line.

    Rows with other cells than the rest are put into `ragged` where it is given, unless they are most.
    """
    found: list[RaggedRow] = []
    csv.field_size_limit(LONGEST_LINE)
    columns: list[list[str]] = [[] for _ in dialect.names]
    lines = []
    text, quote = body.decode(), dialect.quote or '"'
    has_an_open_quote = text.count(quote) % 2 == 1
    for begin, cells, is_last in _records(path, text, separator, quote, dialect.first_line):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            if has_an_open_quote and is_last:
                raise DataError(f"{path}:{begin}: not valid CSV: a quote opens and is never closed")
            found.append(RaggedRow(path, begin, len(cells), dialect))
            if ragged is None:
                raise found[0]
        else:
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
            lines.append(begin)
    if len(found) > len(lines):
        raise found[0]
    if ragged is not None:
        ragged[:] = found
    return [pl.Series(column, dtype=pl.String) for column in columns], np.array(lines)
