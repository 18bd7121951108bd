"""A trained network as a Python object: raw inputs in, labels, probabilities or values out."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Real
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from nnscratch.datasets.tables.columns import Date, Number
from nnscratch.datasets.tables.json_text import Digits
from nnscratch.errors import DataError, UsageError, did_you_mean
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network
from nnscratch.results.prediction_inputs import as_rows, items, stored_rows
from nnscratch.results.prediction_tables import record_items, unlike_training
from nnscratch.results.stored_values import doubt
from nnscratch.runs.loaded import LoadedRun, load_run
from nnscratch.training.evaluation import require_finite
from nnscratch.training.metrics.regression import R2

Inputs: TypeAlias = Any
"""What a Model takes: a path or paths, an array, rows of numbers, a dict or dicts by column."""

BATCH = 256
"""Examples that go through the network at a time."""


class Model:
    """A run's network with the run's own scaling and class names. Safe to call from several threads.

    `x` is what `nnscratch predict` takes: paths of pictures, folders, CSV, NPY and NPZ files (`"cat.png"`, or several
    in a list); a uint8 array of pictures (N, H, W, C); rows of numbers, as an array or lists; a dict for each row, or
    a DataFrame, by the columns' names. One example alone is a batch of one: every answer has a row for each example.

    Every result is an array of its own. Raises UserError for inputs that the network cannot take, and warns of rows
    of a table with what training had not: a new level, a gap in a column without any.
    """

    def __init__(self, loaded: LoadedRun) -> None:
        self._loaded = loaded
        self._lock = Lock()  # the network writes into buffers of its own
        self._labels = None if loaded.classes is None else np.array(loaded.classes)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, here or in another process, is loaded from the same checkpoint."""
        return _loaded_again, (self._loaded.run.path.absolute(), str(self._loaded.checkpoint.absolute()))

    def __repr__(self) -> str:
        return f"<Model of {self._loaded.run.path}, epoch {self._loaded.epoch}>"

    @property
    def loaded(self) -> LoadedRun:
        """The run that it is of: its checkpoint, scaling and encoding."""
        return self._loaded

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, in the order of `probabilities`; None for a regression."""
        return self._loaded.classes

    @property
    def target_names(self) -> tuple[str, ...] | None:
        """The names of a regression's targets, in the order of `predict`'s columns; None for a classifier."""
        return None if self.classes is not None else self._loaded.target_names

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of a table's columns; None when the data had none."""
        encoding = self._loaded.encoding
        return self._loaded.feature_names if encoding is None else tuple(column.name for column in encoding.columns)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example: (H, W, C) of pictures, (D,) of rows."""
        return self._loaded.input_shape

    @property
    def network(self) -> Network:
        """The network itself, which takes scaled inputs; `print` shows its layers."""
        return self._loaded.network

    def predict(self, x: Inputs) -> Array:
        """The class of each example, by name (N,); of a regression the values (N, K), float64, in their own units."""
        y = self.outputs(self.stored(x))
        if self._labels is not None:
            labels: Array = self._labels[y.argmax(axis=1)]
            return labels
        values: Array = self._loaded.values(y)
        require_finite(values)
        return values

    def probabilities(self, x: Inputs) -> Array:
        """The probability of each class (N, K), float64; the columns are `classes`. UsageError for a regression."""
        if self.classes is None:
            raise UsageError("a regression has no probabilities", "`predict` gives its values")
        return self._loaded.probabilities(self.outputs(self.stored(x)))

    def score(self, x: Inputs, t: Any) -> float:
        """The share of right answers, for t the classes by name or number (N,); of a regression R^2, for t (N, K).

        A number is the class of that name where all names are numbers, else the place in `classes`, from 0.

        R^2 is the mean over the targets, as scikit-learn's, of those that are not constant in t; NaN where all are.
        """
        predicted, t = self.predict(x), np.asarray(t)
        t = (t[:, np.newaxis] if t.ndim == 1 else t) if self.classes is None else _as_names(t, self.classes)
        if t.shape != predicted.shape:
            each = f" of {predicted.shape[1]} numbers" if self.classes is None and predicted.shape[1] > 1 else ""
            raise DataError(f"t has shape {t.shape}, but there are {len(predicted)} examples{each}")
        if not len(t):
            raise DataError("there are no examples to score")
        if self.classes is None:
            return R2()(t.astype(np.float64), predicted)
        return float(np.mean(predicted == t))

    def outputs(self, stored: Array) -> Array:
        """The network's raw outputs (N, K) for inputs as the data is stored; of a regression, for scaled targets."""
        y = self.outputs_or_not_finite(stored)
        require_finite(y)
        return y

    def outputs_or_not_finite(self, stored: Array) -> Array:
        """The same without an error: a row whose outputs are not finite spoils no other."""
        loaded = self._loaded
        y = np.empty((len(stored), loaded.outputs), np.float32)
        with self._lock:
            for start in range(0, len(stored), BATCH):
                part = stored[start : start + BATCH]
                y[start : start + BATCH] = loaded.outputs_of(part)
        return y

    def stored(self, x: Inputs) -> Array:
        """The inputs as the data is stored: uint8 pixels (N, H, W, C), or float32 features (N, D)."""
        loaded = self._loaded
        is_frame = hasattr(type(x), "columns") and hasattr(type(x), "__array__")
        if is_frame and self.feature_names is not None:
            return self._frame(x)
        if not is_frame and self.feature_names is not None and hasattr(x, "index") and hasattr(x, "to_dict"):  # a row
            x = x.to_dict()
        if isinstance(x, np.ma.MaskedArray):
            x = self._unmasked(x)
        if isinstance(x, np.ndarray) or hasattr(x, "__array_interface__"):  # which a picture of Pillow has
            return self._array(np.asarray(x))
        if isinstance(x, str | os.PathLike):
            return self._files([x])
        if isinstance(x, Mapping):
            return self._rows([x])
        if not isinstance(x, Iterable):
            kind = type(x).__name__
            article = "an" if kind[0].lower() in "aeiou" else "a"
            raise UsageError(f"{article} {kind} is no input", "give paths, an array, rows of numbers, or dicts")
        values = x if hasattr(x, "__array__") else list(x)
        if isinstance(values, list) and any(isinstance(each, np.ma.MaskedArray) for each in values):
            return self.stored(np.ma.stack(values))
        if isinstance(values, list) and values and all(isinstance(each, Mapping) for each in values):
            return self._rows(values)
        if isinstance(values, list) and values and all(isinstance(each, str | os.PathLike) for each in values):
            return self._files(values)
        if isinstance(values, list) and not values:
            return np.empty((0, *loaded.input_shape), np.uint8 if loaded.takes_images else np.float32)
        try:
            return self._array(np.asarray(values))
        except ValueError:  # rows of different lengths
            raise DataError("x: its rows do not have the same number of values") from None
        except (TypeError, RuntimeError) as error:  # as a tensor that NumPy has no type for, or one with a gradient
            raise DataError(f"x: no array can be made of a {type(x).__name__}: {error}") from None

    def _unmasked(self, x: np.ma.MaskedArray[Any, Any]) -> Array:
        """What a mask hides is a gap, which pictures have none of."""
        if not np.ma.getmaskarray(x).any():
            return x.data
        if self._loaded.takes_images:
            raise DataError("x: pixels are masked, and pictures have no gaps", "fill them in: x.filled(0)")
        return np.ma.filled(x.astype(np.float64), np.nan)

    def _frame(self, frame: Any) -> Array:
        """A DataFrame of pandas or Polars, its columns by name; by position where they are but counted."""
        names, has = self.feature_names or (), [str(each) for each in frame.columns]
        if has == [str(number) for number in range(len(names))] and not set(has) & set(names):
            return self._array(np.asarray(frame))
        missing = [name for name in names if name not in has]
        if missing:
            raise DataError(f"x: the table has no column {missing[0]!r}{did_you_mean(missing[0], has)}")
        used = frame[list(names)]
        rows = used.to_dicts() if hasattr(used, "to_dicts") else used.to_dict("records")
        return self._rows(rows)

    def _array(self, x: Array) -> Array:
        loaded = self._loaded
        if x.dtype.kind not in "biuf":
            raise DataError(f"x: an array of {x.dtype}, not of numbers")
        if loaded.encoding is not None or x.shape[1:] != loaded.input_shape:
            rows = as_rows(loaded, x.shape, "x")
            x = rows.in_order(x.reshape(rows.number, rows.size))
        stored = stored_rows(loaded, x, "x")
        _warn({"x": doubt(loaded, x, stored)})
        return stored

    def _files(self, paths: Iterable[str | os.PathLike[str]]) -> Array:
        # An absolute path: a file may be called `-`, which stands for standard input elsewhere.
        texts = [os.fspath(each) and os.path.abspath(each) for each in paths]
        found = list(items(self._loaded, texts, ()))
        stored = np.empty((len(found), *self.input_shape), np.uint8 if self._loaded.takes_images else np.float32)
        for row, item in enumerate(found):
            stored[row] = item.read()
        _warn({item.name: item.note for item in found})
        return stored

    def _rows(self, rows: list[Mapping[str, Any]]) -> Array:
        names, encoding = self.feature_names, self._loaded.encoding
        if names is None:
            raise DataError("x: dicts need columns with names, which the run's data had none of", "give an array")
        has_units = encoding is not None and any(isinstance(each, Number) and each.unit for each in encoding.columns)
        has_text = has_units and any(isinstance(cell, str) for row in rows for cell in row.values())
        if has_text or (encoding is not None and not encoding.schema.is_plain):
            return self._records(rows)
        values = np.empty((len(rows), len(names)))
        for number, row in enumerate(rows):
            for column, name in enumerate(names):
                if name not in row:
                    raise DataError(f"x: row {number} has no {name!r}{did_you_mean(name, map(str, row))}")
                cell = np.nan if _is_gap(row[name]) else row[name]
                if not isinstance(cell, Real | Decimal | np.bool_):
                    raise DataError(f"x: row {number}: {name!r} is {cell!r:.40}, not a number")
                try:
                    values[number, column] = float(cell)
                except OverflowError:
                    raise DataError(f"x: row {number}: {name!r} is larger than any number here") from None
        return stored_rows(self._loaded, values, "x")

    def _records(self, rows: list[Mapping[str, Any]]) -> Array:
        """Rows with text or dates, as JSON objects are read."""
        columns = self._loaded.encoding.columns if self._loaded.encoding is not None else ()
        formats = {column.name: column.format for column in columns if isinstance(column, Date)}
        plain = [
            {
                column.name: _plain(row[column.name], number, column.name, formats.get(column.name, ""))
                for column in columns
                if column.name in row
            }
            for number, row in enumerate(rows)
        ]
        stored = np.empty((len(rows), *self.input_shape), np.float32)
        found = list(record_items(self._loaded, list(enumerate(plain, start=1)), ()))
        for number, item in enumerate(found):
            try:
                stored[number] = item.read()
            except DataError as error:
                raise DataError(f"x: row {number}: {error.message.removeprefix(f'{item.name}: ')}") from None
        _warn({f"row {number}": item.note for number, item in enumerate(found)})
        return stored


