"""Sweep files and commands that the tests of sweeps share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONFIG = {
    "seed": 3,
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "training": {"epochs": 3, "batch_size": 20},
}
SWEEP: dict[str, Any] = {
    "name": "tiny",
    "method": "random",
    "metric": {"name": "val_accuracy", "goal": "maximize"},
    "run_cap": 4,
    "parameters": {
        "optimizer.learning_rate": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "model.hidden_layers": {"values": [[8], [16, 8]]},
    },
}


def write_sweep(folder: Path, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A sweep file, and the config it names, in a folder. JSON is YAML."""
    base = folder / "base.yaml"
    base.write_text(json.dumps({**CONFIG, **(config or {})}))
    command = ["${env}", "nnscratch", "train", str(base), "${args_no_hyphens}"]
    sweep = {**SWEEP, "command": command, **changes}
    path = folder / "sweep.yaml"
    path.write_text(json.dumps({key: value for key, value in sweep.items() if value is not None}))
    return path


def sweep_command(file: Path, runs: Path, *more: str) -> list[str]:
    """`nnscratch sweep` as a process of its own."""
    command = [sys.executable, "-m", "nnscratch", "sweep", str(file), "--runs-dir", str(runs), "--threads", "1"]
    return [*command, "--no-plots", "--json", *more]


def start_sweep(file: Path, runs: Path, *more: str) -> subprocess.Popen[str]:
    """Starts it; standard output will hold the JSON object."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    return subprocess.Popen(
        sweep_command(file, runs, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish_sweep(process: subprocess.Popen[str], seconds: float = 120.0) -> dict[str, Any]:
    """The JSON object of a sweep that ends well."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def outcome(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What must be equal in two runs of the same sweep."""
    keys = ("number", "parameters", "status", "value")
    return [tuple(trial[key] for key in keys) for trial in result["trials"]]
