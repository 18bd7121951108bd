"""The live table of a sweep: drawn where the display writes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.report.tables import rich_table
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.board import Board, finished_line, live_table
from nnscratch.sweeps.sweep_file import load_sweep


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("json", [True, False])
def test_with_json_the_live_table_is_on_standard_error_where_a_person_looks(
    json: bool, write_sweep: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path)
    study = Assignment(load_sweep(file), 3, tmp_path, None, 60.0, False, Workplace(tmp_path)).open_study()
    study.claim()
    streams = {"stdout": io.StringIO() if json else Terminal(), "stderr": Terminal()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("TERM", "xterm")
    with Board(study, Display(json=json)).shown():
        pass
    drawn = {name for name, stream in streams.items() if "tiny: 0 of 4 trials" in stream.getvalue()}
    assert drawn == {"stderr" if json else "stdout"}


def test_the_live_table_shows_epochs_of_all_and_rates_in_full_in_80_columns(
    write_sweep: Callable[..., Path], tmp_path: Path
) -> None:
    parameters = {
        "optimizer.learning_rate": {"value": 0.00032},
        "model.hidden_layers": {"values": [[256, 128, 64], [512, 256]]},
        "l2": {"values": [0.000123, 0.01]},
        "training.batch_size": {"values": [64, 256]},
        "optimizer.name": {"values": ["rmsprop", "adam"]},
        "optimizer.beta2": {"values": [0.99, 0.999]},
    }
    parameters["optimizer.learning_rate"] = {"values": [0.00032, 1e-05]}
    file = write_sweep(tmp_path, parameters=parameters)
    study = Assignment(load_sweep(file), 3, tmp_path, None, 60.0, False, Workplace(tmp_path)).open_study()
    for number in range(2):
        study.claim()
        study.begin(number, tmp_path, 50, 0)
        study.report(number, 5, 0.5196)
    stream = io.StringIO()
    table = live_table(study.trials(), study)
    Console(file=stream, width=80, color_system=None).print(rich_table(table))
    drawn = stream.getvalue()
    assert "…" not in drawn
    assert drawn.count(" best ") + drawn.count(" running ") == 2
    assert all(str(trial.parameters["optimizer.name"]) in drawn for trial in study.trials())
    assert drawn.count("5/50") == 2
    assert drawn.count("51.96 %") == 2
    rates = [f"{trial.parameters['optimizer.learning_rate']:.3g}" for trial in study.trials()]
    assert all(f" {rate} " in drawn for rate in rates)
    assert max(map(len, drawn.splitlines())) <= 80


def test_a_line_of_a_finished_trial_names_only_what_it_tried(write_sweep: Callable[..., Path], tmp_path: Path) -> None:
    parameters = {"optimizer.name": {"values": ["sgd", "adam"]}, "optimizer.momentum": {"values": [0.5, 0.9]}}
    file = write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters)
    study = Assignment(load_sweep(file), 3, tmp_path, None, 60.0, False, Workplace(tmp_path)).open_study()
    while study.claim() is not None:
        pass
    assert [finished_line(trial, study) for trial in study.trials()] == [
        "trial 0 of 3  running  optimizer.name sgd  optimizer.momentum 0.5",
        "trial 1 of 3  running  optimizer.name sgd  optimizer.momentum 0.9",
        "trial 2 of 3  running  optimizer.name adam",
    ]
