"""The kinds of columns: what each makes of its cells, what it learns from the training rows, which numbers it gives.

A column goes through four forms: cells of text, one float64 number a row (`read`; NaN is a gap), the same column fitted
to the training rows (`fit`), and a block of float32 features (`encode`).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nnscratch.datasets.tables.text import LARGEST, MAGNITUDES, Array, Values, number_pattern
from nnscratch.errors import listed

if TYPE_CHECKING:
    import polars

Part = Literal["year", "week", "day"]
Missing = Literal["auto", "error", "drop", "mean", "median", "most_frequent"]

MOST_LEVELS = 50
"""Levels of a category that get a column of their own."""
UNKNOWN = -1.0
"""The code of a level that no training row has."""
DAY = 86_400.0


@dataclass(frozen=True)
class Column:
    """A column of a table; `fill` and `flag` are what `fit` found out about its gaps."""

    kind: ClassVar[str] = ""

    name: str
    fill: float = 0.0
    """What stands in for a gap."""
    flag: bool = False
    """Whether training rows have gaps, and a feature of its own says so."""

    def fit(self, values: Values, missing: Missing) -> Column:
        """The column fitted to training values (n,), NaN where there is a gap: what fills gaps, and more by kind."""
        known = values[~np.isnan(values)]
        return replace(self, fill=self._filling(known, missing) if len(known) else 0.0, flag=len(known) < len(values))

    def encode(self, values: Values) -> Array:
        """Features (n, width) float32 of values (n,), gaps filled; with `flag` the last is 1 where there was a gap."""
        gaps = np.isnan(values)
        filled = np.where(gaps, self.fill, values) if gaps.any() else values
        with np.errstate(all="ignore"):  # what is not finite then is found by whoever takes it
            block = np.asarray(self._encode(filled), np.float32)
        return np.column_stack([block, gaps.astype(np.float32)]) if self.flag else block

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return (*self._features(), f"{self.name} is missing") if self.flag else self._features()

    @property
    def offsets(self) -> tuple[float, ...]:
        """What each feature is less than the column's own number."""
        return (0.0,) * len(self.features)

    @property
    def filled_with(self) -> str:
        """What stands in for a gap, in words."""
        return self._shown(self.fill)

    @abstractmethod
    def read(self, cells: polars.Series) -> tuple[Values, NDArray[np.bool_]]:
        """A number for each cell, NaN for a gap, and which cells are neither."""

    def refused(self, values: Values) -> NDArray[np.bool_]:
        """Which numbers, given as such and not as text, are none that this column has; a gap is never."""
        return np.zeros(len(values), bool)

    def expected(self, cell: str) -> str:
        """What must stand in place of that cell, for messages."""
        return f"a {self.kind}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the kind among them."""
        return {"kind": self.kind, **asdict(self)}

    def _filling(self, known: Values, missing: Missing) -> float:
        return most_frequent(known)

    def _features(self) -> tuple[str, ...]:
        return (self.name,)

    @abstractmethod
    def _encode(self, values: Values) -> Array: ...

    @abstractmethod
    def _shown(self, value: float) -> str: ...


