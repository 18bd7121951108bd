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
    if loaded.takes_images and values.dtype != np.uint8 and loaded.white is not None:
        values = np.rint(values * (255 / loaded.white))
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
