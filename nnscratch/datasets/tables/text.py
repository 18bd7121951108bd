"""What cells of text mean: which stand for a gap, and which are numbers as people and countries write them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Values = NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that is taken."""

GAPS = (
    "", "na", "n/a", "n.a.", "nan", "null", "none", "?", "-", "--", ".", "–", "—",
    "#n/a", "#na", "<na>", "nat", "#value!", "#div/0!", "#ref!", "#name?", "#num!",
)  # fmt: skip
"""What stands for a missing value, in small letters."""

WORDS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"))
"""How people write no and yes, in small letters."""

CURRENCY = "$€£¥₹₽₩"
_CURRENCY = rf"(?:[{CURRENCY}]|USD|EUR|GBP|CHF|JPY)"
SIGN = r"[+\-−]?"
DIGITS = {
    ".": r"(?:\d+\.?\d*|\.\d+|\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d{1,3}(?:[  \u00a0\u202f'’]\d{3})+(?:\.\d*)?)",
    ",": r"(?:\d+(?:,\d*)?|,\d+|\d{1,3}(?:\.\d{3})+(?:,\d*)?|\d{1,3}(?:[  \u00a0\u202f'’]\d{3})+(?:,\d*)?)",
}
"""The digits of a number, with thousands separators, by the decimal mark."""


def number_pattern(decimal: str) -> str:
    """The regular expression of a whole cell that is a number with that decimal mark, a currency or a percent sign."""
    exponent = r"(?:[eE][+\-−]?\d+)?"
    return rf"^{SIGN}\s?(?:{_CURRENCY}\s?)?{SIGN}{DIGITS[decimal]}{exponent}\s?(?:%|{_CURRENCY})?$"


_NUMBER = re.compile("|".join(f"(?:{number_pattern(mark)})" for mark in DIGITS))


def is_gap(cell: str) -> bool:
    """Whether a cell, without blanks around it, stands for a missing value."""
    return cell.strip().lower() in GAPS


def looks_like_number(cell: str) -> bool:
    """Whether a cell is a number as somebody writes it: 5, -1.5, 1,234.50, 3,5, 12 %, $5."""
    return _NUMBER.match(cell.strip()) is not None
