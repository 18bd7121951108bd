"""The configs that come with nnscratch: beside the code in a clone, installed with the package by pip."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shipped:
    """Where the configs are."""

    paths: tuple[Path, ...]
    failure = None

    def to_dict(self) -> dict[str, Any]:
        return {"configs": [str(path) for path in self.paths]}

    def to_text(self) -> str:
        return "\n".join(map(str, self.paths))


def shipped_configs() -> Shipped:
    """Every config that comes with nnscratch, by path; none where an installation left them out."""
    beside = Path(__file__).resolve().parents[2] / "configs"
    if (beside.parent / "pyproject.toml").is_file():
        return Shipped(tuple(sorted(beside.rglob("*.yaml"))))
    try:
        recorded = files("nnscratch") or []
    except PackageNotFoundError:
        recorded = []
    found = {Path(str(each.locate())).resolve() for each in recorded if "share/nnscratch/configs/" in each.as_posix()}
    return Shipped(tuple(sorted(found)))
