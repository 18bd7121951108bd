"""An explanation as text for a terminal, as Markdown with TeX, and as a self-contained HTML page with MathML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from nnscratch.errors import UserError
from nnscratch.nn.equations import Equation, number
from nnscratch.report.files import write_atomically
from nnscratch.teaching.explanation import Explanation, Section
from nnscratch.teaching.mathematics import to_mathml, to_tex, to_text

MARK = "nnscratch explain"
"""In every written explanation, by which one is known."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { overflow-x: auto; padding: .6rem .8rem; border: 1px solid #8886; border-radius: .3rem; font-size: .85rem; }
.equation { overflow-x: auto; margin: 1rem 0; }
.note, .arrays { font-size: .85rem; opacity: .85; }
.arrays li { overflow-wrap: anywhere; }
math { font-size: 1.05rem; }
"""


@dataclass(frozen=True)
class Told:
    """An explanation, and the files it was written to."""

    explanation: Explanation
    files: tuple[Path, ...] = ()
    failure = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self.explanation)

    def to_text(self) -> str:
        """Where it is when it was written; else all of it."""
        return "\n".join(f"written to {file}" for file in self.files) or as_text(self.explanation)


def write_explanation(explanation: Explanation, html: Path | None = None, markdown: Path | None = None) -> Told:
    """Writes the files that are wanted; UserError when another file than an explanation is there."""
    files = []
    for path, form in ((html, as_html), (markdown, as_markdown)):
        if path is not None:
            _write(path, form(explanation))
            files.append(path)
    return Told(explanation, tuple(files))


def _write(path: Path, text: str) -> None:
    if path.exists() and MARK not in path.read_text("utf-8", "replace"):
        raise UserError(f"{path} exists and is no explanation: it is not overwritten", "choose another name")
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


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
            lines += [f"  {' ' * len(left)} = {number(equation.value)}{_note(equation)}"]
    return "\n".join(lines)


def as_markdown(explanation: Explanation) -> str:
    return "\n".join(_markdown(explanation)) + "\n"


def _markdown(explanation: Explanation) -> Iterator[str]:
    yield f"<!-- {MARK} -->"
    yield from (f"# {explanation.name}: training step {explanation.step}", "", explanation.introduction)
    for section in explanation.sections:
        yield from ("", f"## {section.title}", "", "```text", section.words, "```", "")
        yield from (f"- `{array.text}`" for array in section.arrays)
        for equation in section.equations:
            yield from ("", "$$")
            yield rf"{_name_tex(equation.name)} = {to_tex(equation.formula)}"
            yield f"= {to_tex(equation.numbers)}"
            yield f"= {to_tex(number(equation.value))}"
            yield from ("$$", *([f"({equation.note})"] if equation.note else []))


def as_html(explanation: Explanation) -> str:
    title = escape(f"{explanation.name}: training step {explanation.step}")
    body = "".join(_html(section) for section in explanation.sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="generator" content="{MARK}"><meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head>\n<body><main><h1>{title}</h1><p>{escape(explanation.introduction)}</p>\n"
        f"{body}</main></body></html>\n"
    )


def _html(section: Section) -> str:
    arrays = "".join(f"<li><code>{escape(array.text)}</code></li>" for array in section.arrays)
    equations = "".join(map(_html_equation, section.equations))
    return (
        f"<section><h2>{escape(section.title)}</h2><pre>{escape(section.words)}</pre>"
        f'<ul class="arrays">{arrays}</ul>{equations}</section>\n'
    )


def _html_equation(equation: Equation) -> str:
    left = _name_mathml(equation.name)
    parts = (to_mathml(equation.formula), to_mathml(equation.numbers), to_mathml(number(equation.value)))
    rows = "".join(
        f"<mtr><mtd style='text-align:right'>{left if index == 0 else ''}</mtd>"
        f"<mtd style='text-align:left'><mo>=</mo>{part}</mtd></mtr>"
        for index, part in enumerate(parts)
    )
    note = f'<p class="note">{escape(equation.note)}</p>' if equation.note else ""
    return f'<div class="equation"><math display="block"><mtable>{rows}</mtable></math>{note}</div>'


def _note(equation: Equation) -> str:
    return f"    ({equation.note})" if equation.note else ""


def _parts(name: str) -> tuple[str, str]:
    """`y` and `0,3` of `y_{0,3}`; no index of what is no entry of an array."""
    letter, _, index = name.partition("_{")
    return letter, index.removesuffix("}")


def _name_text(name: str) -> str:
    letter, index = _parts(name)
    return to_text(letter) + (f"[{index}]" if index else "")


def _name_tex(name: str) -> str:
    letter, index = _parts(name)
    return f"{{{to_tex(letter)}}}_{{{index}}}" if index else to_tex(letter)


def _name_mathml(name: str) -> str:
    letter, index = _parts(name)
    symbol = to_mathml(letter)
    return f"<msub><mrow>{symbol}</mrow><mn>{index}</mn></msub>" if index else symbol
