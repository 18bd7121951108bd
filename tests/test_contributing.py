"""docs/contributing.md leads to what is there: its rooms (tests/test_architecture.py), files, classes and commands."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import nnscratch.config.builtins  # noqa: F401  so that every kind of component is known
from nnscratch.component import Component

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "contributing.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its heading."""
    lines = [line.strip("| ").split(" | ") for line in section(title).splitlines() if line.startswith("| ")]
    return lines[1:]


def named(text: str) -> list[str]:
    """What stands in the code font, without whole blocks."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def imported(dotted: str) -> type[Component]:
    module, _, name = f"nnscratch.{dotted}".rpartition(".")
    found: type[Component] = getattr(import_module(module), name)
    return found


def test_the_files_it_names_exist() -> None:
    paths = [each for each in named(PAGE) if re.match(r"(nnscratch|tests|configs)/", each)]
    assert len(paths) > 15
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("row", rows("A new component"), ids=lambda row: row[0])
def test_what_a_component_of_a_kind_derives_from_has_the_methods_to_write(row: list[str]) -> None:
    _, where, bases, methods, *shown = row
    for base in named(bases):
        assert issubclass(imported(base), Component)
    classes = [imported(base) for base in named(bases)]
    for method in named(methods) + named(" ".join(shown)):
        assert any(hasattr(each, method) for each in classes), method
    for each in classes:
        assert Path(import_module(each.__module__).__file__ or "").is_relative_to((ROOT / named(where)[0]).parent), (
            f"{each} is elsewhere"
        )


def test_every_kind_of_component_has_a_row() -> None:
    named_bases = [imported(base) for row in rows("A new component") for base in named(row[2])]
    kinds = [each for each in Component.__subclasses__() if each.__module__.startswith("nnscratch.")]
    assert len(kinds) >= 9
    assert not [kind for kind in kinds if not any(issubclass(base, kind) for base in named_bases)]


def test_the_checks_exist(pytestconfig: pytest.Config) -> None:
    commands = [command for row in rows("Checks") for command in named(row[1])]
    markers = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    for command in commands:
        first, *words = command.split()
        if first == "pytest" and "-m" in words:
            assert words[words.index("-m") + 1] in markers
        for word in words:
            if word.endswith((".py", ".yaml")):
                assert (ROOT / word).is_file(), command
    assert (ROOT / ".ci" / "run").is_file()
