"""Which number is white in pixels that are no plain bytes: how large they become says it."""

from __future__ import annotations

WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""What can count as white in numbers of more than 8 bits: fractions, and what 8, 10, 12, 14 and 16 bits hold."""
FAINTEST = 16.0
"""White in arrays of whole numbers, where none is more than this: sixteen greys, as small digits have."""
OVERSHOOT = 1.05
"""Broken numbers come to lie so far above their white when a picture is resized, or rounded to 32 bits."""
BRIGHTER = 1.2
"""New pictures may be so much brighter than the brightest of the training, from which white is but guessed."""


def white_of(peak: float, is_whole: bool = True) -> float:
    """The smallest of WHITES that is at least the peak, or the peak itself: 12 bits in 16 are not black.

    Broken numbers may be a little larger than their white, and those between fractions and bytes have none.
    """
    if not is_whole and OVERSHOOT < peak <= OVERSHOOT * FAINTEST:
        return float(peak)
    return next((white for white in WHITES if peak <= reach(white, is_whole)), float(peak))


def white_of_array(peak: float, is_whole: bool = True) -> float:
    """The same of an array, all of whose numbers are in the same unit."""
    return FAINTEST if is_whole and 1 < peak <= FAINTEST else white_of(peak, is_whole)


def reach(white: float, is_whole: bool) -> float:
    """The largest number that pixels may hold where that is white."""
    return white if is_whole else OVERSHOOT * white


def in_words(white: float, peak: float) -> str:
    """The white in words, with what becomes of larger numbers where there are any."""
    return f"{white:g}" if peak <= white else f"{white:g}, and so is what is above it"
