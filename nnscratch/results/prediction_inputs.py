"""What `predict` is given, one example at a time: pictures, folders, NPY and NPZ arrays, CSV rows, lists of paths.

Arrays are read a row at a time from the file, compressed or not: a large file needs no more memory than a small one.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from nnscratch.datasets.formats.csv_file import Layout, detect_layout, is_number, read_rows
from nnscratch.datasets.formats.images import SUFFIXES, decode
from nnscratch.datasets.formats.npy import read_npy_header
from nnscratch.datasets.sources.csv_table import TARGET_NAMES, CSVTable
from nnscratch.errors import DataError, UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.loaded import LoadedRun

ARRAY_SUFFIXES = (".npy", ".npz")
INPUT_KEYS = ("x_test", "x", "X", "inputs", "images", "data", "features", "x_train")
"""Which array of an NPZ file is predicted, the first that is there, when it holds several."""


@dataclass(frozen=True)
class Item:
    """One input: what it is called, and how its array, of the network's input shape, is read (a UserError if not)."""

    name: str
    read: Callable[[], Array]


def items(loaded: LoadedRun, inputs: Iterable[str], listing: Iterable[str | bytes]) -> Iterator[Item]:
    """Every example in the inputs, in order. `-` stands for the paths in `listing`, one a line.

    A folder gives every file in it and below that can be predicted, sorted. What cannot be opened is an Item whose
    `read` raises.
    """
    for text in inputs:
        if text == "-":
            # A file name is bytes: what the terminal cannot decode must still be found.
            names = (os.fsdecode(line).rstrip("\r\n") for line in listing)
            for name in filter(str.strip, names):
                yield from _items_of(loaded, Path(name))
        else:
            yield from _items_of(loaded, Path(text))


def _items_of(loaded: LoadedRun, path: Path) -> Iterator[Item]:
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            yield from _folder_items(loaded, path)
        elif suffix in ARRAY_SUFFIXES:
            yield from _array_items(loaded, path)
        elif suffix == ".csv":
            yield from _csv_items(loaded, path)
        else:
            yield _picture(loaded, path)
    except UserError as error:
        yield _failure(str(path), error)
    # A damaged archive can fail in zipfile in any way; whatever is wrong with one file, the others are predicted.
    except Exception as error:
        yield _failure(str(path), DataError(f"{path}: unreadable: {_reason(error)}"))


def _folder_items(loaded: LoadedRun, folder: Path) -> Iterator[Item]:
    is_empty = True
    for file in _files_in(folder):
        is_empty = False
        if file.is_file():
            yield from _items_of(loaded, file)
        else:  # a pipe would be waited for
            yield _failure(str(file), DataError(f"{file}: not a file"))
    if is_empty:
        raise DataError(f"{folder}: no picture, array or CSV file in this folder")


def _files_in(folder: Path) -> Iterator[Path]:
    """Every file of a kind that can be predicted, below the folder; names sorted, hidden ones left out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith((*SUFFIXES, *ARRAY_SUFFIXES, ".csv")):
                yield Path(parent, name)


def _failure(name: str, error: UserError) -> Item:
    def read() -> Array:
        raise error

    return Item(name, read)


def _picture(loaded: LoadedRun, path: Path) -> Item:
    shape = loaded.input_shape

    def read() -> Array:
        if not loaded.takes_images or len(shape) != 3 or shape[2] not in (1, 3):
            raise DataError(f"{path}: this run takes inputs of shape {shape}, not pictures", "give it CSV or NPY files")
        return decode(path, *shape)

    return Item(str(path), read)


def _array_items(loaded: LoadedRun, path: Path) -> Iterator[Item]:
    """The rows of an NPY file, or of the inputs in an NPZ file."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            yield from _rows_of(loaded, file, str(path))
        return
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        chosen = next((key for key in INPUT_KEYS if key in names), names[0] if len(names) == 1 else None)
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
    count, per_row = as_rows(loaded, shape, name)
    if header.is_fortran and len(shape) > 1:
        raise DataError(f"{name}: the array is in Fortran order", "save numpy.ascontiguousarray(x)")
    size = per_row * dtype.itemsize
    for index in range(count):
        raw = file.read(size)
        place = name if count == 1 and shape == loaded.input_shape else f"{name}[{index}]"
        if len(raw) < size:
            raise DataError(f"{name}: the file ends within row {index} of {count:,}", "is it complete?")
        values = np.frombuffer(raw, dtype)
        yield Item(place, partial(_stored, loaded, values, place))


