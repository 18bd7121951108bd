"""The shape of the house: imports run one way, and heavy libraries are imported only where they are used."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "nnscratch"

ALLOWED = {
    "version": set[str](),
    "errors": set[str](),
    "cpu": set[str](),
    "nn": {"errors"},
    "datasets": {"errors", "version", "nn.component"},
    "report": {"errors", "version", "nn.component"},
    "training": {"errors", "nn"},
    "experiment": {"errors", "version", "cpu", "nn", "datasets", "report", "training"},
    "cli": {"errors", "version", "cpu", "experiment"},
    "__main__": {"cli"},
    "__init__": {"cpu", "version"},
}
"""Which parts of nnscratch each part may import, besides itself."""

NUMPY_ONLY = ("nn", "training")
HEAVY = ("matplotlib", "wandb", "optuna", "pooch", "PIL", "torch", "sklearn", "rich", "pydantic", "sqlalchemy")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "nnscratch")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(path)
    for module in imports(path):
        if not module.startswith("nnscratch."):
            continue
        inner = module.removeprefix("nnscratch.")
        allowed = ALLOWED[part] | {part}
        assert any(inner == each or inner.startswith(each + ".") for each in allowed), f"{part} may not import {module}"


@pytest.mark.parametrize("part", NUMPY_ONLY)
def test_what_a_network_computes_is_numpy_only(part: str) -> None:
    for path in (PACKAGE / part).rglob("*.py"):
        for module in imports(path):
            top = module.partition(".")[0]
            assert top in {"numpy", "nnscratch"} or top in sys.stdlib_module_names, f"{path} imports {module}"


def loaded_by(code: str) -> set[str]:
    """The top-level modules that are loaded after running code in a new interpreter."""
    program = f"{code}\nimport sys; print('MODULES', *{{name.partition('.')[0] for name in sys.modules}})"
    environment = os.environ | {"WANDB_MODE": "disabled"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_help_imports_nothing_heavy_not_even_numpy() -> None:
    loaded = loaded_by("from nnscratch.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass")
    assert not loaded & {*HEAVY, "numpy", "yaml"}


def test_a_dry_run_imports_no_plots_no_tracking_and_no_search(tmp_path: Path) -> None:
    command = [
        "train",
        str(PACKAGE.parent / "configs" / "smoke.yaml"),
        "--dry-run",
        "--runs-dir",
        str(tmp_path / "runs"),
    ]
    loaded = loaded_by(f"from nnscratch.cli import main\nmain({command!r})")
    assert "numpy" in loaded
    assert not loaded & {"matplotlib", "wandb", "optuna", "pooch", "PIL", "torch", "sklearn", "sqlalchemy"}
    assert not (tmp_path / "runs").exists()


def test_importing_the_package_imports_nothing_but_cpu() -> None:
    assert not loaded_by("import nnscratch") & {*HEAVY, "numpy", "typer", "yaml"}


def test_the_top_level_holds_what_the_house_has_room_for() -> None:
    expected = {"pyproject.toml", "README.md", "nnscratch", "configs", "tests", "runs", "data", "docs", "LICENSE"}
    tracked = subprocess.run(["git", "ls-files"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= expected
