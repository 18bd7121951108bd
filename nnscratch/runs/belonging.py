"""Whether a checkpoint is a run's own: what may differ between two configs without reaching the weights."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nnscratch.errors import UserError
from nnscratch.runs.checkpoint import header_alone
from nnscratch.runs.directory import RunDirectory

if TYPE_CHECKING:
    from nnscratch.config.config import Config
    from nnscratch.config.node import Value

FREE = (
    "name", "data.path", "training.epochs", "training.early_stopping", "training.checkpoint_every",
    "training.keep_last",
)  # fmt: skip
FREE_SECTIONS = ("evaluation", "wandb", "tracking")
"""What a resume may change in a config: nothing of it reaches the weights of the epochs that both have.

Data that lies elsewhere is the same, or refused.
"""


def differences_that_count(trained: Config, config: Config) -> dict[str, tuple[Value, Value]]:
    """The fields that reach the weights and differ, with both values."""
    from nnscratch.config.config import differences

    return {path: pair for path, pair in differences(trained, config).items() if not _is_free(path)}


def _is_free(path: str) -> bool:
    return any(path == free or path.startswith(f"{free}.") for free in (*FREE, *FREE_SECTIONS))


def require_own(run: RunDirectory, file: Path, config: str) -> None:
    """Raises UserError when the checkpoint in that file was trained with another config than the run.

    What the run was trained with is said by its config.yaml, and by its other checkpoint when somebody has changed
    that: a checkpoint that agrees with one of them is the run's. Configs are read only where their texts differ.
    """
    differing, is_inside = [], file.parent.resolve() == run.checkpoints.resolve()
    if is_inside and not _other(run, file).exists():
        return  # who is to say that it is not the config.yaml which somebody has changed?
    for text in _known_configs(run, file):
        if text == config:
            return
        differing.append(_differing(text, config))
    if not any(differing) or [] in differing:
        return
    fields = ", ".join(next(filter(None, differing)))
    again = shlex.join(["nnscratch", "train", "--resume", str(run.path)])
    raise UserError(
        f"{file} is not of {run.path}: it was trained with another {fields}",
        f"{again} writes the run's own again"
        if is_inside and file.name == run.best.name
        else "name the run that it is of, or a checkpoint of this one",
    )


def _known_configs(run: RunDirectory, file: Path) -> Iterator[str]:
    """The YAML of what the run was trained with, from whoever says so beside that file."""
    with suppress(OSError, ValueError):
        yield run.config.read_text("utf-8")
    text = (header_alone(_other(run, file)) or {}).get("config")
    if isinstance(text, str):
        yield text


def _other(run: RunDirectory, file: Path) -> Path:
    return run.best if file.name == run.last.name else run.last


def _differing(one: str, other: str) -> list[str] | None:
    """The fields that count and differ between two configs; None where one of them cannot be read."""
    from nnscratch.config.config import parse_config

    try:
        return list(differences_that_count(parse_config(one, "config"), parse_config(other, "config")))
    except UserError:
        return None
