"""`split_by` and `order_by`: the columns of a table that say which rows stay together, and which are the last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnscratch.datasets.dataset import Origin
from nnscratch.datasets.separation import numbered
from nnscratch.datasets.tables.columns import Date, Number
from nnscratch.datasets.tables.kinds import as_number, decide, read_column
from nnscratch.datasets.tables.parsing import Decimal, as_text
from nnscratch.datasets.tables.reader import TextTable, read_table
from nnscratch.datasets.tables.settings import TableSettings
from nnscratch.datasets.tables.text import Array, Values, is_gap
from nnscratch.errors import DataError


def order_of(table: TextTable, settings: TableSettings, decimal: Decimal, rows: Array) -> Values | None:
    """What the rows are ordered by; None when they are held out at random.

    Raises DataError for a column that holds no dates or numbers, or has gaps.
    """
    if settings.split != "last":
        return None
    if settings.order_by is None:
        return rows.astype(np.float64)
    name = settings.order_by
    column = decide(table, name, decimal, {}).column
    if not isinstance(column, Number | Date):
        column = as_number(table, name, decimal)
        _, bad = column.read(table.column(name))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{table.place(row)}: order_by: {name!r} is {table.cell(name, row)!r}, no number and no date",
                "data.dataset.order_by names a column of numbers or dates; left out, the rows are ordered as they "
                "stand",
            )
    values = read_column(table, column)[rows]
    if np.isnan(values).any():
        row = int(rows[np.argmax(np.isnan(values))])
        raise DataError(f"{table.place(row)}: order_by: {name!r} has a gap there", "fill it, or leave the row out")
    return values


def groups_of(table: TextTable, settings: TableSettings, origins: Mapping[str, Origin]) -> dict[str, Array]:
    """The groups of each split's rows as whole numbers; of a file without the column none. DataError for a gap."""
    if settings.split_by is None:
        return {}
    cells: dict[str, list[str]] = {}
    for split, origin in origins.items():
        file = table if origin.path == table.path else read_table(origin.path, settings.delimiter, settings.header)
        if settings.split_by not in file.names:
            continue
        # Numbers of a long file are text in a short one.
        named = as_text(file.column(settings.split_by)).str.replace(r"^([+-]?\d+)\.0+$", "$1")
        found = named.gather(origin.rows).to_list()
        gap = next((index for index, cell in enumerate(found) if cell is None or is_gap(str(cell))), None)
        if gap is not None:
            place = file.place(int(origin.rows[gap]))
            raise DataError(f"{place}: split_by: {settings.split_by!r} has a gap", "fill it, or leave the row out")
        cells[split] = [str(cell).strip() for cell in found]
    return numbered(cells)
