"""Cells of text to numbers: all cells of a column at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.text import CURRENCIES, GAPS, LARGEST, MINUS, WORDS, Values, number_pattern

Bad = NDArray[np.bool_]
Decimal = Literal[".", ","]
OTHER: dict[Decimal, Decimal] = {".": ",", ",": "."}
"""The other decimal mark."""

COMPACT = "%Y%m%d"
"""20240131, which looks like a number."""
ISO = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)  # fmt: skip
FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M%z", "%Y-%m-%d %H:%M%z", "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", COMPACT, "%Y%m%dT%H%M%S", "%Y%m%d %H:%M:%S",
    "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y.%m.%d",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%y",
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%y %H:%M",
    "%d/%m/%y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
    "%m-%d-%Y", "%d-%m-%Y", "%m-%d-%Y %H:%M", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%d-%b-%Y %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %d %Y", "%a %b %d %H:%M:%S %Y", "%H:%M", "%H:%M:%S", "%H.%M.%S", "%I:%M %p", "%I:%M:%S %p",
    "%b %Y", "%B %Y", "%Y-%m", "%m/%Y", "%b-%y", "%b-%Y",
)  # fmt: skip
EARLIEST, LATEST = -5.4e9, 8e9
"""Seconds since 1970 between which the dates are that show what a column is."""
FIRST, LAST = -62_135_596_801.0, 253_402_300_800.0
"""Seconds since 1970 between which the years 1 to 9999 are, the never and the always of databases."""
WHOLE = r"^([+-]?\d+)\.0+$"
"""A whole number with a point behind it."""
DIGITS_OF = {"%Y": r"\d{4}", "%y": r"\d\d", "%M": r"\d\d", "%S": r"\d\d"}


def stripped(cells: pl.Series) -> pl.Series:
    """The cells without blanks around them."""
    return cells.str.strip_chars(" \t\r\n\u00a0\u202f\u3000")


def gaps_in(cells: pl.Series) -> pl.Series:
    """Which stripped cells stand for a missing value."""
    cell = pl.col("cells")
    return cells.to_frame("cells").select(cell.is_null() | cell.str.to_lowercase().is_in(list(GAPS))).to_series()


def known_cells(cells: pl.Series, with_words: bool = False) -> pl.Series:
    """The distinct cells, stripped, that are no gap; `with_words`: all that are not empty, NA and None among them."""
    different = stripped(cells.unique()).unique().drop_nulls()
    return different.filter(different != "" if with_words else ~gaps_in(different))


def read_numbers(cells: pl.Series, decimal: str) -> tuple[Values, Bad]:
    """Numbers with that decimal mark; thousands separators, a currency and a percent sign are taken off (12 % is 12).

    What a float32 cannot hold counts as bad.
    """
    if cells.dtype == pl.Float64:
        values = cells.to_numpy()
        return values, np.abs(values) > LARGEST
    text = stripped(cells)
    is_gap = gaps_in(text)
    # With a decimal comma, 1.234 has a thousands separator.
    numbers = (
        text.cast(pl.Float64, strict=False)
        if decimal == "."
        else pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    )
    odd = (numbers.is_null() & ~is_gap).arg_true()
    if len(odd):
        numbers = numbers.scatter(odd, _cleaned(text.gather(odd), decimal))
    values = numbers.fill_null(np.nan).to_numpy().copy()
    gaps = is_gap.to_numpy()
    values[gaps] = np.nan
    bad = ~gaps & ~(np.abs(values) <= LARGEST)
    return values, bad


def has_fractions(values: Values) -> bool:
    """Whether some of the numbers is not whole; gaps and infinity are neither."""
    return bool(np.any(values[np.isfinite(values)] % 1 != 0))


def fitting_mark(cells: pl.Series, decimal: Decimal) -> Decimal:
    """The decimal mark, or the other where more of the different cells are numbers with that one.

    What is a number with neither, such as a wrong cell, says nothing.
    """
    if cells.dtype == pl.Float64 or not cells.str.contains("[.,]").any():
        return decimal
    known, other = known_cells(cells), OTHER[decimal]
    return other if read_numbers(known, other)[1].sum() < read_numbers(known, decimal)[1].sum() else decimal


def _cleaned(text: pl.Series, decimal: str) -> pl.Series:
    """The numbers in cells that are written for people; null for what is no number."""
    is_number = text.str.contains(number_pattern(decimal))
    if not is_number.any():
        return pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
    plain = text.str.replace_all(f"[{MINUS}]", "-").str.replace_all(rf"{CURRENCIES}|[%\s\u00a0\u2009\u202f'’]", "")
    plain = plain.str.replace(r"^\((.*)\)$", "-$1")
    plain = (
        plain.str.replace_all(",", "", literal=True)
        if decimal == "."
        else (plain.str.replace_all(".", "", literal=True).str.replace_all(",", ".", literal=True))
    )
    numbers = plain.cast(pl.Float64, strict=False)
    return pl.select(pl.when(is_number).then(numbers)).to_series()


def read_levels(cells: pl.Series, levels: Sequence[str], unknown: float) -> tuple[Values, Bad]:
    """The place of each cell among the levels; `unknown` for any other, none of which is bad."""
    values, others = _places(stripped(as_text(cells)), dict(zip(levels, range(len(levels)), strict=True)))
    values[others] = unknown
    return values, np.zeros(len(values), bool)


def read_booleans(cells: pl.Series, words: tuple[str, str]) -> tuple[Values, Bad]:
    """1 for yes and 0 for no, in these words or any others that people use, small letters or large."""
    codes = {word: code for pair in WORDS for code, word in enumerate(pair)}
    return _places(stripped(as_text(cells).str.to_lowercase()), codes | {words[0]: 0, words[1]: 1})


def _places(text: pl.Series, codes: Mapping[str, int]) -> tuple[Values, Bad]:
    """The code of each cell, NaN for others; and which of these are no gaps.

    As a whole number 1.0 is 1 and 1 is 1.0, which is how programs write such a column with a gap and without.
    """
    found = _replaced(text, codes)
    others = found.is_null().arg_true()
    if len(others):
        often = Counter(map(whole, codes))
        wholes = {whole(name): code for name, code in codes.items() if often[whole(name)] == 1}
        found = found.scatter(others, _replaced(text.gather(others).str.replace(WHOLE, "$1"), wholes))
    values = found.fill_null(np.nan).to_numpy().copy()
    return values, np.isnan(values) & ~gaps_in(text).to_numpy()


def _replaced(text: pl.Series, codes: Mapping[str, int]) -> pl.Series:
    numbers = [float(code) for code in codes.values()]
    return text.replace_strict(list(codes), numbers, default=None, return_dtype=pl.Float64)


def whole(name: str) -> str:
    """A whole number without zeros behind its point; all other text as it is."""
    return re.sub(WHOLE, r"\1", name)


def read_dates(cells: pl.Series, format: str, *, likely: bool = False) -> tuple[Values, Bad]:
    """Seconds since 1970 (of a time without a date: since midnight); for a whole date ISO's notation will do, too.

    With `likely`, dates before 1799 and after 2222 are none.
    """
    values, bad = dates_by_format(cells, [format], likely=likely)[format]
    if "%d" in format and bad.any():
        rows = np.flatnonzero(bad)
        for seconds, wrong in dates_by_format(cells.gather(rows), ISO, likely=likely).values():
            values[rows] = np.where(bad[rows], seconds, values[rows])
            bad[rows] &= wrong
    return values, bad


def dates_by_format(cells: pl.Series, formats: Sequence[str], *, likely: bool = True) -> dict[str, tuple[Values, Bad]]:
    """What `read_dates` gives for each of the formats and no other: all of them in one pass over the cells.

    A cell is a date as people write one: 15.06.22 is none of the year 22, and scores such as 2-8 none of the year 2.
    """
    first, last = (EARLIEST, LATEST) if likely else (FIRST, LAST)
    text = stripped(as_text(cells))
    gaps = gaps_in(text).to_numpy()
    frame = text.to_frame("text").select(_seconds(pl.col("text"), format).alias(format) for format in formats)
    read = {}
    for seconds in frame:
        values, pattern = seconds.to_numpy().copy(), date_pattern(seconds.name)
        is_date = (values > first) & (values < last) & ~gaps
        if is_date.any() and pattern:
            is_date &= text.str.contains(pattern).fill_null(value=False).to_numpy()
        values[~is_date] = np.nan
        read[seconds.name] = values, ~is_date & ~gaps
    return read


def _seconds(text: pl.Expr, format: str) -> pl.Expr:
    if "%d" not in format and ("%Y" in format or "%y" in format):  # a month alone
        text, format = "1 " + text, f"%d {format}"
    if "%d" not in format:
        text, format = "1970-01-01 " + text, f"%Y-%m-%d {format}"
    if "%z" in format:
        text = text.str.replace(r"([zZ]|\s(?:GMT|UTC))$", "+0000")
    moments = text.str.strptime(pl.Datetime("us"), format, strict=False, exact=True)
    # With a time zone, too, these are the microseconds since 1970 in UTC.
    return (moments.dt.timestamp("us").cast(pl.Float64) / 1e6).fill_null(float("nan"))


def date_pattern(format: str) -> str:
    """A pattern of cells whose years and minutes have all their digits: 2.8.1 is no date, 2:2 no time.

    It is empty where a notation has neither.
    """
    if not any(part in format for part in DIGITS_OF):
        return ""
    parts = (
        DIGITS_OF[part] if part in DIGITS_OF else ".*" if part.startswith("%") else re.escape(part)
        for part in re.split(r"(%\.?\w)", format)
    )
    return f"^{''.join(parts)}$"


def shown(cells: pl.Series, row: int | np.integer[Any]) -> str:
    """What stands in a cell, as a message shows it: shortened, a number without zeros behind its point."""
    cell = cells[int(row)]
    return (f"{cell:.15g}" if isinstance(cell, float) else str(cell))[:40]


def as_text(cells: pl.Series) -> pl.Series:
    """The cells as text: a whole number without a fraction, null for NaN."""
    if cells.dtype == pl.String:
        return cells
    known = cells.fill_nan(None)
    values = known.drop_nulls().to_numpy()
    is_whole = np.all(values == np.rint(values)) and np.all(np.abs(values) < 2**53)
    return known.cast(pl.Int64).cast(pl.String) if is_whole else known.cast(pl.String).str.replace(r"\.0$", "")
