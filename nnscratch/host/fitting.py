"""Text made to fit a terminal: a table too wide for it gets narrower columns, or a paragraph for each of its rows."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest

GAP = 2
"""Spaces between the columns of a table, at least."""


def fitted(text: str, width: int) -> str:
    """The text in lines of at most `width` letters, broken between words; a longer word has a line of its own.

    Lines that follow each other and have gaps of two spaces at the same places are a table.
    """
    lines: list[str] = []
    for _, group in groupby(text.split("\n"), key=bool):
        block = list(group)
        if max(map(len, block)) <= width:
            lines += block
        else:
            indent = min(len(line) - len(line.lstrip()) for line in block)
            columns = _columns([line[indent:] for line in block])
            rows = [[line[indent:][start:stop].strip() for start, stop in columns] for line in block]
            is_table = len(block) > 1 and len(columns) > 1
            new = (
                _narrowed(rows, width - indent)
                if is_table
                else [part for line in block for part in wrapped(line, width)]
            )
            lines += [" " * indent * is_table + line for line in new]
    return "\n".join(lines)


def wrapped(line: str, width: int) -> list[str]:
    """The line in pieces of at most `width` letters, broken between words, the later ones indented."""
    if len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    if len(indent) > width // 4:  # a formula's continuation: it needs the room more
        indent = indent[: width // 4]
        line = indent + line.lstrip()
    # A figure stays with its name and its unit: `val_loss 0.949` is one word here.
    parts = line.strip().split("  ")
    is_glued = len(parts) > 1 and max(map(len, parts)) <= width - len(indent) - GAP
    glued = indent + "  ".join(part.replace(" ", "\0") for part in parts) if is_glued else line
    rows = textwrap.wrap(glued, width, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False)
    return [row.replace("\0", " ") for row in rows]


def _columns(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where the columns begin and end: between them all lines are blank over at least GAP letters."""
    longest = max(map(len, lines))
    blank = [all(line[at : at + 1] in ("", " ") for line in lines) for at in range(longest)]
    columns, start, gap = [], 0, 0
    for at, is_blank in enumerate(blank):
        if not is_blank and gap >= GAP and at > gap:
            columns.append((start, at - gap))
            start = at
        gap = gap + 1 if is_blank else 0
    return [*columns, (start, longest)]


def _narrowed(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """The rows with the widest columns made narrower; where not even their words have room, each as a paragraph."""
    cells = list(zip(*rows, strict=True))
    least = [max(map(_longest_word, column)) for column in cells]
    widths = [max(map(len, column)) for column in cells]
    gap = next((gap for gap in (GAP, 1) if sum(least) + gap * (len(cells) - 1) <= width), None)
    if gap is None:
        yield from _paragraphs(rows, width)
        return
    while sum(widths) + gap * (len(cells) - 1) > width:
        widest = max((at for at, now in enumerate(widths) if now > least[at]), key=lambda at: widths[at])
        widths[widest] -= 1
    is_number = [all(map(_is_number, column[1:])) for column in cells]
    for row in rows:
        pieces = [
            textwrap.wrap(cell, each, break_on_hyphens=False) if len(cell) > each else [cell]
            for cell, each in zip(row, widths, strict=True)
        ]
        for parts in zip_longest(*pieces, fillvalue=""):
            places = zip(parts, widths, is_number, strict=True)
            yield (
                (" " * gap)
                .join(part.rjust(each) if number else part.ljust(each) for part, each, number in places)
                .rstrip()
            )


def _longest_word(cell: str) -> int:
    """The room that a cell needs: a figure stays with its unit."""
    return len(cell) if _is_number(cell) else max(map(len, cell.split()), default=0)


def _is_number(cell: str) -> bool:
    return cell == "-" or bool(re.match(r"[-−]?\d[\d,.e+-]*( \S{1,3})?$", cell))


def _paragraphs(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Each row's first cell, with its heading when it is a number, and below it the others with theirs."""
    headings, *others = rows
    for row in others:
        yield from wrapped(f"{headings[0]} {row[0]}" if _is_number(row[0]) else row[0], width)
        named = "  ".join(
            f"{heading} {cell}".strip() for heading, cell in zip(headings[1:], row[1:], strict=True) if cell
        )
        yield from wrapped(f"  {named}", width)
