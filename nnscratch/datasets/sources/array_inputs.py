"""What arrays of inputs mean: features, or pixels in whatever order, type and range somebody saved them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.description import Guess
from nnscratch.datasets.formats.npy import NPYHeader
from nnscratch.datasets.formats.white import FAINTEST, white_of, white_of_array
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.errors import DataError

COLOURS = (1, 3, 4)
"""How many channels pictures have: grey, RGB, and RGB with transparency."""


@dataclass
class Span:
    """The least and largest of some numbers, whether all are finite, and whether all are whole."""

    low: float = np.inf
    high: float = -np.inf
    finite: bool = True
    whole: bool = True

    @classmethod
    def of(cls, blocks: Iterable[Array], enough: float = np.inf) -> Span:
        """Of all blocks together; of no more of them when a number is larger than `enough`."""
        span = cls()
        for block in blocks:
            low, high = float(block.min()), float(block.max())
            span.finite &= bool(np.isfinite(low) and np.isfinite(high))
            span.low, span.high = min(span.low, low), max(span.high, high)
            if block.dtype.kind == "f" and span.whole:
                span.whole = bool((block == np.rint(block)).all())
            if span.high > enough:
                break
        return span


def together(spans: Mapping[str, Span]) -> Span:
    """The span of all splits."""
    every = spans.values()
    return Span(
        min(span.low for span in every),
        max(span.high for span in every),
        all(span.finite for span in every),
        all(span.whole for span in every),
    )


def require_alike(spans: Mapping[str, Span]) -> None:
    """Raises DataError when some splits are fractions of white and others are not."""
    fractions = [name for name, span in spans.items() if span.high > 0 and white_of(span.high, span.whole) == 1]
    if fractions and len(fractions) < len(spans):
        told = ", ".join(f"{name.rpartition(': ')[2]} {span.low:g} to {span.high:g}" for name, span in spans.items())
        raise DataError(
            f"{fractions[0]}: the splits hold pixels of different ranges: {told}",
            "scale them alike: x = (255 * x).round().astype('uint8') makes bytes of fractions",
        )


@dataclass(frozen=True)
class InputPlan:
    """How the rows of an array become a dataset's inputs."""

    shape: tuple[int, ...]
    """Of one example."""
    dtype: type[np.generic]
    convert: Callable[[Array], Array]
    """Rows as they are stored -> rows of `shape` and `dtype`."""
    guesses: tuple[Guess, ...] = ()
    white: float | None = None


def plan_inputs(
    name: str, header: NPYHeader, span: Callable[[], Span], trained_on: TrainedOn | None = None
) -> InputPlan:
    """What to make of an array of inputs; `span` is that of its kind: of all arrays of bytes, or of all others.

    Raises DataError, with the line of NumPy that mends it.
    """
    shape, kind = header.shape, header.dtype.kind
    key = name.rpartition(": ")[2]
    if kind in "biuf" and len(shape) in (1, 2):
        guess = (Guess("inputs", "one number each", f"{key} has shape {shape}"),) if len(shape) == 1 else ()
        return InputPlan(shape[1:] or (1,), np.float32, partial(_as_features, name, key), guess)
    if kind in "biuf" and len(shape) in (3, 4):
        return _plan_pixels(name, key, header, span, trained_on)
    hint = "images are numbers (N, H, W), (N, H, W, C) or (N, C, H, W), features are numbers (N, D)"
    if kind in "biuf" and len(shape) > 4:
        hint += f": {key} = {key}.reshape(len({key}), -1) makes features of them"
    elif kind == "U":
        hint += f": {key} = {key}.astype(float), where the text is numbers"
    elif kind == "c":
        hint += f": {key} = abs({key})"
    raise DataError(f"{name}: inputs are {header.dtype} of shape {shape}", hint)


def _as_features(name: str, key: str, rows: Array) -> Array:
    """Raises DataError for gaps, and where float32 lacks the digits that tell the rows apart: times, counters."""
    with np.errstate(over="ignore", invalid="ignore"):
        flat = rows.reshape(len(rows), -1)
        features = flat.astype(np.float32)
        if not np.isfinite(features).all():
            raise DataError(
                f"{name}: inputs hold NaN or infinity",
                f"{key} = numpy.where(numpy.isfinite({key}), {key}, numpy.nanmedian({key}, axis=0)) fills them in",
            )
        if rows.dtype.itemsize > 2 and rows.dtype != np.float32 and np.max(np.abs(features), initial=0) > 2**12:
            lost = np.max(np.abs(flat - features.astype(np.float64)), axis=0)
            if np.any((lost > 1e-3 * np.std(flat, axis=0)) & (np.max(np.abs(features), axis=0) > 2**12)):
                raise DataError(
                    f"{name}: numbers as large as {np.max(np.abs(flat)):.10g} that differ in digits which 32 bits lack",
                    f"{key} = {key} - numpy.median({key}, axis=0) keeps their differences, of every split alike",
                )
    return features


def _plan_pixels(
    name: str, key: str, header: NPYHeader, span: Callable[[], Span], trained_on: TrainedOn | None
) -> InputPlan:
    shape, guesses = header.shape, []
    first, last = shape[1] in COLOURS, shape[-1] in COLOURS
    if not (first or last):  # channels of a microscope or a satellite: beside them, pictures are mostly square
        first = len(shape) == 4 and shape[2] == shape[3] != shape[1]
    is_first = len(shape) == 4 and first and not last
    if len(shape) == 4 and (is_first or first == last):
        taken = "first (N, C, H, W)" if is_first else "last (N, H, W, C)"
        guesses.append(Guess("channel order", taken, f"{key} has shape {shape}"))
    white = _white(name, key, header, span(), trained_on)
    factor = 255 / (white or 255)
    if white is not None:
        high = span().high
        what = "rounded to bytes" if white == 255 else f"{white:g} becomes 255"
        more = "" if high <= white else ", and so does what is above it"
        guesses.append(Guess("pixels", f"{header.dtype}, {what}{more}", f"{key} holds {span().low:g} to {high:.9g}"))

    def convert(rows: Array) -> Array:
        if white is not None:
            rows = np.minimum(np.rint(rows * factor), 255).astype(np.uint8)
        if rows.ndim == 3:
            return rows[..., np.newaxis]
        return np.moveaxis(rows, 1, -1) if is_first else rows

    example = (*shape[2:], shape[1]) if is_first else shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    return InputPlan(example, np.uint8, convert, tuple(guesses), white)


def _white(name: str, key: str, header: NPYHeader, span: Span, trained_on: TrainedOn | None) -> float | None:
    """The value that is white, None for bytes as they are. Raises DataError for numbers that are no pixels."""
    if header.dtype == np.uint8:
        is_as_before = trained_on is not None and trained_on.white is None
        return white_of_array(span.high) if 0 < span.high <= FAINTEST and not is_as_before else None
    if not span.finite:
        raise DataError(f"{name}: pixels hold NaN or infinity", f"mend them with {key} = numpy.nan_to_num({key})")
    if span.low < 0:
        raise DataError(
            f"{name}: inputs are {header.dtype} of shape {header.shape} from {span.low:g} to {span.high:g}; pixels "
            "have no negative values",
            f"mend them with {key} = numpy.rint(({key} - {key}.min()) / numpy.ptp({key}) * 255).astype('uint8'), or "
            f"make features of them: {key} = {key}.reshape(len({key}), -1)",
        )
    before = white_of_array(span.high)  # as runs took it that did not tell broken numbers from whole ones
    if trained_on is not None and trained_on.white == before:
        return before
    return white_of_array(span.high, span.whole)
