"""What arrays of inputs mean: features, or pixels in whatever order, type and range somebody saved them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.description import Guess
from nnscratch.datasets.formats.npy import NPYHeader
from nnscratch.datasets.formats.white import FAINTEST, OVERSHOOT, white_of_array
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
        for block in filter(np.size, blocks):
            low, high = float(block.min()), float(block.max())
            span.finite &= bool(np.isfinite(low) and np.isfinite(high))
            span.low, span.high = min(span.low, low), max(span.high, high)
            if block.dtype.kind == "f" and span.whole:
                span.whole = bool((block == np.rint(block)).all())
            if span.high > enough:
                break
        return span


def together(spans: Iterable[Span]) -> Span:
    """The span of all of them."""
    every = list(spans) or [Span()]
    return Span(
        min(span.low for span in every),
        max(span.high for span in every),
        all(span.finite for span in every),
        all(span.whole for span in every),
    )


@dataclass(frozen=True)
class Pixels:
    """What the numbers of all pictures of a file mean, whatever types its splits have."""

    bytes: Span
    """Of all splits of bytes."""
    others: Span
    """Of all other splits."""
    white: float
    bytes_are_plain: bool
    """Bytes are pixels as they are, else numbers in the unit of the others."""

    @classmethod
    def of(cls, bytes: Mapping[str, Span], others: Mapping[str, Span]) -> Pixels:
        """Of the splits of bytes and of all others, by name: few greys in bytes are in the unit of the others.

        Raises DataError when some splits are fractions of white and others are not.
        """
        of_bytes, of_others = together(bytes.values()), together(others.values())
        are_few = of_bytes.high <= FAINTEST
        if others:
            _require_alike({**(bytes if are_few else {}), **others})
        # Beside plain bytes, whole numbers above one are as dark as they are; fractions and broken numbers are not.
        is_counted = are_few or (of_others.whole and of_others.high > 1)
        every = together([of_bytes, of_others]) if is_counted else of_others
        white = white_of_array(every.high, every.whole)
        return cls(of_bytes, of_others, white, not are_few or white >= 255 or (of_bytes.high <= 0 and not others))

    @classmethod
    def of_before(cls, bytes: Mapping[str, Span], others: Mapping[str, Span]) -> Pixels:
        """The same as runs of before took it: bytes are plain, and broken numbers were not told from whole ones."""
        of_others = together(others.values())
        return cls(together(bytes.values()), of_others, white_of_array(of_others.high), bytes_are_plain=True)


def _require_alike(spans: Mapping[str, Span]) -> None:
    """Raises DataError when some splits are fractions of white and others are not."""
    high = together(spans.values()).high
    most = OVERSHOOT if high > OVERSHOOT * FAINTEST else 1  # between fractions and bytes is a unit of its own
    fractions = [name for name, span in spans.items() if 0 < span.high <= most]
    if fractions and high > OVERSHOOT:
        told = ", ".join(f"{name.rpartition(': ')[2]} {span.low:g} to {span.high:g}" for name, span in spans.items())
        is_negative = together(spans.values()).low < 0
        raise DataError(
            f"{fractions[0]}: the splits hold pixels of different ranges: {told}",
            _made_bytes("x")
            if is_negative
            else "scale them alike: x = (255 * x).round().astype('uint8') makes bytes of fractions",
        )


def _made_bytes(key: str) -> str:
    """What makes pixels of numbers of any range, and does the same to every split."""
    return (
        f"mend them with {key} = numpy.rint(({key} - low) / (high - low) * 255).clip(0, 255).astype('uint8'), low and "
        "high the least and the largest of x_train for every split"
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


def plan_inputs(name: str, header: NPYHeader, pixels: Callable[[], Pixels]) -> InputPlan:
    """What to make of an array of inputs; `pixels` says what those of all splits mean.

    Raises DataError, with the line of NumPy that mends it.
    """
    shape, kind = header.shape, header.dtype.kind
    key = name.rpartition(": ")[2]
    if kind in "biuf" and len(shape) in (1, 2):
        guess = (Guess("inputs", "one number each", f"{key} has shape {shape}"),) if len(shape) == 1 else ()
        return InputPlan(shape[1:] or (1,), np.float32, partial(_as_features, name, key), guess)
    if kind in "biuf" and len(shape) in (3, 4):
        return _plan_pixels(name, key, header, pixels())
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


def _plan_pixels(name: str, key: str, header: NPYHeader, pixels: Pixels) -> InputPlan:
    shape, guesses = header.shape, []
    first, last = shape[1] in COLOURS, shape[-1] in COLOURS
    if not (first or last):  # channels of a microscope or a satellite: beside them, pictures are mostly square
        first = len(shape) == 4 and shape[2] == shape[3] != shape[1]
    is_first = len(shape) == 4 and first and not last
    if len(shape) == 4 and (is_first or first == last):
        taken = "first (N, C, H, W)" if is_first else "last (N, H, W, C)"
        guesses.append(Guess("channel order", taken, f"{key} has shape {shape}"))
    is_bytes = header.dtype == np.uint8
    span, white = (
        (pixels.bytes, None if pixels.bytes_are_plain else pixels.white) if is_bytes else (pixels.others, pixels.white)
    )
    if not is_bytes:
        _require_pixels(name, key, header, span)
    factor = 255 / (white or 255)
    if white is not None:
        what = "rounded to bytes" if white == 255 else f"{white:g} becomes 255"
        more = "" if span.high <= white else ", and so does what is above it"
        guesses.append(Guess("pixels", f"{header.dtype}, {what}{more}", f"{key} holds {span.low:g} to {span.high:.9g}"))

    def convert(rows: Array) -> Array:
        if white is not None:
            rows = np.minimum(np.rint(rows * factor), 255).astype(np.uint8)
        if rows.ndim == 3:
            return rows[..., np.newaxis]
        return np.moveaxis(rows, 1, -1) if is_first else rows

    example = (*shape[2:], shape[1]) if is_first else shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    return InputPlan(example, np.uint8, convert, tuple(guesses), white)


def _require_pixels(name: str, key: str, header: NPYHeader, span: Span) -> None:
    """Raises DataError for numbers that are no pixels."""
    if not span.finite:
        raise DataError(
            f"{name}: pixels hold NaN or infinity",
            f"{key} = numpy.nan_to_num({key}, nan=0, posinf=0, neginf=0) makes these pixels black",
        )
    if span.low < 0:
        raise DataError(
            f"{name}: inputs are {header.dtype} of shape {header.shape} from {span.low:g} to {span.high:g}; pixels "
            "have no negative values",
            f"{_made_bytes(key)}; or make features of them: {key} = {key}.reshape(len({key}), -1)",
        )
