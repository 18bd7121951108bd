"""Units that stand behind the numbers of a column, as in 87 kg, 170cm and 3.4M: which it is, and cells without it."""

from __future__ import annotations

from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.parsing import stripped
from nnscratch.datasets.tables.text import CURRENCIES, DIGITS, SIGN, UNIT, unit_pattern

MEASURED = rf"^(?:(?:{CURRENCIES})\s?)?{SIGN}(?:{DIGITS['.']}|{DIGITS[',']})\s?({UNIT})$"
MOST = 4
"""Texts behind numbers that may be units; cells with more of them are codes."""


def units_of(known: pl.Series) -> list[str]:
    """What stands behind the numbers in at least half of the stripped cells; of year and years the first alone.

    Numbers with leading zeros are parts of a name.
    """
    found = known.str.extract(MEASURED).drop_nulls()
    if 2 * len(found) < len(known) or known.str.contains(r"^0\d").any():
        return []
    units = sorted(set(found.to_list()))
    units = [unit for unit in units if len(unit) < 4 or unit[:-1] not in units or unit[-1] != "s"]
    return units if len(units) <= MOST else []


def unit_of(known: pl.Series) -> str:
    """The one unit of these stripped cells, "" where there is none, or are several."""
    units = units_of(known) if known.dtype == pl.String else []
    return units[0] if len(units) == 1 else ""


def without_unit(cells: pl.Series, unit: str) -> pl.Series:
    """The cells, stripped, as numbers without their unit; all others as they are."""
    if not unit or cells.dtype != pl.String:
        return cells
    return stripped(cells).str.replace(unit_pattern(unit), "$1")
