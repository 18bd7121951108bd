"""What nn says to users is about layers and arrays; where a config has them is the config layer's to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnscratch.config.config import Config

NN = Path(__file__).resolve().parents[2] / "nnscratch" / "nn"
FIELD_PATH = re.compile(rf"\b({'|'.join(Config.model_fields)})\.[a-z_]+")


def raised_texts(path: Path) -> Iterator[str]:
    """The text constants in every `raise` of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise):
            yield from (
                each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


@pytest.mark.parametrize("path", sorted(NN.rglob("*.py")), ids=lambda path: path.relative_to(NN).as_posix())
def test_no_error_of_nn_names_a_field_of_a_config(path: Path) -> None:
    assert not [text for text in raised_texts(path) if FIELD_PATH.search(text)]
    imported = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not imported & {"ConfigError", "Problem"}


def test_a_path_in_a_message_would_be_found() -> None:
    assert FIELD_PATH.search("end model.layers with a bare `dense`")
    assert not FIELD_PATH.search("the network ends with an output of shape (3,)")
