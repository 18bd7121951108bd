"""The book is what the code says now, complete, and its links lead to the lines that compute."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from nnscratch.component import Component, catalogue, opening
from nnscratch.nn.layer import Layer
from nnscratch.nn.losses import Loss
from nnscratch.teaching.book import PAGES, YEAR, book, write_book
from nnscratch.teaching.topics import TOPICS, Topic
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.schedules import Schedule

DOCS = Path(__file__).resolve().parents[2] / "docs"
BOOK = book()
WITHOUT_SOURCE = {"identity", "flatten", "scale", "step", "exponential", "linear", "triangular", "reduce_on_plateau"}
"""What nobody has to be cited for."""


LINK = re.compile(r"\[`(\w+)`\]\(\.\./([\w/]+\.py)#L(\d+)\)")
"""Name, file and line."""


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
    assert "\n```math\n" in text
    assert LINK.search(text)
    if page in ("layers.md", "activations.md", "losses.md", "optimizers.md") and name not in WITHOUT_SOURCE:
        assert YEAR.search(text), f"{name} names no source"
    if page in ("layers.md", "activations.md", "losses.md"):
        assert "**Derivation.**" in text


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_line_that_a_link_leads_to_defines_what_it_names(page: str) -> None:
    text = (DOCS / page).read_text()
    links = LINK.findall(text)
    assert len(links) == len(re.findall(r"#L\d", text))
    for name, file, line in links:
        from_there = (DOCS.parent / file).read_text().splitlines()[int(line) - 1 :]
        first = next(each for each in from_there if not each.strip().startswith("@"))
        assert re.match(rf"(\s+def|def|class) {name}\b", first), f"{page}: {file}:{line} does not define {name}"


def test_the_formulas_of_an_optimizer_are_those_of_a_hidden_matrix() -> None:
    assert r"\theta_{new} &= \theta_{decayed} - \alpha \cdot O" in section("optimizers.md", "muon")


def test_links_lead_to_where_the_formula_is_computed() -> None:
    assert [name for name, *_ in LINK.findall(section("optimizers.md", "muon"))] == ["_turn", "_orthogonal"]
    assert [name for name, *_ in LINK.findall(section("initializers.md", "whitening"))] == ["values_from"]


@pytest.mark.parametrize(("page", "name"), SECTIONS)
def test_a_section_opens_with_a_whole_statement(page: str, name: str) -> None:
    opening_block, after = re.fullmatch(r"\n```text\n(.*?)\n```\n(.*)", section(page, name), re.DOTALL).groups()  # type: ignore[union-attr]  # it matches, or the test fails here
    assert not opening_block.endswith((":", ",", ";"))
    assert not re.match(r"\n(\(|and |which |where )", after)


@pytest.mark.parametrize(
    ("docstring", "statement", "rest"),
    [
        ("y = 2 x.\n\n    More.", "y = 2 x.", ["More."]),
        (
            "Every k steps: a = b\n\n    and once more. In between, a stays.",
            "Every k steps: a = b\nand once more.",
            ["In between, a stays."],
        ),
        ("Changes at random:\n\n    x + b\n\n    More.", "Changes at random:\nx + b", ["More."]),
        ("y = x\n\n    (Lin et al. 2014). Twice.", "y = x\n(Lin et al. 2014).", ["Twice."]),
        ("y = x\n\n    (a, as there.)", "y = x\n(a, as there.)", []),
    ],
)
def test_a_statement_is_taken_whole_though_it_runs_over_paragraphs(
    docstring: str, statement: str, rest: list[str]
) -> None:
    component = type("Odd", (Component,), {"__doc__": docstring})
    assert opening(component) == (statement, rest)


def test_the_contents_link_to_every_section() -> None:
    for page, name in SECTIONS:
        assert f"({page}#{name})" in BOOK["README.md"]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_has_a_typeset_formula_and_the_lines_that_compute_it(topic: Topic) -> None:
    text = section("step.md", topic.name)
    assert "\n```math\n" in text
    assert LINK.search(text)


FORBIDDEN = {"operatorname", "mbox", "phantom", "def", "newcommand"}
"""Macros that the code host does not show."""


@pytest.mark.parametrize("page", [*BOOK, *(f"learn/{path.name}" for path in (DOCS / "learn").glob("*.md"))])
def test_formulas_are_what_the_code_host_can_show(page: str) -> None:
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```math\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"(?<!\\)\$(.*?)(?<!\\)\$", re.sub(r"`[^`]*`", "", prose), re.DOTALL)
    for formula in [*blocks, *inline]:
        assert not FORBIDDEN & set(re.findall(r"\\([a-z]+)", formula))
        assert formula.count("{") == formula.count("}")
    shown = re.sub(r"<[^>]+>", "", MarkdownIt().enable("table").render(prose))
    for formula in inline:  # Markdown comes first, and must find nothing that it takes for its own
        assert "\n" not in formula
        assert f"${html.escape(formula)}$" in shown
    assert not re.search(r"\w\0|\0\w", re.sub(r"(?<!\\)\$[^$\n]+\$", "\0", prose)), "a letter beside a formula"
    assert not re.search(r"`[^`\n]*\\_[^`\n]*`", text), "a backslash within code is seen"


def test_writing_gives_the_files(tmp_path: Path) -> None:
    write_book(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == BOOK
