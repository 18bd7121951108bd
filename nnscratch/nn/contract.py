"""What a component must return; when it does not, the error names the file and line where it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from nnscratch.errors import ContractError
from nnscratch.nn.compute.buffers import Array, Shape

SENTINEL = 1234.5678
"""What stands where something is to be written: no formula gives it by chance."""


def is_shape(value: object) -> TypeGuard[Shape]:
    """Whether it is a tuple of whole numbers."""
    return isinstance(value, tuple) and all(isinstance(size, int | np.integer) for size in value)


def is_array(value: object, shape: Shape) -> TypeGuard[Array]:
    """Whether it is an array of that shape."""
    return isinstance(value, np.ndarray) and value.shape == shape


def broken(method: Callable[..., object], value: object, wanted: str) -> ContractError:
    """The error of a method that returned something else than it must; names its file and line."""
    given = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else _said(value)
    hint = "it has to end with `return ...`" if value is None else None
    return ContractError(f"{_place(method)}{_name(method)} returned {given}, not {wanted}", hint)


def unwritten(method: Callable[..., object], argument: str) -> ContractError:
    """The error of a method that did not write into an argument: `y = ...` binds the name to another array."""
    problem = f"wrote nothing into {argument}"
    return ContractError(f"{_place(method)}{_name(method)} {problem}", f"write `{argument}[...] = ...`")


def overwritten(method: Callable[..., object], argument: str) -> ContractError:
    """The error of a method that wrote over an argument that others still need."""
    problem = f"writes over {argument}, which others still need"
    return ContractError(f"{_place(method)}{_name(method)} {problem}", "write into an array of its own")


def _place(method: Callable[..., object]) -> str:
    code = getattr(method, "__code__", None)
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}: " if code is not None else ""


def _name(method: Callable[..., object]) -> object:
    return getattr(method, "__qualname__", method)


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"