def as_rows(loaded: LoadedRun, shape: tuple[int, ...], name: str) -> tuple[int, int]:
    """How many examples an array of that shape holds, and how many numbers each has."""
    wanted = loaded.input_shape
    size = math.prod(wanted)
    accepted = [wanted, (size,)]
    if wanted[-1] == 1 and len(wanted) == 3:
        accepted.append(wanted[:2])
    if shape in accepted:
        return 1, size
    if shape[1:] in accepted:
        return shape[0], size
    raise DataError(
        f"{name}: shape {shape} is neither one example {wanted} nor many (N, {', '.join(map(str, wanted))})"
    )


def _csv_items(loaded: LoadedRun, path: Path) -> Iterator[Item]:
    """The rows of a CSV file, as `path:2`, `path:3`, ... by their line."""
    if not path.exists():
        raise DataError(f"{path} does not exist")
    source = loaded.config.data.dataset.build()
    table = source if isinstance(source, CSVTable) else None
    layout = detect_layout(path, table.delimiter if table else None, table.header if table else None)
    columns = _columns(loaded, layout, path)
    rows = read_rows(path, layout.delimiter)
    if layout.has_header:
        next(rows)
    for line, row in rows:
        name = f"{path}:{line}"
        yield Item(name, partial(_stored_row, loaded, layout, columns, row, name))


def _columns(loaded: LoadedRun, layout: Layout, path: Path) -> list[int]:
    """Which columns are the network's inputs: by name where the header has the names of training, else by position.

    Without the names, the file has exactly the inputs, or one column more that is called label, target, class or y.
    """
    names, wanted = layout.names, loaded.feature_names
    if wanted is not None and layout.has_header:
        missing = [name for name in wanted if name not in names]
        if not missing:
            return [names.index(name) for name in wanted]
        if len(missing) < len(wanted):
            raise DataError(f"{path}: no column {', '.join(missing[:10])}", "the run was trained with it")
    size = math.prod(loaded.input_shape)
    inputs = [index for index, name in enumerate(names) if name.lower() not in TARGET_NAMES]
    if len(names) == size:
        return list(range(size))
    if len(inputs) == size:
        return inputs
    raise DataError(f"{path}: {len(names)} columns, but the network takes {size} numbers")


def _stored_row(loaded: LoadedRun, layout: Layout, columns: list[int], row: list[str], name: str) -> Array:
    if len(row) != len(layout.names):
        raise DataError(f"{name}: {len(row)} columns, but the first row has {len(layout.names)}")
    for index in columns:
        if not is_number(row[index]):
            raise DataError(f"{name}: column {layout.names[index]!r} is {row[index][:40]!r}, not a number")
    return _stored(loaded, np.array([float(row[index]) for index in columns]), name)


def _stored(loaded: LoadedRun, values: Array, name: str) -> Array:
    """One example as `as_stored` gives it, of the network's input shape."""
    return as_stored(loaded, values, name).reshape(loaded.input_shape)


def as_stored(loaded: LoadedRun, values: Array, name: str) -> Array:
    """The values as the data is stored: pixels uint8, features float32; UserError when they are not such values."""
    if loaded.takes_images and values.dtype != np.uint8:
        if not (np.all(values == np.rint(values)) and np.all((values >= 0) & (values <= 255))):
            is_scaled = bool(np.all((values >= 0) & (values <= 1)))
            advice = "; they look scaled to 0..1: give (255 * x).round().astype('uint8')" if is_scaled else ""
            raise DataError(f"{name}: pixels must be whole numbers 0..255{advice}")
        values = values.astype(np.uint8)
    if not loaded.takes_images:
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError(f"{name}: holds a value that is not a finite number")
    return values


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return str(error) or type(error).__name__
