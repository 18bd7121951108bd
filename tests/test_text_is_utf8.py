"""Files and pipes are UTF-8, whatever the terminal and the system think of letters."""

from __future__ import annotations

import ast
import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nnscratch

PACKAGE = Path(nnscratch.__file__).parent
CP1252 = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}


def output_of(*arguments: str | Path) -> bytes:
    """What a command writes into a pipe when the terminal is a Windows one."""
    command = [sys.executable, "-m", "nnscratch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=CP1252, check=True).stdout


def test_predictions_in_a_pipe_are_utf_8(shapes_run: Path, tmp_path: Path) -> None:
    picture = tmp_path / "猫 größe.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(picture)
    table = output_of("predict", shapes_run, picture, "--csv", "--threads", "1").decode("utf-8")
    assert next(csv.DictReader(io.StringIO(table)))["input"] == str(picture)
    assert str(picture) in output_of("predict", shapes_run, picture, "--threads", "1").decode("utf-8")


def test_errors_in_a_pipe_are_utf_8(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nnscratch", "train", "猫.yaml"]
    done = subprocess.run(command, capture_output=True, env=CP1252, cwd=tmp_path, check=False)
    assert done.stderr.decode("utf-8").startswith("error: 猫.yaml  no such file")


def opened_as_text(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that open a file or a pipe as text and leave it to the system how letters are written."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _opens_text(call) and all(each.arg != "encoding" for each in call.keywords):
            yield call


def _opens_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("self", "super()"):
        return False  # a method of the class's own
    options = {keyword.arg for keyword in call.keywords}
    if name in ("read_text", "write_text"):
        return len(call.args) == (name == "write_text")  # before the encoding
    if name in ("run", "Popen", "check_output"):
        return bool(options & {"text", "universal_newlines"})
    if name == "open" and isinstance(call.func, ast.Attribute):  # of a Path: mode first, and no file among the rest
        modes, otherwise = call.args[:1], not call.args and "fileobj" not in options
    elif name == "open":
        modes, otherwise = call.args[1:2], True
    elif name in ("fdopen", "NamedTemporaryFile", "TemporaryFile"):
        modes, otherwise = [each for each in call.args if isinstance(each, ast.Constant)], False
    else:
        return False
    written = [each.value for each in modes if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return "b" not in written[0] if written else otherwise and not modes


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.open()", 1),
        ("path.open('w')", 1),
        ("path.open(newline='')", 1),
        ("open(path, 'a')", 1),
        ("path.read_text()", 1),
        ("path.read_text(errors='replace')", 1),
        ("path.write_text(text)", 1),
        ("os.fdopen(1, 'w')", 1),
        ("subprocess.run(command, text=True)", 1),
        ("path.open('rb')", 0),
        ("path.open('w', encoding='utf-8')", 0),
        ("path.read_text('utf-8')", 0),
        ("run.write_text(name, text)", 0),
        ("RunDirectory.open(path)", 0),
        ("subprocess.run(command, encoding='utf-8')", 0),
    ],
)
def test_a_file_opened_in_the_systems_letters_is_found(code: str, found: int) -> None:
    assert len(list(opened_as_text(ast.parse(code)))) == found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_text_file_is_opened_as_utf_8(path: Path) -> None:
    calls = opened_as_text(ast.parse(path.read_text(encoding="utf-8")))
    assert [f"{path.name}:{call.lineno}: {ast.unparse(call)[:80]}" for call in calls] == []