@dataclass(frozen=True)
class Number(Column):
    """A quantity: x - centre, where a float32 would lose the digits of x; else x itself."""

    kind: ClassVar[str] = "number"

    decimal: Literal[".", ","] = "."
    centre: float = 0.0
    gap: str = ""
    """A text that stands for a gap in this column, beside those that do everywhere."""
    unit: str = ""
    """What stands behind its numbers, and may be left out: kg."""

    def fit(self, values: Values, missing: Missing) -> Number:
        fitted = super().fit(values, missing)
        assert isinstance(fitted, Number)
        return replace(fitted, centre=_centre(values[~np.isnan(values)]))

    @property
    def offsets(self) -> tuple[float, ...]:
        return (self.centre, *super().offsets[1:])

    def read(self, cells: polars.Series) -> tuple[Values, NDArray[np.bool_]]:
        from nnscratch.datasets.tables.parsing import read_numbers, stripped
        from nnscratch.datasets.tables.units import lack_unit, without_unit

        values, bad = read_numbers(without_unit(cells, self.unit), self.decimal)
        if self.unit:
            bad |= lack_unit(cells, self.unit) & self.refused(values)
        if self.gap and bad.any():
            is_gap = (stripped(cells) == self.gap).to_numpy()
            values[is_gap] = np.nan
            bad &= ~is_gap
        return values, bad

    def refused(self, values: Values) -> NDArray[np.bool_]:
        # 5 is not 5k, but nothing is nothing in any unit.
        return np.asarray((np.nan_to_num(values) != 0) & (self.unit in MAGNITUDES))

    def to_dict(self) -> dict[str, Any]:
        # Without a gap and a unit of its own a column is written, and digested, as before there were any.
        return {name: value for name, value in super().to_dict().items() if value or name not in ("gap", "unit")}

    def expected(self, cell: str) -> str:
        words = "a number" if self.decimal == "." else "a number with a decimal comma"
        if self.unit:
            words += f" with {self.unit} behind it" if self.unit in MAGNITUDES else f" or one in {self.unit}"
        is_too_large = re.match(number_pattern(self.decimal), cell.strip()) and self.unit not in MAGNITUDES
        return f"{words} between -{LARGEST:.1e} and {LARGEST:.1e}, as float32 holds" if is_too_large else words

    def _filling(self, known: Values, missing: Missing) -> float:
        if missing == "mean":
            return float(np.mean(known))
        return most_frequent(known) if missing == "most_frequent" else float(np.median(known))

    def _encode(self, values: Values) -> Array:
        return np.asarray(values - self.centre)[:, np.newaxis]

    def _shown(self, value: float) -> str:
        digits = max(6, min(len(str(int(abs(value)))) + 3, 15))  # none of its whole part is left out
        return f"{value:.{digits}g}"


@dataclass(frozen=True)
class Boolean(Column):
    """Yes or no, in any of the pairs of words that people use: 1 or 0."""

    kind: ClassVar[str] = "boolean"

    words: tuple[str, str] = ("false", "true")
    """In small letters, that of 0 first."""

    def read(self, cells: polars.Series) -> tuple[Values, NDArray[np.bool_]]:
        from nnscratch.datasets.tables.parsing import read_booleans

        return read_booleans(cells, self.words)

    def refused(self, values: Values) -> NDArray[np.bool_]:
        return np.asarray(~(np.isnan(values) | np.isin(values, (0, 1))))

    def expected(self, cell: str) -> str:
        return " or ".join(self.words)

    def _encode(self, values: Values) -> Array:
        return values[:, np.newaxis]

    def _shown(self, value: float) -> str:
        return self.words[int(value)]


@dataclass(frozen=True)
class Category(Column):
    """One of some levels: a 1 in the level's own feature, 0 in the others (one-hot).

    Levels beyond the MOST_LEVELS most frequent, and those of a single training row where there are more than a dozen,
    share the feature "other", as does a level that no training row had; without such a feature that is all zeros.
    """

    kind: ClassVar[str] = "category"

    levels: tuple[str, ...] = ()
    """Codes count through them. Fitted: those with a feature of their own, by name, then the rare ones."""
    own: int = 0
    """How many have a feature of their own."""

    def fit(self, values: Values, missing: Missing) -> Category:
        codes, counts = np.unique(values[values >= 0].astype(np.int64), return_counts=True)
        order = codes[np.argsort(-counts, kind="stable")]
        least = 2 if len(codes) > 12 else 1
        often = {int(code) for code in order[:MOST_LEVELS] if counts[np.searchsorted(codes, code)] >= least}
        by_code = sorted(codes.tolist(), key=lambda code: (code not in often, code))
        fitted = replace(self, levels=tuple(self.levels[code] for code in by_code), own=len(often))
        result = super(Category, fitted).fit(fitted.recode(values, self.levels), missing)
        assert isinstance(result, Category)
        return result

    def recode(self, values: Values, levels: Sequence[str]) -> Values:
        """The codes of this column for values that are codes of other levels."""
        if tuple(levels) == self.levels:
            return values
        places = {level: code for code, level in enumerate(self.levels)}
        table = np.array([*(places.get(level, UNKNOWN) for level in levels), UNKNOWN, np.nan])
        places_in_table = np.where(values < 0, len(levels), np.nan_to_num(values, nan=len(levels) + 1))
        return np.asarray(table[places_in_table.astype(np.int64)])

    def read(self, cells: polars.Series) -> tuple[Values, NDArray[np.bool_]]:
        from nnscratch.datasets.tables.parsing import read_levels

        return read_levels(cells, self.levels, unknown=UNKNOWN)

    def expected(self, cell: str) -> str:
        return f"one of {listed(self.levels, 10)}"

    def _features(self) -> tuple[str, ...]:
        names = tuple(f"{self.name}: {level}" for level in self.levels[: self.own])
        return (*names, f"{self.name}: other") if self.own < len(self.levels) else names

    def _encode(self, values: Values) -> Array:
        width = self.own + (self.own < len(self.levels))
        block = np.zeros((len(values), width), np.float32)
        place = np.where((values < 0) | (values >= self.own), self.own, values).astype(np.int64)
        rows = np.flatnonzero(place < width)
        block[rows, place[rows]] = 1
        return block

    def _shown(self, value: float) -> str:
        return self.levels[int(value)] if self.levels else ""


