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
    "", "na", "n/a", "n.a.", "nan", "null", "none", "?", "-", "--", "---", ".", "..", "...", "–", "—", ":",
    "#n/a", "#na", "<na>", "nat", "#value!", "#div/0!", "#ref!", "#name?", "#num!", "#null!",
    "\\n", "(null)", "nil", "missing", "not available",
    "k.a.", "k. a.", "keine angabe", "n.v.", "n. v.", "nicht verfügbar", "n.d.", "n. d.", "n/d", "s/d",
)  # fmt: skip
"""What stands for a missing value, in small letters."""

WORDS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"))
"""How people write no and yes, in small letters."""

CURRENCIES = r"[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY"
EXACT = 2.0**53
"""Whole numbers from here on may share a float64."""
SIGN = r"[+\-−–]?"
MINUS = "−–"
"""What people write for a minus, beside the hyphen."""
_BLANK_GROUPS = r"[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f'’]\d{3})+"
_INDIAN = r"[1-9]\d?(?:,\d{2})+,\d{3}"
_EXPONENT = r"(?:[eE][+\-−]?\d+)?"
DIGITS = {
    ".": rf"(?:(?:\d+\.?\d*|\.\d+){_EXPONENT}|(?:[1-9]\d{{0,2}}(?:,\d{{3}})+|{_INDIAN}|{_BLANK_GROUPS})(?:\.\d*)?)",
    ",": rf"(?:(?:\d+(?:,\d*)?|,\d+){_EXPONENT}|(?:[1-9]\d{{0,2}}(?:\.\d{{3}})+|{_BLANK_GROUPS})(?:,\d*)?)",
}
"""The digits of a number by the decimal mark, with thousands separators or an exponent; 0,123 has neither."""
UNIT = r"(?:[^\W\d_]|[°℃℉‰'\"′″]|[$€£%]?/\s?[^\W\d_]|%\s[^\W\d_])[^\d<>()]{0,20}[23²³]?"
"""Letters, a degree or what feet and inches have, a price by something: m2, km/h, €/m², % vol."""
MEASURED = rf"^(?:(?:{CURRENCIES})\s?)?{SIGN}(?:{DIGITS['.']}|{DIGITS[',']})\s{{0,2}}({UNIT})$"
"""A whole cell that is a number with a unit behind it, which is the first group."""
MAGNITUDES = (
    "k", "K", "M", "B", "T", "mn", "bn", "Mio", "Mio.", "Mrd", "Mrd.", "Cr", "Lac", "Lakh", "lakh", "crore",
    "thousand", "thousands", "million", "millions", "billion", "billions", "万", "亿",
)  # fmt: skip
"""Units without which a number is not the same: 5k and 5."""
MAYBE_THOUSANDS = rf"^{SIGN}[1-9]\d{{0,2}}\.\d{{3}}$"
"""Numbers with a point that mean another with a decimal comma: 1.234."""


def number_pattern(decimal: str) -> str:
    """The regular expression of a whole cell that is a number with that decimal mark, a currency or a percent sign.

    Parentheses make it negative, as accountants write.
    """
    plain = rf"(?:(?:{CURRENCIES})\s?)?{SIGN}{DIGITS[decimal]}\s?(?:%|{CURRENCIES})?"
    return rf"^(?:{SIGN}\s?{plain}|\({plain}\))$"


def unit_pattern(unit: str) -> str:
    """The regular expression of a unit at the end of a cell, behind a digit; of a word and its plural: year, years."""
    return rf"([\d.,€$£%])\s*{word_pattern(unit)}$"


def word_pattern(unit: str) -> str:
    """The regular expression of a unit in its singular and its plural, English and German; what follows it as it is."""
    found = re.match(r"[^\W\d_]{2,}", unit)
    if found is None:
        return re.escape(unit)
    word = found[0].removesuffix("s") if len(found[0]) > 2 else found[0]
    return rf"{re.escape(word)}(?:e?s|en?)?{re.escape(unit[found.end() :])}"


_MEASURED = re.compile(MEASURED)
_NUMBER = re.compile("|".join(f"(?:{number_pattern(mark)})" for mark in DIGITS))


def is_gap(cell: str) -> bool:
    """Whether a cell, without blanks around it, stands for a missing value."""
    return cell.strip().lower() in GAPS


def unit_behind(cell: str) -> str:
    """What stands behind the number of a cell, "" where it is none with a unit."""
    found = _MEASURED.match(cell.strip())
    return found[1] if found is not None else ""


def looks_like_number(cell: str) -> bool:
    """Whether a cell is a number as somebody writes it: 5, -1.5, 1,234.50, 3,5, 12 %, $5."""
    return _NUMBER.match(cell.strip()) is not None
