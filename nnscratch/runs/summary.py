"""A run in one line: what its files say of how it stands and how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nnscratch.config.config import load_config
from nnscratch.config.document import read_yaml
from nnscratch.errors import ConfigError, UserError
from nnscratch.report.values import RunSummary
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Meta
from nnscratch.runs.status import status_of
from nnscratch.training.progress import Monitor


def summarize(run: RunDirectory) -> RunSummary:
    """A run's line, from its files alone; what they do not say is None."""
    meta, history, test = run.read_meta(), run.read_history(), run.read_test()
    metric = "accuracy" if any("train_accuracy" in row for row in history) or "test_accuracy" in test else "loss"
    best = _best_epoch(run, meta, history)
    row = history[best - 1] if best is not None and 0 < best <= len(history) else {}
    return RunSummary(
        name=run.name,
        data=meta.dataset.name or "-",
        status=status_of(run, meta),
        metric=metric,
        parameters=meta.parameters,
        best_epoch=best,
        epochs=len(history) or None,
        planned_epochs=_planned_epochs(run),
        validation=_finite(row.get(f"val_{metric}")),
        test=_finite(test.get(f"test_{metric}")),
        seconds=_finite(sum(each.get("train_seconds", 0.0) for each in history)) if history else None,
    )


def _best_epoch(run: RunDirectory, meta: Meta, history: Sequence[Mapping[str, float]]) -> int | None:
    """What training said at its end; before that, the best so far of the value the config monitors."""
    said = meta.result.best.get("epoch") if meta.result is not None else None
    if said:
        return int(said)
    if not any("val_loss" in row for row in history):
        return len(history) or None
    try:
        monitored = load_config(run.config).training.monitor
    except UserError:
        monitored = None
    default = "val_accuracy" if any("val_accuracy" in row for row in history) else "val_loss"
    return Monitor(monitored or default).best_epoch(history)


def _planned_epochs(run: RunDirectory) -> int | None:
    """What its config says; read as it is written, so that a run with plugins is listed, too."""
    if not run.config.is_file():  # a pipe would be waited for
        return None
    try:
        node, depth = read_yaml(run.config).root.nearest(("training", "epochs"))
    except ConfigError:
        return None
    return node.content if depth == 2 and isinstance(node.content, int) else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def plain_summary(path: Path, summary: RunSummary) -> dict[str, Any]:
    """Plain values for --json."""
    return {"path": str(path), **asdict(summary)}
