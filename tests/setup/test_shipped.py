from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nnscratch.cli import main


def test_the_shipped_configs_are_listed_by_their_paths(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--list"])
    assert capsys.readouterr().out.split() == [str(path) for path in sorted((root / "configs").rglob("*.yaml"))]


def test_every_folder_of_configs_is_installed_with_the_package(root: Path) -> None:
    installed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    folders = {path.parent.relative_to(root).as_posix() for path in (root / "configs").rglob("*.yaml")}
    assert {f"share/nnscratch/{folder}": [f"{folder}/*.yaml"] for folder in folders} == installed
