"""An explanation as one HTML page, which one walks through with the arrow keys beside the network's graph.

It loads nothing, and without a script, or on paper, all of it stands below each other.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from itertools import pairwise

from nnscratch.nn.equations import Equation, number
from nnscratch.report.formats import printable
from nnscratch.teaching.explanation import ArrayView, Example, Explanation, Section
from nnscratch.teaching.graph import graph_svg
from nnscratch.teaching.mathematics import matrix, parts_of_name, to_mathml, to_mathml_pieces, with_index

LONGEST = 115
"""Letters in a line of a docstring of this project, which one word more would have passed."""


def as_html(explanation: Explanation, mark: str) -> str:
    """The page; `mark` is the tag that names who made it."""
    style, script = (
        files("nnscratch.teaching").joinpath(f"step_page.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    title = _text(f"{explanation.name}: training step {explanation.step}")
    count = len(explanation.sections)
    steps = "\n".join(_section(section, place, count) for place, section in enumerate(explanation.sections, 1))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'{mark}<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{style}</style></head>\n<body>\n<header>{_picture(explanation.example)}<h1>{title}</h1>"
        f"<p>{_text(explanation.introduction)}</p><p>{_text(_which(explanation.example))}</p>"
        '<p class="keys"><kbd>→</kbd> and <kbd>←</kbd> walk forward and backward, a click on a layer leads to it.</p>'
        '</header>\n<div class="both"><aside tabindex="0" aria-label="The network">'
        f"{graph_svg(explanation, links=True)}</aside>\n<main>{steps}</main></div>\n"
        f"<script>{script}</script></body></html>\n"
    )


def _file(name: str) -> str:
    return files("nnscratch.teaching").joinpath(name).read_text("utf-8")


def _text(text: str) -> str:
    return escape(printable(text))


def _which(example: Example) -> str:
    return (
        f"Equations of single examples are of example {example.index}, counted from 0: row {example.row} of the "
        f"training data, {example.target}."
    )


def _picture(example: Example) -> str:
    if example.picture is None:
        return ""
    data = base64.b64encode(example.picture).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="Example {example.index}: {_text(example.target)}">'


def _section(section: Section, place: int, count: int) -> str:
    before = f'<a href="#step-{place - 1}" rel="prev">← back</a>' if place > 1 else "<span>← back</span>"
    after = f'<a href="#step-{place + 1}" rel="next">next →</a>' if place < count else "<span>next →</span>"
    equations = "".join(map(_equation, section.equations))
    arrays = "".join(map(_array, section.arrays))
    return (
        f'<section id="step-{place}" class="{section.phase}"><div class="step">'
        f'<h2 tabindex="-1">{_text(section.title)}</h2>'
        f"<nav>{before} {place} / {count} {after}</nav></div>{equations}"
        f'<div class="arrays">{arrays}</div><pre>{_text_lines(_unbroken(section.words))}</pre></section>'
    )


def _unbroken(words: str) -> str:
    """A docstring whose lines, where only their length broke them, are one again: the page breaks them to its width."""
    lines = words.splitlines()
    whole = lines[:1]
    for before, line in pairwise(lines):
        has_room = len(before) + len(line.partition(" ")[0]) < LONGEST
        if not before or not line or line.startswith(" ") or has_room:
            whole.append(line)
        else:
            whole[-1] += f" {line}"
    return "\n".join(whole)


def _text_lines(text: str) -> str:
    return "\n".join(map(_text, text.splitlines()))


def _equation(equation: Equation) -> str:
    """The formula, below it the same with numbers, of which a long sum may go over lines, and the value."""
    letter, index = parts_of_name(equation.name)
    symbol = to_mathml(letter)
    left = with_index(symbol, index) if index else symbol
    numbers = " ".join(f"<math><mrow>{piece}</mrow></math>" for piece in to_mathml_pieces(equation.numbers))
    note = f'<p class="note">{_text(equation.note)}</p>' if equation.note else ""
    kind = "equation gradient" if _is_gradient(letter) else "equation"
    value = to_mathml(number(equation.value))
    return (
        f'<div class="{kind}"><div class="formula">'
        f"<math><mrow>{left}<mo>=</mo>{to_mathml(equation.formula)}</mrow></math>"
        f'</div><div class="numbers"><math><mo>=</mo></math> {numbers}</div>'
        f'<div class="value"><math><mo>{equation.sign}</mo><mrow>{value}</mrow></math></div>{note}</div>'
    )


def _array(array: ArrayView) -> str:
    """A matrix, or the corner of a large one; of arrays of more axes the figures."""
    kind = ' class="gradient"' if _is_gradient(array.name) else ""
    rows, cut = (array.values, False) if array.values is not None else (array.excerpt, True)
    shape = " × ".join(map(str, array.shape))
    caption = f"{array.name}, {shape}" if array.shape else array.name
    if rows is None or len(array.shape) > 2:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in array.figures.items())
        return f"<figure{kind}><figcaption>{_text(caption)}</figcaption>{_text(figures)}</figure>"
    table: list[list[float]] = rows if len(array.shape) == 2 else [rows]  # type: ignore[list-item]  # of one axis
    more = {"more_rows": cut and array.shape[0] > len(table), "more_columns": cut and array.shape[1] > len(table[0])}
    mathematics = f"<math>{matrix(table, **more)}</math>"
    return f"<figure{kind}><figcaption>{_text(caption)}</figcaption>{mathematics}</figure>"


def _is_gradient(name: str) -> bool:
    """`dy`, `dgamma`, `d weight`, `g` and `g_clipped`, not `theta` nor `delta`."""
    return name.startswith(("d ", "dx", "dy", "dW", "db", "dg", "du", "g_")) or name == "g"
