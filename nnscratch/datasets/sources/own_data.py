"""What the sources of a user's own data share: where it is, and a test split held out of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.splits import split_indices
from nnscratch.errors import ConfigError, DataError, Problem

Splits = tuple[Array, Array, Array | None, Array | None]
"""Training inputs and targets, test inputs and targets."""


def required_path(path: Path | None, source: str, what: str) -> Path:
    """The path, which must be given and exist; ConfigError or DataError otherwise."""
    if path is None:
        raise ConfigError(
            [Problem("data.path", f"is missing; dataset {source} needs the path of {what}")],
            f"for example `data: {{dataset: {source}, path: mine}}` or `data.path=mine` on the command line",
        )
    if not path.exists():
        raise DataError(f"{path} does not exist", f"data.path must be {what}")
    return path


def hold_out(inputs: Array, targets: Array, fraction: float, seed: int, stratify: bool) -> Splits:
    """The examples with a fraction of them held out for testing (None for 0); the same for the same seed."""
    if fraction == 0:
        return inputs, targets, None, None
    train, test = held_out_rows(targets, fraction, seed, stratify)
    return inputs[train], targets[train], inputs[test], targets[test]


def held_out_rows(targets: Array, fraction: float, seed: int, stratify: bool) -> tuple[Array, Array]:
    """The rows to train with and those that `hold_out` holds out."""
    if fraction == 0:
        return np.arange(len(targets)), np.arange(0)
    return split_indices(targets, fraction, np.random.default_rng(seed), stratify, field="data.dataset.test")


def labels_from(values: list[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The class names, sorted as numbers where all are numbers and as text otherwise, and their labels."""
    names = set(values)
    try:
        ordered = sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        ordered = sorted(names)
    return tuple(ordered), {name: label for label, name in enumerate(ordered)}
