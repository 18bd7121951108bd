"""What a training says of its data before the first step, and of uneven classes beside every accuracy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nnscratch.config.config import Config, config_from_mapping
from nnscratch.experiment.dry_run import dry_run
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.layout import DATA_REPORT


def config(folder: Path, labels: np.ndarray) -> Config:
    rng = np.random.default_rng(0)
    np.savez(folder / "mine.npz", x=rng.normal(size=(len(labels), 4)), y=labels)
    data = {"dataset": "npz", "path": str(folder / "mine.npz"), "validation": 0.2}
    return config_from_mapping(
        {"name": "told", "data": data, "model": {"hidden_layers": []}, "training": {"epochs": 1}}
    )


def test_where_classes_are_very_uneven_the_majority_stands_beside_every_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uneven = config(tmp_path, np.repeat([0, 1], [190, 10]))
    train(uneven, Workplace(tmp_path, tmp_path, 1, plots=False), Display())
    told = capsys.readouterr()
    lines = [line for line in told.out.splitlines() if "_accuracy" in line]
    assert len(lines) == 3  # the epoch, the best epoch, the test
    shares = {"train": "95.3", "val": "93.8", "test": "95.0"}  # 122 of 128, 30 of 32, 38 of 40
    beside = [pair for line in lines for pair in re.findall(r"(\w+)_accuracy \S+ % \(majority (\S+) %\)", line)]
    assert beside == [(split, shares[split]) for split in ("train", "val", "val", "test")]
    assert "always saying 0 is right 95.3 % of the time" in told.err


def test_where_classes_are_even_there_is_no_majority_and_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(tmp_path, np.arange(200) % 2), Workplace(tmp_path, tmp_path, 1, plots=False), Display())
    told = capsys.readouterr()
    assert "majority" not in told.out
    assert not told.err


def test_the_report_is_told_first_and_kept_in_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = config(tmp_path, np.arange(200) % 2)
    summary = train(mine, Workplace(tmp_path, tmp_path, 1, plots=False), Display())
    out = capsys.readouterr().out
    assert out.index("128 training, 32 validation, 40 test") < out.index("epoch 1/1")
    kept = json.loads((summary.run / DATA_REPORT).read_text())
    assert kept["examples"] == {"training": 128, "validation": 32, "test": 40}
    assert kept["classes"]["training"] == {"0": 64, "1": 64}
    assert "128 training" in (summary.run / "logs" / "train.log").read_text()


def test_a_dry_run_shows_the_report(tmp_path: Path) -> None:
    shown = dry_run(config(tmp_path, np.repeat([0, 1], [190, 10])), Workplace(tmp_path, tmp_path), Display(quiet=True))
    assert "classes 0 122, 1 6; always saying 0: 95.3 %" in " ".join(shown.to_text().split())
    assert "warning: the classes are uneven" in shown.to_text()
    assert shown.to_dict()["data"]["majority"] == pytest.approx(122 / 128)
