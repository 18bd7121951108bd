"""What a component must return; when it does not, the error names the file and line where it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from nnscratch.errors import ContractError
from nnscratch.nn.compute.buffers import Array, Shape


def is_shape(value: object) -> TypeGuard[Shape]:
    """Whether it is a tuple of whole numbers."""
    return isinstance(value, tuple) and all(isinstance(size, int | np.integer) for size in value)


def is_array(value: object, shape: Shape) -> TypeGuard[Array]:
    """Whether it is an array of that shape."""
    return isinstance(value, np.ndarray) and value.shape == shape


def broken(method: Callable[..., object], value: object, wanted: str) -> ContractError:
    """The error of a method that returned something else than it must; names its file and line."""
    code = getattr(method, "__code__", None)
    place = f"{Path(code.co_filename).name}, line {code.co_firstlineno}: " if code is not None else ""
    given = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else _said(value)
    hint = "it has to end with `return ...`" if value is None else None
    return ContractError(f"{place}{getattr(method, '__qualname__', method)} returned {given}, not {wanted}", hint)


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"
