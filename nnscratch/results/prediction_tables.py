"""The rows of tables as inputs of a network: files of any format, and JSON objects, whichever columns they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnscratch.datasets.tables.columns import Category, Number
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.datasets.tables.header import TARGET_NAMES
from nnscratch.datasets.tables.json_text import half_character, json_cell
from nnscratch.datasets.tables.settings import TableSettings
from nnscratch.errors import DataError, UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.stored_values import largest, stored
from nnscratch.runs.loaded import LoadedRun

if TYPE_CHECKING:
    from nnscratch.datasets.tables.cells import RaggedRow
    from nnscratch.datasets.tables.reader import TextTable

BLOCK = 4096
"""Rows that are encoded at once."""


@dataclass
class Item:
    """One input: what it is called, and how its array, of the network's input shape, is read (a UserError if not)."""

    name: str
    read: Callable[[], Array]
    kept: Mapping[str, str] = field(default_factory=dict)
    """Cells of its row that go into the output."""
    note: str = ""
    """What in its row was not so in training: a new level, a gap in a column without any; of a picture once read."""


def unlike_training(notes: Mapping[str, str]) -> str:
    """In how many of the rows, by name, something was not so in training, and in the first what; "" for none."""
    noted = [f"{name}: {note}" for name, note in notes.items() if note]
    return f"{len(noted):,} of {len(notes):,} inputs have what training had not, as {noted[0]}" if noted else ""


def table_items(loaded: LoadedRun, path: Path, keep: Sequence[str], data: bytes | None = None) -> Iterator[Item]:
    """The rows of a table's file, or of a text that is called so, as `path:2`, `path:3`, ... by their line.

    A row with other cells than the rest is an error of its own, not of the whole.
    """
    if data is None and not path.exists():
        raise DataError(f"{path} does not exist")
    ragged: list[RaggedRow] = []
    table = read_as_trained(loaded, path, _as_written(loaded, ()), data, ragged)
    # What is kept is kept as it is written; that never changes how the rest is read.
    kept = read_as_trained(loaded, path, _as_written(loaded, keep), data, []) if keep else table
    wrong = (failure(f"{path}:{error.line}", error) for error in ragged)
    yield from merge(_rows(loaded, table, keep, kept), wrong, key=line_of)


def line_of(item: Item) -> int:
    """Which line the row of a table begins in."""
    return int(item.name.rpartition(":")[2])


def read_as_trained(
    loaded: LoadedRun,
    path: Path,
    as_text: Sequence[str],
    data: bytes | None = None,
    ragged: list[RaggedRow] | None = None,
) -> TextTable:
    """The table in a file, or in the data of a text called so, read by the settings of training.

    Where these leave it open, the first row is a header when it has half of the names of training, and none when
    training had none, whatever its cells look like.
    """
    from nnscratch.datasets.tables.reader import read_table, read_table_text  # which import polars

    def read(header: bool | None) -> TextTable:
        if data is None:
            return read_table(path, delimiter, header, as_text, numbers, ragged)
        return read_table_text(path, data, delimiter, header, as_text, numbers, ragged)

    numbers = _numbers(loaded)
    settings = loaded.config.data.dataset.build()
    delimiter, header = (settings.delimiter, settings.header) if isinstance(settings, TableSettings) else (None, None)
    table = read(header)
    if header is not None or loaded.encoding is None:
        return table
    schema = loaded.encoding.schema
    first = table.names if table.has_header else [str(column[0]).strip() for column in table.columns]
    has_names = 2 * len(set(schema.names).intersection(first)) >= len(schema.names)
    if has_names != table.has_header and (has_names or not schema.has_header):
        return read(has_names)
    return table


