"""The README says what is true: its commands exist, its code runs, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from nnscratch.cli import main
from nnscratch.cli.app import app
from nnscratch.config.config import parse_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Every line of a shell block that begins with nnscratch, without its comment."""
    lines = [line.partition("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith("nnscratch ")]


def test_continuous_integration_runs_the_two_commands(root: Path) -> None:
    script = (root / ".ci" / "run").read_text()
    first, second = (block.strip() for block in blocks("bash")[:2])
    for part in first.split(" && "):
        assert part.removeprefix("pip install ") in script
    assert "install --quiet -e '.[dev]'" in script
    assert second == "pip install -e '.[dev]' && pytest"
    assert re.search(r"^pytest ", script, re.MULTILINE)


def test_the_readme_shows_commands_that_exist() -> None:
    root: Any = get_command(app)
    known = set(root.commands)
    shown = {command.split()[1] for command in commands()}
    assert len(shown) >= 8
    assert shown <= known


@pytest.mark.parametrize("command", [each for each in commands() if " --" in each])
def test_the_options_the_readme_shows_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = command.split()[1:]
    path = words[: 2 if words[0] in ("runs", "data") else 1]
    with suppress(SystemExit):
        main([*path, "--help"])
    described = re.findall(r"--[\w-]+", capsys.readouterr().out)
    assert {word for word in words if word.startswith("--")} <= set(described)


def shown_tests() -> Iterator[tuple[str, str, str]]:
    """Every test file or folder that the README or the book names, with the test in it; `::name` is in the last one."""
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        path = ""
        for file, name in re.findall(r"`(tests/[\w./]*)?(?:::(\w+))?[^`\n]*`", document.read_text()):
            path = file or path
            if file or name:
                yield document.name, path, name


def test_the_tests_that_are_named_exist() -> None:
    shown = list(shown_tests())
    assert len(shown) >= 30
    for document, path, name in shown:
        assert (ROOT / path).exists(), f"{document}: {path}"
        assert not name or f"\ndef {name}(" in (ROOT / path).read_text(), f"{document}: {path}::{name}"


def test_the_markers_that_are_named_exist(pytestconfig: pytest.Config) -> None:
    markers = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    shown = set(re.findall(r"pytest -m (\w+)", README + (ROOT / "docs" / "promises.md").read_text()))
    assert shown
    assert shown <= markers


def test_the_configs_the_readme_names_exist(root: Path) -> None:
    for path in set(re.findall(r"configs/[\w/]+\.yaml", README)):
        assert (root / path).is_file(), path


@pytest.mark.parametrize("document", ["README.md", "docs/benchmarks.md", "docs/promises.md"])
def test_the_links_of_the_readme_lead_somewhere(document: str, root: Path) -> None:
    path = root / document
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("document", ["README.md", "docs/benchmarks.md"])
def test_an_accuracy_of_several_views_says_so(document: str, root: Path) -> None:
    rows = [line for line in (root / document).read_text().splitlines() if line.startswith("|")]
    for row in rows:
        for path in re.findall(r"configs/[\w/]+\.yaml", row):
            views = "flip_translate" in (root / path).read_text()
            assert "%" not in row or ("6 views" in row) == views, row


def test_the_python_example_learns(root: Path) -> None:
    code = next(block for block in blocks("python") if block.startswith("import nnscratch"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    accuracy = re.search(r"accuracy ([\d.]+)%", done.stdout)
    assert accuracy is not None
    assert float(accuracy.group(1)) > 95


def test_the_example_layer_saved_as_a_plugin_passes_the_gradient_check_and_explains_itself(tmp_path: Path) -> None:
    code = next(block for block in blocks("python") if "class Softplus" in block)
    (tmp_path / "softplus.py").write_text(code)
    config = tmp_path / "my.yaml"
    config.write_text(
        "plugins: [softplus.py]\ndata: {dataset: {name: shapes, train: 100, test: 10}, scaling: standardize}\n"
        "model: {hidden_layers: [5]}\ntraining: {batch_size: 20}\n"
    )
    shown = re.search(r"`nnscratch (gradcheck my\.yaml\s+[^`]*)`", README)
    assert shown is not None
    in_a_process_of_its_own = [sys.executable, "-m", "nnscratch"]  # a plugin's name is known from then on
    for command in (shown[1], shown[1].replace("gradcheck", "explain")):
        arguments = [*in_a_process_of_its_own, *command.split(), "--threads", "1"]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        assert "2.softplus" in done.stdout
    assert "= dy·(1 − exp(−y))" in done.stdout


@pytest.mark.parametrize("block", [each for each in blocks("yaml") if each.startswith("name:")])
def test_the_configs_in_the_readme_are_valid(block: str) -> None:
    assert parse_config(block, "README.md").name == "my_network"


def test_the_layers_in_the_readme_are_valid() -> None:
    block = next(each for each in blocks("yaml") if each.startswith("model:\n  layers"))
    config = parse_config(f"data: {{dataset: cifar10}}\n{block}", "README.md")
    assert [layer.name for layer in config.build_layers()] == ["conv", "relu", "max_pool", "flatten", "dense"]


def test_the_data_rows_of_the_readme_are_valid() -> None:
    rows = re.findall(r"`data: (\{.*?\})`[^|]*\|", README)
    assert len(rows) >= 3
    for row in rows:
        parse_config(f"data: {row}\nmodel: {{hidden_layers: [4]}}", "README.md")
