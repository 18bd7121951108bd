"""How a table's text is laid out, which no reader finds out: separator, quotes, titles, comments, header, footer."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from nnscratch.datasets.description import Guess
from nnscratch.datasets.tables.header import column_names, first_row_is_header, is_unit_row
from nnscratch.datasets.tables.text import looks_like_number
from nnscratch.errors import DataError

SAMPLE_LINES = 300
SAMPLE_BYTES = 1 << 21
"""Of wide tables fewer lines are looked at, but three at least."""
MOST_COLUMNS = 100_000
LONGEST_LINE = 1 << 24

SEPARATORS = {"\t": "tab", ";": ";", "|": "|", ",": ",", " ": "white space"}
"""Which is tried first where several divide the lines equally well: a comma may be a decimal mark."""

TOTAL = re.compile(r"(grand |sub)?totals?\b|(sums?|summe|gesamt|average|mean):?$", re.IGNORECASE)
COMMENT = re.compile(r"\s*(#(?!\s*[,;|\t])|%|//)")
"""Before a separator, # is the name of a column."""


@dataclass(frozen=True)
class Dialect:
    """Where the rows stand in the text, how a row is cut into cells, and what the columns are called."""

    separator: str
    """One character; a blank stands for any run of blanks and tabs."""
    quote: str | None
    names: tuple[str, ...]
    has_header: bool
    first_line: int
    """Of the rows, counted from 1."""
    last_line: int | None
    """The last of the rows; None: they go to the end of the file."""
    has_comments: bool
    """Lines that begin with # are no rows."""
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    cells: list[str]

    @property
    def filled(self) -> int:
        return sum(bool(cell.strip()) for cell in self.cells)


def find_dialect(path: Path, text: bytes, delimiter: str | None, header: bool | None) -> Dialect:
    """The layout of UTF-8 text, found in its first and last lines where it is not given.

    Raises DataError for lines too long or too wide to be examples, and for two columns of one name.
    """
    lines = _first_lines(path, text)
    told, begin = delimiter, 0
    if (match := re.fullmatch(r"sep=([\x09\x20-\x7e])\s*", lines[0], re.IGNORECASE)) is not None:
        delimiter, begin = delimiter or match[1], 1
    comments = []
    while begin < len(lines) and (not lines[begin].strip() or COMMENT.match(lines[begin])):
        comments += [lines[begin]] if lines[begin].strip() else []
        begin += 1
    quote = _quote(lines[begin:])
    separator, why = _separator(lines[begin:], begin, delimiter, quote, told)
    rows = _rows(lines[begin:], begin, separator, quote)
    if not rows:
        raise DataError(f"{path}: there are no rows, only comments", "each row is one example")
    width = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
    if max(len(row.cells) for row in rows) > MOST_COLUMNS:
        raise DataError(
            f"{path}:{rows[0].line}: {width:,} columns; at most {MOST_COLUMNS:,} are read",
            "is the table transposed? Each row must be one example; large arrays belong into an NPZ file",
        )
    titles = _titles(rows, width)
    rows = rows[titles:]
    cells = [row.cells for row in rows]
    is_header, header_why = first_row_is_header(cells, width) if header is None else (header, "as configured")
    names_row = cells[0] if is_header else None
    if names_row is None and header is None and comments:
        commented = _rows([re.sub(r"^\s*(#|%|//)\s*", "", comments[-1])], 0, separator, quote)
        if commented and len(commented[0].cells) == width and width > 1:
            names_row, header_why = commented[0].cells, "the comment above the rows has a name for each"
    names = column_names(path, rows[0].line, names_row, width, cells)
    body = rows[1:] if is_header else rows
    units = is_header and is_unit_row([row.cells for row in body], width)
    body = body[1:] if units else body
    last, footer = _footer(text, width, separator, quote)
    found = [Guess("separator", SEPARATORS.get(separator, separator), why, "data.dataset.delimiter")]
    if quote == "'":
        found.append(Guess("quotes", "'", "cells stand in single quotes"))
    found.append(Guess("header", "yes" if names_row is not None else "no", header_why, "data.dataset.header"))
    for what, number in (
        ("title lines", titles), ("comment lines", len(comments)), ("lines of units", int(units)),
        ("footer lines", footer),
    ):  # fmt: skip
        if number:
            found.append(Guess(what, str(number), "left out: they are no rows"))
    return Dialect(
        separator,
        quote,
        names,
        names_row is not None,
        body[0].line if body else rows[-1].line + 1,
        last,
        any(map(_is_marked, comments)) and sum(map(_is_marked, lines[begin:])) * 2 < len(lines[begin:]),
        tuple(found),
    )


def squeeze(line: str) -> str:
    """A line whose cells are divided by runs of blanks, divided by tabs instead; quoted cells stay whole."""
    return re.sub(r"\"[^\"]*\"|'[^']*'|[ \t]+", lambda part: part[0] if part[0][0] in "\"'" else "\t", line.strip())


def _is_marked(line: str) -> bool:
    return line.lstrip().startswith("#")