def record_items(
    loaded: LoadedRun, records: Sequence[tuple[int, dict[str, Any]]], keep: Sequence[str]
) -> Iterator[Item]:
    """JSON objects with the line of each: a key that an object lacks is that object's error, null a gap."""
    from nnscratch.datasets.tables.reader import from_records

    encoding = loaded.encoding
    if encoding is None:
        raise DataError("JSON objects are rows of a table, and this run was trained on none", "give it paths")
    complete: list[tuple[int, dict[str, Any]]] = []
    for line, given in [*records, (0, {})]:
        record = {key.strip(): value for key, value in given.items()} | given  # as the header of a file is read
        missing = [column.name for column in encoding.columns if column.name not in record] + [
            name for name in keep if name not in record
        ]
        damage = None if missing else half_character(record)
        if not missing and damage is None:
            complete.append((line, record))
            continue
        if complete:
            table = from_records(Path("-"), complete, (), _as_written(loaded, ()), _numbers(loaded))
            for (_, whole), item in zip(complete, _rows(loaded, table), strict=True):
                yield replace(item, kept={name: json_cell(whole[name]) for name in keep})
            complete = []
        if line:
            reason = damage or f"no {', '.join(map(repr, missing[:10]))} in the object"
            yield failure(f"-:{line}", DataError(reason))


def _as_written(loaded: LoadedRun, keep: Sequence[str]) -> tuple[str, ...]:
    """The columns whose cells are not to become numbers: 007 and 1.10 of a category, and what goes into the output."""
    columns = () if loaded.encoding is None else loaded.encoding.columns
    return (*keep, *(column.name for column in columns if isinstance(column, Category)))


def _numbers(loaded: LoadedRun) -> tuple[str, ...]:
    """The columns of numbers."""
    columns = () if loaded.encoding is None else loaded.encoding.columns
    return tuple(column.name for column in columns if isinstance(column, Number))


def failure(name: str, error: UserError) -> Item:
    """An input that cannot be read, which says so when it is read."""

    def read() -> Array:
        raise error

    return Item(name, read)


def _rows(
    loaded: LoadedRun, table: TextTable, keep: Sequence[str] = (), as_written: TextTable | None = None
) -> Iterator[Item]:
    missing = [name for name in keep if name not in table.names]
    if missing:
        raise DataError(f"{table.path} has no column {', '.join(map(repr, missing))} to keep")
    encoding = loaded.encoding or _of_position(loaded, table)
    encoding = with_marks_of(table, encoding)  # which raises, once, where the table lacks a column
    is_of_pixels = loaded.takes_images and loaded.white is not None
    of_all = largest(loaded, encoding.encode(encoding.read(table)[0])) if is_of_pixels else None
    for start in range(0, len(table), BLOCK):
        part = table.take(np.arange(start, min(start + BLOCK, len(table))))
        values, errors, notes = encoding.read(part)
        values[[row for row, error in enumerate(errors) if error is not None]] = np.nan
        features = encoding.encode(values)
        kept = {name: (as_written or table).column(name)[start : start + BLOCK].to_list() for name in keep}
        for row, (error, note) in enumerate(zip(errors, notes, strict=True)):
            name = part.place(row)
            own = {key: str(cells[row]) for key, cells in kept.items()}
            if error is not None:
                yield Item(name, failure(name, DataError(f"{name}: {error}")).read, own)
            else:
                yield Item(name, partial(stored, loaded, features[row], name, of_all), own, note)


def with_marks_of(table: TextTable, encoding: TableEncoding) -> TableEncoding:
    """The encoding for a table whose numbers may have another decimal mark than those of training."""
    from nnscratch.datasets.tables import decimal_marks  # which imports polars

    columns = decimal_marks.with_marks_of(table, encoding.columns, encoding.places(table))
    return TableEncoding(replace(encoding.schema, columns=tuple(columns)))


def _of_position(loaded: LoadedRun, table: TextTable) -> TableEncoding:
    """A table for a network that knows no names: it has exactly the inputs, or these and a target beside them."""
    names, size = table.names, math.prod(loaded.input_shape)
    inputs = [name for name in names if name.lower() not in TARGET_NAMES] if len(names) != size else names
    if len(inputs) != size:
        raise DataError(f"{table.path}: {len(names)} columns, but the network takes {size} numbers")
    return TableEncoding.of_numbers(inputs)
