"""Numbers of an input as the data is stored: pixels as bytes, features as float32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nnscratch.errors import DataError
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.loaded import LoadedRun


def stored(loaded: LoadedRun, values: Array, name: str, of_all: tuple[float, bool] | None = None) -> Array:
    """The values of one example, in the network's input shape. Raises DataError when they are no such values."""
    return as_stored(loaded, values, name, of_all).reshape(loaded.input_shape)


def as_stored(loaded: LoadedRun, values: Array, name: str, of_all: tuple[float, bool] | None = None) -> Array:
    """Values of any number of examples, likewise, in the shape that they have; `of_all` as in `pixels`."""
    if loaded.takes_images and values.dtype == np.uint8 and (loaded.white is None or not loaded.one_white):
        return values  # as runs of before took all bytes; nothing of the config is needed
    if loaded.takes_images:
        try:
            return pixels(values, loaded.white, loaded.is_of_arrays, of_all)
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds a value that is not a finite number")
    return values


def largest(loaded: LoadedRun, rows: Iterable[Array]) -> tuple[float, bool] | None:
    """The largest number of all pixels, and whether all are whole, where that decides what they mean: see `pixels`.

    A row that is damaged has no part in it.
    """
    if not loaded.takes_images or loaded.white is None:
        return None
    peak, are_whole = -np.inf, True
    for row in rows:
        if np.isfinite(row).all():
            peak, are_whole = max(peak, float(row.max())), are_whole and bool(np.all(row == np.rint(row)))
    return peak, are_whole


def pixels(x: Array, white: float | None, is_of_arrays: bool, of_all: tuple[float, bool] | None = None) -> Array:
    """Pixels as bytes: 0..255, or 0..white where that is what they can be: fractions, or numbers of more than 8 bits.

    Of an array to learn from, all were 0..white. Among files some may have had 16 bits: that others have is seen from
    their type, or their values. Broken numbers may be a little above white, as resizing leaves them. Of rows of an
    array, its largest number decides for all, and whether all are whole: `of_all`.
    """
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    is_whole = bool(np.all(x == np.rint(x)))
    peak, are_whole = of_all or (high, is_whole)
    if x.dtype == np.uint8 and not (is_of_arrays and white is not None and peak <= white < 255):
        return x
    if x.dtype == np.bool_ and white != 1:
        raise ValueError("true and false may be 0 and 1, or 0 and 255: give x.astype('uint8'), or 255 * it")
    is_deep = x.dtype == np.uint16 or peak > 255
    is_within = white is not None and low >= 0 and max(high, peak) <= (white if are_whole else 1.05 * white)
    if white is not None and is_within and (is_deep or white <= 255 or is_of_arrays):
        x = np.minimum(np.rint(x * (255 / white)), 255)
    elif not (is_whole and low >= 0 and high <= 255):
        or_deep = "" if white is None else f", or 0..{white:g} as the run's data"
        is_scaled = low >= 0 and high <= 1
        advice = "; they look scaled to 0..1: give (255 * x).round().astype('uint8')" if is_scaled else ""
        raise ValueError(f"pixels must be whole numbers 0..255{or_deep}{advice}")
    return x.astype(np.uint8)


def doubt(loaded: LoadedRun, values: Array, taken: Array) -> str:
    """Why pixels of an array are likely not what they were taken for, "" for no reason; bytes are what they are."""
    if not loaded.takes_images or values.dtype == np.uint8 or not taken.size or taken.max() > 1:
        return ""
    is_of_run = loaded.white is not None and (loaded.is_of_arrays or values.dtype == np.uint16)
    peak, white = float(values.max()), loaded.white if is_of_run and loaded.white is not None else 255.0
    for likely, instead in ((1, f"{white:.0f} * x"), (255, "x.astype('uint8')")):
        if 0 < peak <= likely < white:
            return (
                f"none of its pixels is above {likely}, where {white:,.0f} is white, so it is all but black; "
                f"were {likely} white, give {instead}"
            )
    return ""
