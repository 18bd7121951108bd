"""What `predict` is given, one example at a time: pictures, folders, NPY and NPZ arrays, tables, lists of paths.

Arrays are read a row at a time from the file, compressed or not: a large file needs no more memory than a small one.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from nnscratch.datasets.formats.folder import HIDDEN, SEEN, refuse_endless, walk
from nnscratch.datasets.formats.images import SUFFIXES, read_picture
from nnscratch.datasets.formats.npy import MAGIC, read_npy_header
from nnscratch.datasets.sources.array_names import KEYS
from nnscratch.datasets.sources.csv_table import SUFFIXES as TABLE_SUFFIXES
from nnscratch.datasets.tables.json_text import json_object, json_records
from nnscratch.errors import DataError, UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.prediction_tables import Item, failure, line_of, record_items, table_items
from nnscratch.results.stored_values import as_stored, doubt, largest
from nnscratch.runs.loaded import LoadedRun

JSON_LINES = 256
"""Objects of standard input that are read at once."""
LIST_OF_OBJECTS = re.compile("\ufeff?\\s*\\[\\s*(\\{|\\]\\s*$|$)")
"""How standard input begins that is a JSON list of objects, in one line or in many."""
ARRAY_SUFFIXES = (".npy", ".npz")
SPLITS_OF_ARRAYS = ("test", "train", "val")
"""Which split of an NPZ file is predicted, the first that is there."""


def items(
    loaded: LoadedRun, inputs: Iterable[str], listing: Iterable[str | bytes], keep: Sequence[str] = ()
) -> Iterator[Item]:
    """Every example in the inputs, in order. `-` stands for what `listing` has in its lines: paths, or JSON objects.

    A folder gives every file in it and below that can be predicted, by the rule and in the order of training. What
    cannot be opened is an Item whose `read` raises. Items of tables have the cells of the columns `keep` with them.
    """
    for text in inputs:
        if text == "-":
            yield from _listed_items(loaded, listing, keep)
        elif not text:  # a variable of the shell that is not set: no path, which would be the folder where one stands
            yield failure("''", DataError("the name is empty"))
        else:
            yield from _items_of(loaded, Path(text), keep)


def _listed_items(loaded: LoadedRun, listing: Iterable[str | bytes], keep: Sequence[str]) -> Iterator[Item]:
    # A file name is bytes: what the terminal cannot decode must still be found.
    decoded = ((number, os.fsdecode(line).rstrip("\r\n")) for number, line in enumerate(listing, start=1))
    first = next((line for line in decoded if line[1].strip()), (0, ""))
    lines = chain([first], decoded)
    if LIST_OF_OBJECTS.match(first[1]):
        yield from _json_list_items(loaded, "\n".join(line for _, line in lines), keep)
        return
    for is_json, group in groupby(lines, lambda line: line[1].lstrip().startswith("{")):
        while is_json and (some := list(islice(group, JSON_LINES))):
            yield from _json_items(loaded, some, keep)
        for number, name in group:
            if "\0" in name:
                reason = "this is no path: it holds a zero byte (files are named, one in a line, not given themselves)"
                yield failure(f"-:{number}", DataError(reason))
                return
            if name.lstrip().startswith("[") and not os.path.exists(name) and _is_json(name):
                reason = 'this is JSON, but no list of objects, [{"column": value}]; arrays are given as .npy files'
                yield failure(f"-:{number}", DataError(reason))
            elif name.strip():
                yield from _items_of(loaded, Path(name), keep)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_list_items(loaded: LoadedRun, text: str, keep: Sequence[str]) -> Iterator[Item]:
    """The objects of a list, as `-:1`, `-:2`, ... by their place in it."""
    try:
        yield from record_items(loaded, json_records(Path("-"), text.encode("utf-8", "surrogateescape")) or [], keep)
    except (UserError, UnicodeDecodeError) as error:
        yield failure("-", error if isinstance(error, UserError) else DataError("JSON is UTF-8, and this is not"))


def _json_items(loaded: LoadedRun, lines: Sequence[tuple[int, str]], keep: Sequence[str]) -> Iterator[Item]:
    records: list[tuple[int, dict[str, Any]]] = []
    bad: dict[int, Item] = {}
    for number, text in lines:
        try:
            records.append((number, json_object(text)))
        except ValueError as error:
            bad[number] = failure(f"-:{number}", DataError(f"no JSON object: {error}"))
    try:
        rows = {line_of(item): item for item in record_items(loaded, records, keep)}
    except DataError as error:
        rows = {number: failure(f"-:{number}", error) for number, _ in records}
    yield from ((rows | bad)[number] for number, _ in lines)


def _items_of(loaded: LoadedRun, path: Path, keep: Sequence[str]) -> Iterator[Item]:
    try:
        refuse_endless(path)
        if path.is_dir():
            yield from _folder_items(loaded, path, keep)
        elif not _is_array(path) and _is_table(loaded, path):
            yield from table_items(loaded, path, keep)
        elif keep:
            raise DataError(f"{path} is no table: it has no column {', '.join(map(repr, keep))} to keep")
        elif _is_array(path):
            yield from _array_items(loaded, path)
        else:
            yield _picture(loaded, path)
    except UserError as error:
        if loaded.takes_images and path.is_file() and not _is_array(path) and _is_table(loaded, path):
            error = DataError(f"no picture, and as a table: {error.message.removeprefix(f'{path}: ')}")
        yield failure(str(path), error)
    # A damaged archive can fail in zipfile in any way; whatever is wrong with one file, the others are predicted.
    except Exception as error:
        yield failure(str(path), DataError(f"{path}: unreadable: {_reason(error)}"))


def _is_array(path: Path) -> bool:
    """Whether a file is an NPY file by what it begins with, or an NPY or NPZ file by its name."""
    return path.suffix.lower() in ARRAY_SUFFIXES or _begins_with(path, MAGIC)


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def _is_table(loaded: LoadedRun, path: Path) -> bool:
    """The run decides: rows for one that was trained on features, pictures for one of images, unless it is text."""
    if not loaded.takes_images:
        return True
    if path.suffix.lower() in SUFFIXES or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"\x00" not in file.read(4096) and path.suffix.lower() != ""


def _folder_items(loaded: LoadedRun, folder: Path, keep: Sequence[str]) -> Iterator[Item]:
    """Every file of a kind that can be predicted, below the folder; beside pictures no tables, which list them."""
    found = [each for each in walk(folder) if each[1] not in (HIDDEN, SEEN)]
    suffixes = (*ARRAY_SUFFIXES, *(SUFFIXES if loaded.takes_images else TABLE_SUFFIXES))
    if not any(file.name.lower().endswith(suffixes) for file, _ in found):
        suffixes = TABLE_SUFFIXES
    is_empty = True
    for file, reason in found:
        if not file.name.lower().endswith(suffixes):
            continue
        is_empty = False
        if reason:  # a pipe would be waited for
            yield failure(str(file), DataError(f"{file}: not a file: {reason}"))
        else:
            yield from _items_of(loaded, file, keep)
    if is_empty:
        raise DataError(f"{folder}: no picture, array or table in this folder")


def _picture(loaded: LoadedRun, path: Path) -> Item:
    shape = loaded.input_shape

    def read() -> Array:
        if not loaded.takes_images or len(shape) != 3 or shape[2] not in (1, 3):
            raise DataError(f"{path}: this run takes inputs of shape {shape}, not pictures", "give it CSV or NPY files")
        picture = read_picture(path, *shape, loaded.white_of_files)
        item.note = picture.compared(path, loaded.white_of_files, may_be_negative=loaded.takes_negative_pictures)
        return picture.pixels

    item = Item(str(path), read)
    return item


def _array_items(loaded: LoadedRun, path: Path) -> Iterator[Item]:
    """The rows of an NPY file, or of the inputs in an NPZ file: what it holds counts, not what it is called."""
    if _begins_with(path, MAGIC) or (path.suffix.lower() == ".npy" and not zipfile.is_zipfile(path)):
        with path.open("rb") as file:
            yield from _rows_of(loaded, file, str(path))
        return
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        known = [key for split in SPLITS_OF_ARRAYS for key in KEYS[f"{split} inputs"]]
        chosen = next((key for key in known if key in names), names[0] if len(names) == 1 else None)
        if chosen is None:
            raise DataError(f"{path}: which array? It holds {', '.join(names) or 'none'}", "call the inputs x")
        with archive.open(f"{chosen}.npy") as member:
            yield from _rows_of(loaded, member, f"{path}:{chosen}")


def _rows_of(loaded: LoadedRun, file: IO[bytes], name: str) -> Iterator[Item]:
    """The examples of one array in NPY format, as `name[0]`, `name[1]`, ..."""
    header = read_npy_header(file, name)
    shape, dtype = header.shape, header.dtype
    if dtype.kind not in "biuf":
        raise DataError(f"{name}: an array of {dtype}, not of numbers")
    rows = as_rows(loaded, shape, name)
    if header.is_fortran and len(shape) > 1:
        raise DataError(f"{name}: the array is in Fortran order", "save numpy.ascontiguousarray(x)")
    size = rows.size * dtype.itemsize
    start = file.tell()
    cut = (file.read(size) for _ in range(rows.number))
    of_all = largest(loaded, (np.frombuffer(raw, dtype) for raw in cut if len(raw) == size))
    file.seek(start)
    for index in range(rows.number):
        raw = file.read(size)
        place = name if rows.number == 1 and len(shape) == len(loaded.input_shape) else f"{name}[{index}]"
        if len(raw) < size:
            raise DataError(f"{name}: the file ends within row {index} of {rows.number:,}", "is it complete?")
        values = rows.in_order(np.frombuffer(raw, dtype)[np.newaxis])[0]
        yield _row(loaded, values, place, of_all)


def _row(loaded: LoadedRun, values: Array, name: str, of_all: tuple[float, bool] | None) -> Item:
    def read() -> Array:
        taken: Array = stored_rows(loaded, values[np.newaxis], name, of_all)[0]
        item.note = doubt(loaded, values, taken)
        return taken

    item = Item(name, read)
    return item


def stored_rows(loaded: LoadedRun, values: Array, name: str, of_all: tuple[float, bool] | None = None) -> Array:
    """Examples (N, ...) from an array's numbers, a table's raw columns encoded; `of_all` as in `pixels`.

    Raises DataError.
    """
    encoding = loaded.encoding
    if encoding is not None:
        rows = values.astype(np.float64).reshape(len(values), len(encoding.columns))
        if np.isinf(rows).any() or (encoding.schema.missing in ("error", "drop") and np.isnan(rows).any()):
            raise DataError(f"{name}: holds a value that is not a finite number")
        for column, own in zip(encoding.columns, rows.T, strict=True):
            for row in np.flatnonzero(column.refused(own))[:1]:
                place, cell = f"{name}: row {row}" if len(rows) > 1 else name, f"{own[row]:.15g}"
                raise DataError(f"{place}: column {column.name!r} is {cell}, not {column.expected(cell)}")
        values = encoding.encode(rows)
    return as_stored(loaded, values, name, of_all).reshape(len(values), *loaded.input_shape)


def _array_shape(loaded: LoadedRun, name: str) -> tuple[int, ...]:
    """The shape of one example in an array: of a table, its raw columns, which must be numbers."""
    if loaded.encoding is None:
        return loaded.input_shape
    texts = [column.name for column in loaded.encoding.columns if column.kind not in ("number", "boolean")]
    if texts:
        raise DataError(
            f"{name}: an array has numbers alone, and the run takes text or dates in {', '.join(map(repr, texts[:5]))}",
            "give it a table: CSV, JSON, Parquet or XLSX",
        )
    return (len(loaded.encoding.columns),)


class Rows(NamedTuple):
    """How many examples an array holds, and how many numbers each has."""

    number: int
    size: int
    channels_first: tuple[int, ...] = ()
    """The shape (C, H, W) of each, where they are pictures stored so."""

    def in_order(self, values: Array) -> Array:
        """Numbers (N, size) of some of them in the order of the network's input."""
        if not self.channels_first:
            return values
        return np.moveaxis(values.reshape(len(values), *self.channels_first), 1, -1).reshape(len(values), self.size)


def as_rows(loaded: LoadedRun, shape: tuple[int, ...], name: str) -> Rows:
    """The examples of an array of that shape; of pictures also channels first, as data to train with may be."""
    wanted = _array_shape(loaded, name)
    size = math.prod(wanted)
    accepted = [wanted, (size,)]
    if wanted[-1] == 1 and len(wanted) == 3:
        accepted.append(wanted[:2])
    if wanted == (1,) and len(shape) == 1:  # as in training: one number each
        return Rows(shape[0], 1)
    first = (wanted[-1], *wanted[:-1]) if loaded.takes_images and len(wanted) == 3 else ()
    for count, example in ((1, shape), (shape[0] if shape else 0, shape[1:])):
        if example in accepted:
            return Rows(count, size)
        if first and example == first:
            return Rows(count, size, first)
    raise DataError(
        f"{name}: shape {shape} is neither one example {wanted} nor many (N, {', '.join(map(str, wanted))})"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return str(error) or type(error).__name__
