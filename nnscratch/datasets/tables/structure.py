"""Where the rows of a text stand and how many cells each has: what a fast reader of CSV takes for granted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.datasets.tables.text import Array

BLOCK = 1 << 22
NEWLINE, ZERO = ord("\n"), ord("0")


@dataclass(frozen=True, eq=False)
class Structure:
    """For each row, blank ones included: its cells and the line it begins in, counted from 0."""

    cells: Array
    lines: Array
    is_blank: Array
    """Nothing but white space."""
    has_padded_numbers: bool
    """Some cell is a whole number that begins with 0 (007)."""


def structure_of(text: bytes, separator: str, quote: str | None) -> Structure:
    """The rows of the text, which ends without a line end. Within quotes neither separators nor line ends count."""
    separator_byte, quote_byte = ord(separator), ord(quote) if quote and quote.encode() in text else None
    ends, separators, lines = [], [], []
    inside, total, newlines, padded = False, 0, 0, False
    for start in range(0, len(text), BLOCK):
        block = np.frombuffer(text, np.uint8, min(BLOCK, len(text) - start), start)
        is_separator, is_newline = block == separator_byte, block == NEWLINE
        newline_places = np.flatnonzero(is_newline)
        if quote_byte is not None:
            is_inside = np.logical_xor.accumulate(block == quote_byte) ^ inside
            inside = bool(is_inside[-1])
            is_separator &= ~is_inside
            is_newline &= ~is_inside
        end = np.flatnonzero(is_newline)
        ends.append(end + start)
        separators.append(np.searchsorted(np.flatnonzero(is_separator), end) + total)
        lines.append(np.searchsorted(newline_places, end) + newlines)
        padded = padded or _has_padded(block, is_separator | is_newline | (block == (quote_byte or NEWLINE)))
        total += int(np.count_nonzero(is_separator))
        newlines += len(newline_places)
    last = np.array([len(text)])
    end, before = np.concatenate([*ends, last]), np.concatenate([*separators, np.array([total])])
    line = np.concatenate([*lines, np.array([newlines])])
    cells, is_blank = np.diff(before, prepend=0) + 1, np.diff(end, prepend=-1) == 1
    for row in np.flatnonzero((cells == 1) & ~is_blank) if cells.max() > 1 else ():
        is_blank[row] = not text[end[row - 1] + 1 if row else 0 : end[row]].strip()
    return Structure(cells, np.concatenate([[0], line[:-1] + 1]), is_blank, padded)


def _has_padded(block: Array, is_border: Array) -> bool:
    is_digit = (block - np.uint8(ZERO)) < 10
    starts = (block[1:-1] == ZERO) & is_border[:-2] & is_digit[2:]
    return bool(starts.any()) or bool(len(block) > 1 and block[0] == ZERO and is_digit[1])
