"""Every help page as it is kept in tests/cli/help: a change that nobody wanted shows as a difference.

A wanted one is written there by `python tests/cli/test_help.py`.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from nnscratch.cli.app import app

PAGES = Path(__file__).resolve().parent / "help"
CONSTRAINTS = PAGES.parents[2] / ".ci" / "constraints.txt"
ROOT: Any = get_command(app)


def commands(group: Any = ROOT, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command and group of commands, the root's () among them."""
    below = [commands(command, (*words, name)) for name, command in getattr(group, "commands", {}).items()]
    return [words, *(each for some in below for each in some)]


def page(words: tuple[str, ...], width: int) -> str:
    """What `nnscratch WORDS --help` prints in a terminal of that width."""
    command, context = ROOT, ROOT.make_context("nnscratch", [], resilient_parsing=True, terminal_width=width - 2)
    for word in words:
        command = command.commands[word]
        context = command.make_context(word, [], parent=context, resilient_parsing=True, terminal_width=width - 2)
    return f"{command.get_help(context)}\n"


def file_of(words: tuple[str, ...]) -> Path:
    return PAGES / f"{'_'.join(words) or 'root'}.txt"


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words) or "root")
def test_the_page_is_the_one_that_is_kept(words: tuple[str, ...]) -> None:
    if f"typer=={version('typer')}\n" not in CONSTRAINTS.read_text():
        pytest.skip(f"the pages are as the typer of {CONSTRAINTS.name} writes them; this is {version('typer')}")
    assert page(words, 100) == file_of(words).read_text(), f"if this is wanted: python {Path(__file__).name}"


def test_no_page_is_kept_of_a_command_that_is_gone() -> None:
    assert {path.name for path in PAGES.iterdir()} == {file_of(words).name for words in commands()}


@pytest.mark.parametrize("group", [(), ("data",), ("runs",)])
def test_every_command_has_one_line_in_a_terminal_of_80_columns(group: tuple[str, ...]) -> None:
    command = ROOT if not group else ROOT.commands[group[0]]
    lines = page(group, 80).splitlines()
    for name in command.commands:
        (index,) = [number for number, line in enumerate(lines) if re.match(rf"  {name} ", line)]
        assert lines[index].endswith(".")
        assert "..." not in lines[index]
        assert len(lines[index]) <= 80


def test_the_commands_are_under_what_they_are_for() -> None:
    headings = re.findall(r"^(\w[\w ]*):$", page((), 80), re.MULTILINE)
    assert headings == ["Options", "Train and use", "Look", "Understand", "Take away", "Set up"]


def test_each_example_is_on_a_line_of_its_own_and_begins_with_a_command() -> None:
    for words in commands():
        if words not in ((), ("data",), ("runs",)):
            shown = re.split(r"^  Examples?:$", page(words, 60), flags=re.MULTILINE)[1].strip("\n").splitlines()
            commands_shown = [each.strip() for each in re.sub(r" \\\n *", " ", "\n".join(shown)).splitlines()]
            assert all(re.search(rf"nnscratch {' '.join(words)}\b", each) for each in commands_shown), shown


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words) or "root")
def test_no_word_of_a_page_is_broken_and_no_description_is_cut_in_a_narrow_terminal(words: tuple[str, ...]) -> None:
    def letters(text: str) -> str:
        return re.sub(r"[\s\\]+", " ", text).replace("- ", "-")

    wide = letters(page(words, 200))
    for width in (40, 56, 80):
        narrow = page(words, width)
        assert letters(narrow) == wide
        assert [line for line in narrow.splitlines() if len(line) > width and " " in line.strip(" \\")] == []


if __name__ == "__main__":
    for every in commands():
        file_of(every).write_text(page(every, 100))
