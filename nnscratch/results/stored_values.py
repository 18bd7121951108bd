"""Numbers of an input as the data is stored: pixels as bytes, features as float32."""

from __future__ import annotations

import numpy as np

from nnscratch.errors import DataError
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.loaded import LoadedRun


def stored(loaded: LoadedRun, values: Array, name: str) -> Array:
    """The values of one example, in the network's input shape. Raises DataError when they are no such values."""
    return as_stored(loaded, values, name).reshape(loaded.input_shape)


def as_stored(loaded: LoadedRun, values: Array, name: str) -> Array:
    """Values of any number of examples, likewise, in the shape that they have."""
    if loaded.takes_images:
        return values if values.dtype == np.uint8 else _as_bytes(loaded, values, name)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds a value that is not a finite number")
    return values


def _as_bytes(loaded: LoadedRun, values: Array, name: str) -> Array:
    """Pixels 0..255, or 0..white where that is what they can be: fractions, or numbers of more than 8 bits.

    Of an array to learn from, all were 0..white. Among files some may have had 16 bits: that others have is seen from
    their type, or their values.
    """
    white = loaded.white
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    is_deep = values.dtype == np.uint16 or high > 255
    if white is not None and low >= 0 and high <= white and (is_deep or white <= 255 or loaded.is_of_arrays):
        values = np.rint(values * (255 / white))
    elif not (np.all(values == np.rint(values)) and low >= 0 and high <= 255):
        or_deep = "" if white is None else f", or 0..{white:g} as the run's data"
        is_scaled = low >= 0 and high <= 1
        advice = "; they look scaled to 0..1: give (255 * x).round().astype('uint8')" if is_scaled else ""
        raise DataError(f"{name}: pixels must be whole numbers 0..255{or_deep}{advice}")
    return values.astype(np.uint8)
