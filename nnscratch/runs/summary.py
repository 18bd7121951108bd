"""A run in one line: what its files say of how it stands and how good it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nnscratch.config.config import load_config
from nnscratch.config.document import read_yaml
from nnscratch.errors import ConfigError, UserError
from nnscratch.report.values import RunSummary
from nnscratch.runs import layout
from nnscratch.runs.checkpoint import epoch_of_weights
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Meta
from nnscratch.runs.reading import LONGEST_METRICS, mapping_of, text_of
from nnscratch.runs.status import status_of
from nnscratch.training.progress import Monitor


def summarize(run: RunDirectory) -> RunSummary:
    """A run's line, from its files alone; what they do not say is None."""
    meta, history, test = run.read_meta(), run.read_history(), run.read_test()
    metric = "accuracy" if any("train_accuracy" in row for row in history) or "test_accuracy" in test else "loss"
    best = best_epoch(run, meta, history)
    row = history[best - 1] if best is not None and 0 < best <= len(history) else {}
    return RunSummary(
        name=run.name,
        data=meta.dataset.label,
        status=status_of(run, meta),
        metric=metric,
        parameters=meta.parameters,
        best_epoch=best,
        epochs=len(history) or None,
        planned_epochs=_planned_epochs(run),
        validation=_finite(row.get(f"val_{metric}")),
        test=_finite(test.get(f"test_{metric}")),
        test_r2=_finite(test.get("test_r2")),
        seconds=_finite(sum(each.get("train_seconds", 0.0) for each in history)) if history else None,
    )


def damaged_records(run: RunDirectory) -> Iterator[str]:
    """What is wrong with the records that a summary is made of, in words: what cannot be read of them is left out."""
    if not run.config.exists():
        yield f"there is no {layout.CONFIG}"
    for path in (run.path / layout.META, run.metrics):
        if path.exists() and not path.is_file():
            yield f"{path.name} is no file"
        elif path.is_file() and path == run.metrics:
            *lines, _ = text_of(path, LONGEST_METRICS).split("\n")  # a last one that is cut belongs to no epoch yet
            others = sum(each.get("record", "epoch") != "epoch" for each in run.read_records())
            lost = len([line for line in lines if line.strip()]) - len(run.read_history()) - others
            if lost > 0:
                yield f"{lost} of {len(lines)} lines of {path.name} cannot be read"
        elif path.is_file() and mapping_of(path) is None:
            yield f"{path.name} cannot be read"


def best_epoch(run: RunDirectory, meta: Meta, history: Sequence[Mapping[str, float]]) -> int | None:
    """What training said at its end; while it runs, the best so far of the value the config monitors.

    Of a run that ended before its end, the epoch of best.npz: later weights, however good, ended with the process.
    """
    said = meta.result.best.get("epoch") if meta.result is not None else None
    if said:
        return int(said)
    if status_of(run, meta) != "running":
        kept = epoch_of_weights(run.best)
        return kept if kept is not None and kept <= len(history) else None
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
