"""JSON as every reader takes it."""

from __future__ import annotations

import json
import math
from typing import Any

ENCODER = json.JSONEncoder(allow_nan=False)


def json_text(value: object, indent: int | None = None) -> str:
    """Plain values, and NumPy's, as JSON; null for a number that is not finite, which JSON has no word for."""
    encoder = ENCODER if indent is None else json.JSONEncoder(indent=indent, allow_nan=False)
    try:
        return encoder.encode(value)
    except (TypeError, ValueError):
        return encoder.encode(_finite(value))


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, without importing NumPy
        plain: Any = value.tolist()
        is_itself = isinstance(plain, type(value))  # a longdouble
        return _finite(float(plain) if is_itself else plain)
    return value
