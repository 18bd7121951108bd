"""Reads pickles that hold NumPy byte arrays, and runs nothing that a pickle asks for.

A pickle is a program: `pickle.load` calls whatever the file names. Here every name is refused but the three that NumPy
writes for an array, and even these stand for the small classes below, which only look at what they are given.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.errors import DataError


class _Type:
    """Stands for numpy.dtype; only unsigned bytes pass."""

    def __init__(self, name: object = None, *_: object) -> None:
        self.name = name.decode("latin-1") if isinstance(name, bytes) else name
        if self.name not in ("u1", "|u1", "B"):
            raise DataError(f"it holds an array of type {self.name!r}; only unsigned bytes are read")

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment: without meaning for bytes."""


class _Array:
    """Stands for numpy.ndarray: keeps shape and bytes, and checks that they agree."""

    values: Array | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise DataError("it holds an array in an unknown form")
        _, shape, kind, fortran_order, content = state
        dimensions_are_numbers = isinstance(shape, tuple) and all(isinstance(length, int) for length in shape)
        if not dimensions_are_numbers or not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise DataError("it holds an array in an unknown form")
        try:
            flat = np.frombuffer(content, dtype=np.uint8)
            self.values = flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)
        except (ValueError, OverflowError, TypeError) as error:
            raise DataError(f"it holds an array of shape {shape} with {len(content):,} bytes") from error


def _reconstruct(*_: object) -> _Array:
    """Stands for numpy.core.multiarray._reconstruct, which makes an array for __setstate__ to fill."""
    return _Array()


_ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


_OPERATIONS: Any = pickle._Unpickler
"""The class's methods, of which its types know nothing."""


# The pure-Python class keeps its memo in a dict; the C class allocates gigabytes when a hostile file says index 2**32.
class _ArrayUnpickler(pickle._Unpickler):
    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DataError(f"it asks for {module}.{name}, which may run code; only NumPy arrays are read") from None

    # A key is hashed: nested tuples that hold one another twice, 128 deep, would take longer than the world is old.
    def _setitem(self) -> None:
        _require_text(self.stack[-2])
        _OPERATIONS.load_setitem(self)

    def _setitems(self) -> None:
        _require_text(*self.stack[::2])
        _OPERATIONS.load_setitems(self)

    def _dict(self) -> None:
        _require_text(*self.stack[::2])
        _OPERATIONS.load_dict(self)

    def _set(self) -> None:
        raise DataError("it holds a set; only a dict of NumPy arrays is read")

    dispatch: ClassVar[dict[int, Any]] = {
        **_OPERATIONS.dispatch,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
        pickle.DICT[0]: _dict,
        pickle.ADDITEMS[0]: _set,
        pickle.FROZENSET[0]: _set,
    }


def _require_text(*keys: object) -> None:
    if not all(isinstance(key, bytes | str | int) for key in keys):
        raise DataError("it has a key that is neither text nor a number")


def read_pickled_dict(path: Path, largest: int) -> dict[str, object]:
    """The dict in a pickle, its keys as text, its NumPy arrays as uint8 arrays; byte strings stay bytes.

    Raises DataError when the file is larger than `largest` bytes, is no pickle, or asks for anything but an array.
    """
    size = path.stat().st_size
    if size > largest:
        raise DataError(f"{path}: {size:,} bytes, but at most {largest:,} are expected")
    try:
        with path.open("rb") as stream:
            # The file was written by Python 2, whose strings are bytes.
            content = _ArrayUnpickler(stream, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path}: refused: {error.message}") from error
    # A damaged pickle can fail in any operation: wrong types, missing marks, bad indices, endless nesting.
    except Exception as error:
        raise DataError(f"{path}: damaged, or not a pickle: {error or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not a dict")
    return {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): _unwrapped(value)
        for key, value in content.items()
    }


def _unwrapped(value: object) -> object:
    return value.values if isinstance(value, _Array) else value