@dataclass(frozen=True)
class Date(Column):
    """A moment: days since the first, and where in the year, the week and the day it lies, as points on a circle."""

    kind: ClassVar[str] = "date"

    format: str = "%Y-%m-%d"
    origin: float = 0.0
    """The first moment of training, in seconds since 1970."""
    parts: tuple[Part, ...] = ()
    """Those circles on which training rows differ: year, week, day."""

    def fit(self, values: Values, missing: Missing) -> Date:
        fitted = super().fit(values, missing)
        assert isinstance(fitted, Date)
        known = values[~np.isnan(values)]
        if not len(known):
            return fitted
        parts = tuple(part for part in get_args(Part) if np.ptp(_turn(known, part)) > 1e-9)
        return replace(fitted, origin=float(np.min(known)), parts=parts)

    def read(self, cells: polars.Series) -> tuple[Values, NDArray[np.bool_]]:
        from nnscratch.datasets.tables.parsing import read_dates

        return read_dates(cells, self.format)

    def expected(self, cell: str) -> str:
        return f"a date like {self.format}"

    def written(self, seconds: float) -> str:
        """The moment in the column's own notation, or, where that leaves out some of it, in ISO's.

        A time or a month alone has its own in any case, rounded to what that tells.
        """
        steps = {"%.f": 1e-6, "%S": 1.0, "%M": 60.0}
        step = next((step for part, step in steps.items() if part in self.format), DAY)
        is_whole_date, whole = "%d" in self.format, round(seconds / step) * step
        format = self.format if not is_whole_date or abs(whole - seconds) < 1e-6 else "%Y-%m-%d %H:%M:%S%.f"
        moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds if format != self.format else whole)
        fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
        return moment.strftime(format.replace("%.f", fraction))

    def _filling(self, known: Values, missing: Missing) -> float:
        return float(np.median(known))

    def _features(self) -> tuple[str, ...]:
        circles = (f"{self.name}: {function} of {part}" for part in self.parts for function in ("sin", "cos"))
        return (f"{self.name}: days", *circles)

    def _encode(self, values: Values) -> Array:
        angles = [2 * np.pi * _turn(values, part) for part in self.parts]
        circles = [function(angle) for angle in angles for function in (np.sin, np.cos)]
        return np.column_stack([(values - self.origin) / DAY, *circles])

    def _shown(self, value: float) -> str:
        day, _, time = str(np.datetime64(round(value), "s")).partition("T")
        if not re.search("%[dYymbB]", self.format):
            return time
        return day if time == "00:00:00" else f"{day} {time}"


def _turn(seconds: Values, part: Part) -> Values:
    """How far through the year, the week (from Monday) or the day the moment lies: 0 to 1."""
    if part == "day":
        return np.asarray(np.mod(seconds, DAY) / DAY)
    days = np.floor(seconds / DAY)
    if part == "week":
        return np.asarray(np.mod(days + 3, 7) / 7)  # 1970 began on a Thursday
    date = days.astype("datetime64[D]")
    year = date.astype("datetime64[Y]")
    first, following = (each.astype("datetime64[D]").astype(np.float64) for each in (year, year + 1))
    return np.asarray((days - first) / (following - first))


def most_frequent(known: Values) -> float:
    """The most frequent value; of several the least."""
    values, counts = np.unique(known, return_counts=True)
    return float(values[np.argmax(counts)])


def _centre(known: Values) -> float:
    """0 where float32 has the digits to tell the values apart, else their median, as a whole number."""
    if not len(known):
        return 0.0
    deviation = float(np.std(known))
    largest = float(np.max(np.abs(known)))
    return float(np.rint(np.median(known))) if largest > 2**12 * deviation and largest > 2**12 else 0.0


KINDS: dict[str, type[Column]] = {each.kind: each for each in (Number, Boolean, Category, Date)}
"""By their YAML names."""
