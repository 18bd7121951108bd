"""Every docstring opens with a whole statement: it is what editors, the book in docs/ and `--help` show of it alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "nnscratch"
FORMULA = re.compile(r"[A-Za-z]\w*(\[[^\]]*\])? (=|-=|\+=) ")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(path: Path) -> Iterator[tuple[str, bool, str]]:
    """Of everything in a file that has a docstring: its name, whether it is a component, and the docstring."""

    def visit(node: ast.AST, name: str) -> Iterator[tuple[str, bool, str]]:
        if isinstance(node, Documented):
            docstring = ast.get_docstring(node)
            if docstring:
                yield name, isinstance(node, ast.ClassDef) and names_itself(node), docstring
        for child in ast.iter_child_nodes(node):
            inner = (
                f"{name}.{child.name}" if isinstance(child, Documented) and not isinstance(child, ast.Module) else name
            )
            yield from visit(child, inner)

    yield from visit(ast.parse(path.read_text()), path.relative_to(PACKAGE.parent).as_posix())


def names_itself(node: ast.ClassDef) -> bool:
    """Whether a config can name the class: it has a `name`."""
    assigned = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
    return any(isinstance(target, ast.Name) and target.id == "name" for target in assigned)


def is_whole(docstring: str, component: bool) -> bool:
    """Whether the first paragraph is a statement of its own: it ends as one, or is a component's formula."""
    first, *others = docstring.split("\n\n")
    ends = first.rstrip().endswith((".", "?", "!", ":"))
    return (ends or (component and bool(FORMULA.match(first)))) and not (others and others[0].startswith("("))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_docstring_opens_with_a_whole_statement(path: Path) -> None:
    broken = [name for name, component, docstring in documented(path) if not is_whole(docstring, component)]
    assert not broken


@pytest.mark.parametrize(
    ("docstring", "component", "whole"),
    [
        ("Gives the threads to a network.\n\nMore of it.", False, True),
        ("The threads for a network: its layers' own, where they share out products\n\nthemselves.", False, False),
        ("v = momentum v + g    (Polyak 1964)\n\nWith nesterov, another.", True, True),
        ("v = momentum v + g    (Polyak 1964)", False, False),
        ("a += (1 - d) (theta - a), so that the start is forgotten\n\n(Polyak & Juditsky 1992)", True, False),
        ("Every k steps: theta = a: the weights go on\n\nand once more after the last.", True, False),
    ],
)
def test_a_statement_that_is_cut_off_is_found(docstring: str, component: bool, whole: bool) -> None:
    assert is_whole(docstring, component) == whole
