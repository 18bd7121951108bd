"""Columns of dates: in which notation they are written, and what of it is unclear."""

from __future__ import annotations

import re

import numpy as np

from nnscratch.datasets.tables.columns import Date
from nnscratch.datasets.tables.frames import pl
from nnscratch.datasets.tables.parsing import FORMATS, ISO, dates_by_format, read_dates
from nnscratch.datasets.tables.text import Values

LATE = 2_208_988_800.0
"""2040, in seconds since 1970: later years of two digits may be of the century before."""


def are_compact_dates(known: Values) -> bool:
    """Whether numbers are days written without separators: of ten other numbers of eight digits hardly one is."""
    if len(known) < 10 or known.min() < 18000101 or known.max() > 21001231:
        return False
    distinct = np.unique(known)
    if len(distinct) < 10:
        return False
    month, day = distinct // 100 % 100, distinct % 100
    return bool(np.all((distinct % 1 == 0) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)))


def date_of(name: str, known: pl.Series) -> tuple[Date, str] | None:
    """The kind of date that every cell is, and what is to be said of it; None where they are none."""
    if not known[:20].str.contains(r"\d").all():  # no need to try every format
        return None
    # With a time in some cells and in others not.
    is_iso = not any(read_dates(cells, ISO[0], likely=True)[1].any() for cells in (known[:20], known))
    fitting = [ISO[0]] if is_iso else []
    for format, (_, bad) in dates_by_format(known[:20], FORMATS).items():
        if not bad.any() and not dates_by_format(known, [format])[format][1].any():
            fitting.append(format)
    if not fitting:
        return None
    month_first = fitting[0].startswith(("%m/%d", "%m-%d"))
    swapped = re.sub(r"^%m(.)%d", r"%d\1%m", fitting[0])
    warning = ""
    if "%y" in fitting[0]:
        latest = np.max(read_dates(known, fitting[0])[0])
        if latest >= LATE:
            year = str(np.datetime64(int(latest), "s"))[:4]
            warning = f"column {name!r} has years of two digits, read up to {year}: write them with four"
    if month_first and swapped in fitting:
        warning = (
            f"column {name!r} has dates whose month and day could be either: read as {fitting[0]}, the month first; "
            f"write them as 2024-12-31 where that is wrong"
        )
    return Date(name, format=fitting[0]), warning


def almost_date(name: str, known: pl.Series) -> Date | None:
    """The kind of date that most cells are, when they look like dates at all."""
    some = known.sort().gather_every(1 + len(known) // 40)
    if some.str.contains(r"^\d{1,4}[-/.:]\d{1,2}(?:[-/.:T ]|$)").mean() < 0.5:  # type: ignore[operator]  # None of no cells alone
        return None
    shares = {format: float(np.mean(bad)) for format, (_, bad) in dates_by_format(some, FORMATS).items()}
    best = min(shares, key=lambda format: shares[format])
    return Date(name, format=best) if shares[best] < 0.5 else None


def date_notations(known: pl.Series) -> list[str]:
    """A cell in each of the two to four notations in which nine in ten cells are dates; none where they are not."""
    rest = known.sort().gather_every(1 + len(known) // 40)
    examples: list[str] = []
    most = len(rest) // 10
    if rest.str.contains(r"\d\D+\d|\d{8}").mean() < 0.9:  # type: ignore[operator]  # None of no cells alone
        return []
    while len(rest) > most and len(examples) < 4:
        bad = min((bad for _, bad in dates_by_format(rest, FORMATS).values()), key=np.sum)
        if bad.all():
            return []
        examples.append(rest.filter(pl.Series(~bad))[0])
        rest = rest.filter(pl.Series(bad))
    return examples if len(rest) <= most and len(examples) > 1 else []
