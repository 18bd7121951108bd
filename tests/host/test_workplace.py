"""Where commands work when nothing is said."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from nnscratch.host import workplace
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS, Workplace

PACKAGE = Path(workplace.__file__).resolve().parent.parent


@pytest.mark.parametrize("name", [str(DEFAULT_DATA), str(DEFAULT_RUNS)])
def test_a_default_folder_is_defined_once(name: str) -> None:
    defined = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node) == f"Path({name!r})"
    ]
    assert defined == ["workplace.py"]


def test_only_another_data_folder_must_be_repeated() -> None:
    assert Workplace(DEFAULT_DATA).words_to_repeat() == []
    assert Workplace(Path("my data")).words_to_repeat() == ["--data-dir", "my data"]