def _first_lines(path: Path, text: bytes) -> list[str]:
    pieces = text[: LONGEST_LINE + 1].split(b"\n", SAMPLE_LINES)
    whole = pieces[:-1] if len(pieces) > SAMPLE_LINES or len(text) > LONGEST_LINE else pieces
    if not whole:
        raise DataError(f"{path}:1: a line of more than {LONGEST_LINE:,} bytes", "is it a table with a row per line?")
    sizes = accumulate(map(len, whole))
    return [
        piece.decode("utf-8")
        for index, (piece, size) in enumerate(zip(whole, sizes, strict=True))
        if index < 3 or size < SAMPLE_BYTES
    ]


def _rows(lines: list[str], begin: int, separator: str, quote: str | None) -> list[_Row]:
    """The rows that are not blank, each with the number of its first line; `begin` lines stand before them."""
    if separator == " ":
        lines, separator = [squeeze(line) for line in lines], "\t"
    # A separate list: a quoted cell may hold a line end.
    reader = csv.reader(
        [line + "\n" for line in lines],
        delimiter=separator,
        quotechar=quote or '"',
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    found, line = [], begin
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append(_Row(line + 1, cells))
            line = begin + reader.line_num
    except csv.Error:  # a cell beyond csv's limit: the reader itself will say so
        pass
    return found


def _quote(lines: list[str]) -> str:
    """A double quote, or a single one where cells stand in these and none in those."""
    if not any('"' in line for line in lines):
        quoted = sum(bool(re.search(r"(^|[,;\t| ])'[^']*'([,;\t| ]|$)", line)) for line in lines)
        if quoted and all(line.count("'") % 2 == 0 for line in lines):
            return "'"
    return '"'


def _separator(lines: list[str], begin: int, given: str | None, quote: str | None, told: str | None) -> tuple[str, str]:
    """The separator that cuts the most lines into equally many cells, and why it was taken."""
    if given is not None:
        return given, "as configured" if told is not None else "the first line says sep="
    best, fit_of_best, width_of_best = ",", (0.0, 0.0), 1
    # A tab among cells that stand under each other is white space as the blanks are.
    some = [line for line in lines[:200] if line.strip()]
    is_aligned = all(re.search(r"[^\s] {2,}[^\s]", line) and "\t" in line for line in some)
    for separator in (each for each in SEPARATORS if each != "\t" or not is_aligned):
        rows = _rows(lines[:200], begin, separator, quote)
        widths = Counter(len(row.cells) for row in rows)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        if width < 2:
            width, count = max(
                ((each, number) for each, number in widths.items() if each > 1),
                key=lambda pair: pair[1],
                default=(1, 0),
            )
            # Most lines have none of it: it divides nothing, unless the file has but a title and a row.
            if count * 2 < widths.total():
                continue
        fit = (count / max(1, widths.total()), -_undivided(rows, width, separator))
        if fit > fit_of_best:
            best, fit_of_best, width_of_best = separator, fit, width
    if width_of_best == 1:
        return best, "no separator divides the lines: one column"
    return best, f"it cuts {100 * fit_of_best[0]:.0f} % of the first lines into {width_of_best} cells"


def _undivided(rows: list[_Row], width: int, separator: str) -> float:
    """The share of cells that hold another separator and are no number, such as 1,5 is one."""
    others = [each for each in "\t;|," if each != separator]
    cells = [cell for row in rows if len(row.cells) == width for cell in row.cells]
    held = (cell for cell in cells if any(other in cell for other in others))
    return sum(not looks_like_number(cell) for cell in held) / max(1, len(cells))


def _titles(rows: list[_Row], width: int) -> int:
    """How many rows at the top are titles: other cells than the rows below, or a single filled one of many."""
    for number, row in enumerate(rows[:20]):
        if len(row.cells) == width and (row.filled > 1 or width < 3):
            return number
        nearly = len(row.cells) in (width - 1, width + 1) and row.filled >= max(2, width - 1) and width > 2
        if nearly and number + 1 < len(rows):
            below = rows[number + 1]
            if (
                len(below.cells) == width
                and not first_row_is_header([each.cells for each in rows[number + 1 :]], width)[0]
            ):
                return number
    return 0


def _footer(text: bytes, width: int, separator: str, quote: str | None) -> tuple[int | None, int]:
    """The last line with a row, when lines follow that are none (a total, a source), and how many these are."""
    tail = text[-65536:].rstrip(b"\n")
    above = text.count(b"\n", 0, len(text[: -len(text[-65536:])]) + len(tail)) + 1
    lines, removed = tail.decode("utf-8", "replace").split("\n"), 0
    last = above
    firsts = [row.cells[0].strip() for row in _rows(lines[1:][-50:], 0, separator, quote)]
    numbered = sum(map(looks_like_number, firsts)) * 2 > len(firsts)
    for line in reversed(lines[1:]):
        rows = _rows([line], 0, separator, quote)
        if rows:
            cells = [cell.strip() for cell in rows[0].cells]
            first = next(cell for cell in cells if cell)
            # Another row that begins so makes a category of it, and a quote may close a cell of many lines.
            is_one_of_many = sum(other.lstrip("\"' ").startswith(first) for other in lines) > 1
            is_total = len(cells) > 1 and TOTAL.match(first) is not None and cells[0] in ("", first)
            is_alone = len(cells) == 1 or (numbered and not any(cells[1:]))
            is_remark = is_alone and width > 2 and re.search(r"[^\W\d]{2}", first) is not None
            if is_one_of_many or not (is_total or is_remark) or line.count(quote or '"') % 2:
                break
            removed += 1
        last -= 1
    return (last, removed) if removed else (None, 0)
