"""Units that stand behind the numbers of a column, as in 87 kg, 170cm and 3.4M: which it is, and cells without it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.parsing import stripped
from nnscratch.datasets.tables.text import MEASURED, unit_pattern, word_pattern

MOST = 4
"""Texts behind numbers that may be units; cells with more of them are codes."""
NO_UNITS = ("st", "nd", "rd", "th", "am", "pm", "a.m.", "p.m.", "uhr", "e2", "e3")
"""What makes ordinals, times and powers of ten, in small letters."""


def units_of(known: pl.Series) -> list[str]:
    """What stands behind the numbers in at least half of the stripped cells, of a word and its plural the shorter.

    Numbers with leading zeros are parts of a name.
    """
    found = known.str.extract(MEASURED).drop_nulls()
    if 2 * len(found) < len(known) or known.str.contains(r"^0\d").any():
        return []
    units: list[str] = []
    for unit in sorted(found.unique().to_list(), key=lambda unit: (len(unit), unit)):
        if not any(re.fullmatch(word_pattern(shorter), unit) for shorter in units):
            units.append(unit)
    return units if len(units) <= MOST else []


def may_be_units(units: Sequence[str]) -> bool:
    """Whether several of them may be units, and not what makes ordinals, or nothing but single letters, as of seats."""
    return any(len(unit) > 1 for unit in units) and not any(unit.lower() in NO_UNITS for unit in units)


def unit_of(known: pl.Series) -> str:
    """The one unit of these stripped cells, "" where there is none, or are several."""
    units = units_of(known) if known.dtype == pl.String else []
    return units[0] if len(units) == 1 and units[0].lower() not in NO_UNITS else ""


def without_unit(cells: pl.Series, unit: str) -> pl.Series:
    """The cells, stripped, as numbers without their unit; all others as they are."""
    if not unit or cells.dtype != pl.String:
        return cells
    return stripped(cells).str.replace(unit_pattern(unit), "$1")


def lack_unit(cells: pl.Series, unit: str) -> NDArray[np.bool_]:
    """Which cells do not have the unit at their end."""
    if cells.dtype != pl.String:
        return np.ones(len(cells), bool)
    return ~stripped(cells).str.contains(unit_pattern(unit)).fill_null(value=True).to_numpy()
