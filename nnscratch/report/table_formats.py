"""A table for a terminal's text, a README, a paper or a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from nnscratch.report.formats import printable
from nnscratch.report.tables import Table, plain_table

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": "$<$", ">": "$>$",
}  # fmt: skip


MARKDOWN = {"\\": "\\\\", "`": "\\`", "*": "\\*", "|": "\\|", "&": "&amp;", "<": "&lt;", ">": "&gt;"}


def markdown_text(text: str) -> str:
    """Text from outside for Markdown, shown as it is: it makes no HTML, link, picture, code or emphasis there."""
    shown = "".join(MARKDOWN.get(each, each) for each in printable(text))
    return shown.replace("](", "]\\(").replace("][", "]\\[")


def markdown_table(table: Table) -> str:
    """The table for Markdown, as GitHub reads it; no character of a cell is Markdown's."""
    rows = [[column.title for column in table.columns], *table.rows]
    lines = [f"| {' | '.join(markdown_text(cell) for cell in row)} |" for row in rows]
    rule = "|".join("---:" if column.is_number else "---" for column in table.columns)
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]]) + "\n"


def latex_table(table: Table) -> str:
    """A tabular with the rules of booktabs; no character of a cell is LaTeX's."""
    rows = [[column.title for column in table.columns], *table.rows]
    lines = [" & ".join("".join(LATEX.get(each, each) for each in printable(cell)) for cell in row) for row in rows]
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    body = [rf"  {line} \\" for line in lines]
    rules = [r"  \toprule", body[0], r"  \midrule", *body[1:], r"  \bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{alignment}}}", *rules, r"\end{tabular}"]) + "\n"


def csv_table(table: Table) -> str:
    """A heading line, then a line per row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.title for column in table.columns])
    writer.writerows(table.rows)
    return text.getvalue()


TABLE_FORMATS: Mapping[str, Callable[[Table], str]] = {
    "text": plain_table,
    "markdown": markdown_table,
    "latex": latex_table,
    "csv": csv_table,
}
