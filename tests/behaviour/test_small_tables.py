"""Tables that people learn and work with train as they come."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.config import load_config
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.layout import DATA_REPORT
from nnscratch.setup.fitted_starter import write_fitted

FOLDER = Path(os.environ.get("NNSCRATCH_TABLES") or Path(__file__).resolve().parents[3] / "shared" / "tables")
TARGETS: dict[str, Any] = {}
if (FOLDER / "targets.json").is_file():
    TARGETS = json.loads((FOLDER / "targets.json").read_text())


@pytest.mark.parametrize("name", TARGETS or ["the tables"])
def test_a_table_trains_as_it_comes(name: str, tmp_path: Path) -> None:
    if not TARGETS:
        pytest.skip(f"needs the tables in {FOLDER} (NNSCRATCH_TABLES names another folder)")
    about = TARGETS[name]
    write_fitted(tmp_path / "my.yaml", FOLDER / name, [about["target"]], tmp_path, Display(quiet=True))
    config = load_config(tmp_path / "my.yaml", ["training.epochs=2"])
    summary = train(config, Workplace(tmp_path, tmp_path / "runs", 1, plots=False), Display(quiet=True))
    report = json.loads((summary.run / DATA_REPORT).read_text())
    assert report["task"] == about["task"]
    assert sum(report["examples"].values()) == about["rows"]
    assert summary.test is not None
    assert math.isfinite(summary.test.loss)
