"""The README says what is true: its commands exist, its code runs, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nnscratch.cli import app, main
from nnscratch.config.config import parse_config

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


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
    assert "pip install --quiet -e '.[dev]'" in script
    assert second == "pip install -e '.[dev]' && pytest"
    assert re.search(r"^pytest ", script, re.MULTILINE)


def test_the_readme_shows_commands_that_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    shown = {command.split()[1] for command in commands()}
    assert len(shown) >= 8
    assert shown <= known


def test_the_configs_the_readme_names_exist(root: Path) -> None:
    for path in set(re.findall(r"configs/[\w/]+\.yaml", README)):
        assert (root / path).is_file(), path


def test_the_links_of_the_readme_lead_somewhere(root: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        if not target.startswith("http"):
            assert (root / target).exists(), target


def test_the_python_example_learns(root: Path) -> None:
    code = next(block for block in blocks("python") if block.startswith("import nnscratch"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    accuracy = re.search(r"accuracy ([\d.]+)%", done.stdout)
    assert accuracy is not None
    assert float(accuracy.group(1)) > 95


def test_the_example_layer_passes_the_gradient_check_saved_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "softplus.py").write_text(next(block for block in blocks("python") if "class Softplus" in block))
    config = tmp_path / "config.yaml"
    config.write_text(
        "plugins: [softplus.py]\n"
        "data: {dataset: {name: shapes, train: 40, test: 10}, scaling: standardize}\n"
        "model: {hidden_layers: [5]}\n"
        "training: {batch_size: 10}\n"
    )
    main(["gradcheck", str(config), "model.activation=softplus", "--allow-plugins"])
    told = capsys.readouterr().out
    assert "2.softplus" in told
    assert "passed" in told


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