def _warn(notes: Mapping[str, str]) -> None:
    """Warns, at the line that asked a Model, of rows that have what training had not."""
    note, frame, level = unlike_training(notes), sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame, level = frame.f_back, level + 1
    if note:
        warnings.warn(note, stacklevel=level)


def _loaded_again(run: Path, checkpoint: str) -> Model:
    return Model(load_run(run, checkpoint))


def _as_names(t: Array, classes: tuple[str, ...]) -> Array:
    """Labels (N,) by name, from names or numbers. Raises DataError for what is no class."""
    if t.dtype.kind == "O":
        t = np.asarray(t.tolist())
    if t.dtype.kind == "f" and np.all(t == np.rint(t)):
        t = t.astype(np.int64)
    if t.dtype.kind == "b" and not set(classes) <= {"True", "False"}:
        t = t.astype(np.int64)
    if t.dtype.kind in "iu" and not all(name.removeprefix("-").isdecimal() for name in classes):
        if t.size and not 0 <= t.min() <= t.max() < len(classes):
            raise DataError(f"t holds numbers from {t.min()} to {t.max()}, but there are {len(classes)} classes")
        return np.array(classes)[t]
    named = t.astype(str) if t.dtype.kind in "iub" else t
    if unknown := sorted(set(named.ravel().tolist()) - set(classes), key=str):
        raise DataError(f"t holds {unknown[0]!r}{did_you_mean(str(unknown[0]), classes)}, which is no class")
    return named


def _is_gap(cell: Any) -> bool:
    """None, and what pandas has in its place."""
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)


def _plain(cell: Any, number: int, name: str, format: str) -> str | float | bool | None:
    """A cell of a dict as JSON has it: NumPy's numbers as Python's, dates in ISO's notation, times as their column."""
    if isinstance(cell, np.datetime64):
        cell = cell.astype("datetime64[us]")  # of nanoseconds Python has but a number
    value = cell.item() if isinstance(cell, np.generic) else cell
    if _is_gap(value):
        return None
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return Digits(repr(value))  # whose point is one in any country
    if isinstance(value, time) and format:
        written = value.strftime(format)
        with suppress(ValueError):  # a notation that Python does not know
            if datetime.strptime(written, format).time() == value:
                return written
    if isinstance(value, date | time):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise DataError(f"x: row {number}: {name!r} is {cell!r:.40}, neither text, a number nor a moment")
