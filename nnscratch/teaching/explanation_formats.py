"""An explanation as text for a terminal, as Markdown with TeX, as a page to walk through, and as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nnscratch.errors import UsageError, UserError, cause
from nnscratch.files import open_without_following, write_atomically
from nnscratch.nn.equations import Equation, number
from nnscratch.teaching.explanation import Explanation
from nnscratch.teaching.graph import graph_svg
from nnscratch.teaching.mathematics import parts_of_name, to_tex, to_text
from nnscratch.teaching.step_page import as_html as page

MARK = "nnscratch explain"
"""What a written explanation says that it was made by."""
SIGNS = f"<!-- {MARK} -->", f'<meta name="generator" content="{MARK}">'
"""With one of them a line begins among the first `LINES` of every written explanation, by which one is known."""
LINES, LONGEST_HEAD = 4, 4096
NAMED = 6


@dataclass(frozen=True)
class Told:
    """An explanation, and the files it was written to."""

    explanation: Explanation
    files: tuple[Path, ...] = ()

    @property
    def failure(self) -> UserError | None:
        """Names the equations that do not hold, at most `NAMED` of them."""
        wrong = [
            f"{section.title}: {_name_text(equation.name)} = {to_text(equation.formula)}: {equation.note}"
            for section in self.explanation.sections
            for equation in section.equations
            if equation.is_wrong
        ]
        if not wrong:
            return None
        more = [f"and {len(wrong) - NAMED} more"] if len(wrong) > NAMED else []
        hint = (
            "correct what the component says of itself (`equations`, or a method `worked_...`), or its code: of layers "
            "and losses `nnscratch gradcheck` checks the gradient"
        )
        return UserError("\n".join(["the code computes something else than", *wrong[:NAMED], *more]), hint)

    def to_dict(self) -> dict[str, Any]:
        told = asdict(self.explanation)
        del told["example"]["picture"]
        for section, plain in zip(self.explanation.sections, told["sections"], strict=True):
            plain["title"] = section.title
        return told

    def to_text(self) -> str:
        """Where it is when it was written; else all of it."""
        return "\n".join(f"written to {file}" for file in self.files) or as_text(self.explanation)


def write_explanation(
    explanation: Explanation, html: Path | None = None, markdown: Path | None = None, graph: Path | None = None
) -> Told:
    """Writes the files that are wanted, none of them when `require_places` refuses one."""
    require_places(html, markdown, graph)
    files = []
    for path, form in ((html, as_html), (markdown, as_markdown), (graph, as_svg)):
        if path is not None:
            try:
                write_atomically(path, form(explanation))
            except OSError as error:
                raise _cannot_write(path, error) from None
            files.append(path)
    return Told(explanation, tuple(files))


def require_places(html: Path | None = None, markdown: Path | None = None, graph: Path | None = None) -> None:
    """Raises UserError when two explanations would be written to one file, or another file than one is there."""
    if graph is not None and graph.suffix.lower() != ".svg":
        raise UsageError(f"--graph {graph}: the graph is drawn as SVG", "its name ends in .svg")
    taken: dict[str, str] = {}
    for option, path, name in (
        ("--html", html, "step.html"),
        ("--markdown", markdown, "step.md"),
        ("--graph", graph, "network.svg"),
    ):
        if path is None:
            continue
        before = taken.setdefault(os.path.realpath(path), option)
        if before != option:
            raise UsageError(f"{before} and {option} both name {path}", "give each a file of its own")
        if path.is_dir():
            raise UsageError(f"{option} {path}: it is a folder", f"name a file in it: {option} {path / name}")
        if path.exists() and not _is_explanation(path):
            raise UserError(f"{path} exists and is no explanation: it is not overwritten", "choose another name")


def _is_explanation(path: Path) -> bool:
    """Whether it is an ordinary file, no link and no pipe, that begins like one."""
    try:
        with open_without_following(path) as file:
            lines = file.read(LONGEST_HEAD).decode("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(SIGNS) for line in lines[:LINES])


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {cause(error)}", "name another file")


def as_text(explanation: Explanation) -> str:
    lines = [explanation.introduction]
    for section in explanation.sections:
        lines += ["", section.title, "-" * len(section.title)]
        lines += [f"    {line}".rstrip() for line in section.words.splitlines()]
        lines += ["", *(f"  {array.text}" for array in section.arrays)]
        for equation in section.equations:
            left = _name_text(equation.name)
            lines += ["", f"  {left} = {to_text(equation.formula)}"]
            lines += [f"  {' ' * len(left)} = {to_text(equation.numbers)}"]
            lines += [f"  {' ' * len(left)} {equation.sign} {number(equation.value)}{_note(equation)}"]
    return "\n".join(lines)


def as_html(explanation: Explanation) -> str:
    """The page to walk through."""
    return page(explanation, SIGNS[1])


def as_svg(explanation: Explanation) -> str:
    """The graph of the network alone."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{SIGNS[0]}\n{graph_svg(explanation)}\n'


def as_markdown(explanation: Explanation) -> str:
    return "\n".join(_markdown(explanation)) + "\n"


def _markdown(explanation: Explanation) -> Iterator[str]:
    yield SIGNS[0]
    yield from (f"# {explanation.name}: training step {explanation.step}", "", explanation.introduction)
    for section in explanation.sections:
        yield from ("", f"## {section.title}", "", "```text", section.words, "```", "")
        yield from (f"- `{array.text}`" for array in section.arrays)
        for equation in section.equations:
            yield from ("", "```math", r"\begin{aligned}")
            yield rf"{_name_tex(equation.name)} &= {to_tex(equation.formula)} \\"
            yield rf"&= {to_tex(equation.numbers)} \\"
            sign = r"\neq" if equation.is_wrong else "="
            yield f"&{sign} {to_tex(number(equation.value))}"
            yield from (r"\end{aligned}", "```", *([f"({equation.note})"] if equation.note else []))


def _note(equation: Equation) -> str:
    return f"    ({equation.note})" if equation.note else ""


def _name_text(name: str) -> str:
    letter, index = parts_of_name(name)
    return to_text(letter) + (f"[{index}]" if index else "")


def _name_tex(name: str) -> str:
    letter, index = parts_of_name(name)
    return f"{{{to_tex(letter)}}}_{{{index}}}" if index else to_tex(letter)
