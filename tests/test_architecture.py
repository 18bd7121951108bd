"""The shape of the house: imports run one way and in no circle, rooms and files stay small."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "nnscratch"

LEAVES = {"component", "errors", "files", "version", "cpu"}
GROUND = {"nn", "training", "datasets", "report", "host", *LEAVES}
ALLOWED: dict[str, set[str]] = {
    "version": set(),
    "errors": set(),
    "files": set(),
    "cpu": set(),
    "component": set(),
    "nn": {"component", "errors", "cpu"},
    "training": {"nn", "component", "errors"},
    "datasets": {"component", "errors", "files", "version", "cpu"},
    "report": {"errors", "files", "version"},
    "host": {"nn", "report.formats", "errors", "files", "version", "cpu"},
    "distributed": {"nn", "errors"},
    "config": GROUND,
    "runs": {"config", *GROUND},
    "results": {"runs", "config", *GROUND},
    "setup": {"results", "runs", "config", *GROUND},
    "teaching": {"results", "runs", "config", *GROUND},
    "experiment": {"results", "runs", "config", *GROUND},
    "export": {"results", "runs", "config", *GROUND},
    "serve": {"results", "runs", "config", *GROUND},
    "interface": {"experiment", "results", "runs", "config", *GROUND},
    "sweeps": {"distributed", "experiment", "results", "runs", "config", *GROUND},
    "cli": {
        "distributed",
        "sweeps",
        "experiment",
        "export",
        "serve",
        "teaching",
        "setup",
        "results",
        "runs",
        "config",
        *GROUND,
    },
    "__main__": {"cli"},
    "__init__": {"interface", "cpu", "version"},
}
"""Which parts of nnscratch each part may import, besides itself; docs/contributing.md draws it."""

NUMPY_ONLY = ("nn", "training", "component")
HEAVY = (
    "matplotlib",
    "wandb",
    "optuna",
    "pooch",
    "PIL",
    "torch",
    "sklearn",
    "rich",
    "pydantic",
    "sqlalchemy",
    "polars",
    "charset_normalizer",
    "mpi4py",
    "starlette",
    "uvicorn",
)
LONGEST_FILE, LONGEST_FUNCTION, LARGEST_SHARE = 350, 60, 1 / 5


def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; of `from a import b` that is a.b when it is a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    part = part_of(module)
    for imported in imports(MODULES[module]):
        if not imported.startswith("nnscratch."):
            continue
        inner = imported.removeprefix("nnscratch.")
        allowed = ALLOWED[part] | {part}
        assert any(inner == each or inner.startswith(each + ".") for each in allowed), (
            f"{part} may not import {imported}"
        )


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """Some way from a module back to itself; None when there is none."""
    done: set[str] = set()

    def search(module: str, way: list[str]) -> list[str] | None:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return None
        for other in sorted(graph[module]):
            found = search(other, [*way, module])
            if found:
                return found
        done.add(module)
        return None

    return next((found for module in graph if (found := search(module, []))), None)


def test_no_imports_run_in_a_circle_not_even_inside_functions() -> None:
    graph = {module: {each for each in imports(path) if each in MODULES} - {module} for module, path in MODULES.items()}
    assert circle(graph) is None


def test_a_planted_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_no_package_holds_more_than_a_fifth_of_the_lines() -> None:
    lines: dict[str, int] = {}
    for module, path in MODULES.items():
        lines[part_of(module)] = lines.get(part_of(module), 0) + path.read_text().count("\n")
    total = sum(lines.values())
    assert not {part: count for part, count in lines.items() if count > LARGEST_SHARE * total}


def test_no_file_is_long() -> None:
    lengths = {module: path.read_text().count("\n") for module, path in MODULES.items()}
    assert not {module: length for module, length in lengths.items() if length > LONGEST_FILE}


def test_no_function_is_long() -> None:
    long = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long.append(f"{module}.{node.name}: {length} lines")
    assert not long


@pytest.mark.parametrize("part", NUMPY_ONLY)
def test_what_a_network_computes_is_numpy_only(part: str) -> None:
    for module, path in MODULES.items():
        if part_of(module) == part:
            for imported in imports(path):
                top = imported.partition(".")[0]
                assert top in {"numpy", "nnscratch"} or top in sys.stdlib_module_names, f"{path} imports {imported}"


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
    heavy = {"matplotlib", "wandb", "optuna", "pooch", "PIL", "torch", "sklearn", "sqlalchemy", "polars", "mpi4py"}
    assert not loaded & heavy
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


PAGE = (PACKAGE.parent / "docs" / "contributing.md").read_text()
PICTURE = PAGE.partition("```text\n")[2].partition("```")[0]


def test_the_page_for_contributors_has_this_very_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*)\|$", PAGE, re.MULTILINE)
    told = {
        part: set(re.findall(r"`([\w.]+)`", cell)) | (GROUND if "the ground" in cell else set()) for part, cell in rows
    }
    assert told == ALLOWED
    ground = re.search(r'^"The ground" is (.*?)\.$', PAGE, re.MULTILINE)
    assert ground is not None
    assert set(re.findall(r"`(\w+)`", ground[1])) == GROUND


def test_the_picture_shows_every_part_once_and_above_what_it_imports() -> None:
    places = {
        part: [i for i, line in enumerate(PICTURE.splitlines()) if re.search(rf"\b{part}\b", line)] for part in ALLOWED
    }
    del places["__init__"]
    assert {part: len(lines) for part, lines in places.items()} == dict.fromkeys(places, 1)
    upward = [
        (part, each)
        for part in places
        for each in ALLOWED[part] - {"report.formats"}
        if places[part] >= places[each.partition(".")[0]]
    ]
    assert not upward
