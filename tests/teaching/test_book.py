"""The book is what the code says now, complete, and its links lead to the lines that compute."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nnscratch.component import catalogue
from nnscratch.nn.layer import Layer
from nnscratch.nn.losses import Loss
from nnscratch.teaching.book import PAGES, YEAR, book, write_book
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.schedules import Schedule

DOCS = Path(__file__).resolve().parents[2] / "docs"
BOOK = book()
WITHOUT_SOURCE = {"identity", "flatten", "scale", "step", "exponential", "linear", "triangular", "reduce_on_plateau"}
"""What nobody has to be cited for."""


def section(page: str, name: str) -> str:
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", BOOK[page], re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page} has nothing on {name}"
    return found[1]


SECTIONS = [(f"{page.name}.md", each.name) for page in PAGES for each in page.components]


@pytest.mark.parametrize("name", BOOK)
def test_docs_are_current(name: str) -> None:
    written = (DOCS / name).read_text() if (DOCS / name).exists() else ""
    assert written == BOOK[name], "run: python -m nnscratch.teaching.book docs"


@pytest.mark.parametrize("kind", [Layer, Loss, Optimizer, Schedule])
def test_every_built_in_component_has_a_section(kind: type[Layer | Loss | Optimizer | Schedule]) -> None:
    built_in = {name for name, each in catalogue(kind).items() if each.__module__.startswith("nnscratch.")}
    assert built_in
    assert built_in <= {name for _, name in SECTIONS}


@pytest.mark.parametrize(("page", "name"), SECTIONS)
def test_a_section_has_a_formula_a_source_and_the_lines_that_compute_it(page: str, name: str) -> None:
    text = section(page, name)
    assert "```text\n" in text
    links = re.findall(r"\]\(\.\./([\w/]+\.py)#L(\d+)\)", text)
    assert links
    for file, line in links:
        assert (DOCS.parent / file).read_text().splitlines()[int(line) - 1].strip().startswith(("def ", "@"))
    if page in ("layers.md", "activations.md", "losses.md", "optimizers.md") and name not in WITHOUT_SOURCE:
        assert YEAR.search(text), f"{name} names no source"
    if page in ("layers.md", "activations.md", "losses.md"):
        assert "**Derivation.**" in text


def test_the_contents_link_to_every_section() -> None:
    for page, name in SECTIONS:
        assert f"({page}#{name})" in BOOK["README.md"]


def test_formulas_are_balanced_for_the_code_host() -> None:
    for text in BOOK.values():
        assert text.count("\n$$\n") % 2 == 0
        assert text.count("```") % 2 == 0
        for formula in re.findall(r"\n\$\$\n(.*?)\n\$\$\n", text, re.DOTALL):
            assert formula.count("{") == formula.count("}")


def test_writing_gives_the_files(tmp_path: Path) -> None:
    write_book(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == BOOK
