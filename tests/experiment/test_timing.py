"""`training.minutes`: the epochs that fit are timed once, kept, and from there on the training is like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.assembly import Assembly, prepare
from nnscratch.config.config import config_from_mapping, load_config
from nnscratch.experiment import timing
from nnscratch.experiment.repeats import How, repeat
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.group import RunGroup

SETTINGS: dict[str, Any] = {
    "name": "timed",
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 20}, "validation": 0.2, "scaling": "standardize"},
    "model": {"layers": [{"name": "flatten"}, {"name": "dense", "units": 8}, "batch_norm", "relu", "dropout", "dense"]},
    "schedule": "cosine",
    "training": {"minutes": 0.002, "batch_size": 20},
}


def weights(run: Path) -> dict[str, bytes]:
    with np.load(run / "checkpoints" / "last.npz") as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files if not name.startswith("__") and name != "header"}


def test_a_timed_run_is_the_run_of_its_own_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    run = train(config_from_mapping(SETTINGS), workplace, Display()).run
    kept = load_config(run / "config.yaml")
    assert kept.training.minutes is None
    assert kept.training.epochs >= 1
    assert f"{kept.training.epochs} epoch" in capsys.readouterr().out
    again = train(kept, workplace, Display(quiet=True)).run
    assert weights(again) == weights(run)


def test_as_many_epochs_are_trained_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(timing, "seconds_per_epoch", lambda assembly, threads, seconds, communicator: 7.0)
    config = config_from_mapping({**SETTINGS, "training": {"minutes": 1, "epochs": 50}})
    prepared = prepare(config, Workplace(Path("nowhere")), Display(quiet=True))
    assert timing.fit_epochs(prepared, 1, told.append).training.epochs == 8
    assert told == ["an epoch takes about 7.0 s: 8 epochs in 1 min 00 s, which training.epochs now says"]


def test_a_warm_up_that_takes_all_epochs_that_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(timing, "seconds_per_epoch", lambda assembly, threads, seconds, communicator: 7.0)
    schedule = {"name": "cosine", "warmup_epochs": 8}
    config = config_from_mapping({**SETTINGS, "schedule": schedule, "training": {"minutes": 1}})
    timing.fit_epochs(prepare(config, Workplace(Path("nowhere")), Display(quiet=True)), 1, told.append)
    assert told[1:] == ["schedule.warmup_epochs 8 takes all 8 epochs: the learning rate only rises"]


def test_an_epoch_that_does_not_fit_is_trained_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(timing, "seconds_per_epoch", lambda assembly, threads, seconds, communicator: 700.0)
    config = config_from_mapping({**SETTINGS, "training": {"minutes": 1}})
    prepared = prepare(config, Workplace(Path("nowhere")), Display(quiet=True))
    assert timing.fit_epochs(prepared, 1, told.append).training.epochs == 1
    assert "longer than the 1 min 00 s that it was given" in told[-1]


def test_all_runs_of_a_group_have_the_epochs_that_were_timed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[float] = []

    def three_epochs(assembly: Assembly, threads: int, seconds: float, communicator: object) -> float:
        timed.append(seconds)
        return 0.04

    monkeypatch.setattr(timing, "seconds_per_epoch", three_epochs)
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    for _ in range(2):  # the same command again goes on, and times nothing
        summary = repeat(config_from_mapping(SETTINGS), (1, 2), None, How(), workplace, Display(quiet=True))
    assert len(timed) == 1
    assert [len(member.run.read_history()) for member in RunGroup.open(summary.path).members] == [3, 3]


def test_minutes_and_epochs_are_not_both_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "configs/quickstart.yaml", "--minutes", "1", "--epochs", "2", "--runs-dir", str(tmp_path)])
    assert ended.value.code == 2
    assert "--epochs and --minutes: one of them" in capsys.readouterr().err
