"""CSV files of whole numbers 0..255: 60,000 rows of 785 numbers in about a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.errors import DataError


def read_byte_table(path: Path, columns: int, header: str) -> Array:
    """(rows, columns) uint8 from a CSV file with one header line that starts with `header`.

    Raises DataError, with file:line:column, for another header, ragged rows, and anything but numbers 0..255.
    """
    from nnscratch.datasets.tables.frames import pl  # Polars, imported only where a table is read

    with path.open("rb") as stream:
        first = stream.readline(1 << 20).decode("utf-8-sig", "replace").strip()
    names = [name.strip().strip('"') for name in first.split(",")]
    if len(names) != columns or names[0] != header:
        raise DataError(
            f"{path}:1: expected a header of {columns} columns that starts with {header!r}, "
            f"found {len(names)} that start with {names[0][:40]!r}"
        )
    schema = {f"column_{index + 1}": pl.UInt8 for index in range(columns)}
    try:
        frame = pl.read_csv(path, has_header=False, skip_lines=1, schema=schema, quote_char=None)
        if len(frame) and not any(column.has_nulls() for column in frame):
            return np.ascontiguousarray(frame.to_numpy())
    except pl.exceptions.PolarsError:
        pass
    raise _fault(path, columns)


def _fault(path: Path, columns: int) -> DataError:
    """What is wrong with the first bad line; slow, and needed once."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        next(lines)
        for number, line in enumerate(lines, start=2):
            cells = line.rstrip("\n").split(",")
            if len(cells) != columns:
                return DataError(f"{path}:{number}: {len(cells)} columns, but the header has {columns}")
            column = 1
            for index, cell in enumerate(cells, start=1):
                if not (cell.isascii() and cell.isdigit() and len(cell) <= 3 and int(cell) <= 255):
                    found = repr(cell[:40]) if cell else "nothing"
                    return DataError(
                        f"{path}:{number}:{column}: field {index} is {found}, expected a whole number from 0 to 255"
                    )
                column += len(cell) + 1
    return DataError(f"{path}: there are no rows of numbers below its header")
