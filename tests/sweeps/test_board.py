"""The live table of a sweep: drawn where the display writes."""

from __future__ import annotations

import io
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.board import Board, finished_line, live_text
from nnscratch.sweeps.study import Study
from nnscratch.sweeps.sweep_file import load_sweep


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("json", [True, False])
def test_with_json_the_live_table_is_on_standard_error_where_a_person_looks(
    json: bool, write_sweep: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(write_sweep, tmp_path)
    study.claim()
    streams = {"stdout": io.StringIO() if json else Terminal(), "stderr": Terminal()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("TERM", "xterm")
    with Board(study, Display(json=json)).shown():
        pass
    drawn = {name for name, stream in streams.items() if "tiny: 0 of 4 trials" in stream.getvalue()}
    assert drawn == {"stderr" if json else "stdout"}


WIDE = {
    "optimizer.learning_rate": {"values": [0.00032, 0.000171]},
    "model.hidden_layers": {"values": [[256, 128, 64], [512, 256]]},
    "l2": {"values": [0.000123, 0.01]},
    "training.batch_size": {"values": [64, 256]},
    "optimizer.name": {"values": ["rmsprop", "adam"]},
    "model.weight_init": {"values": ["xavier", "random"]},
}
"""The names of configs/sweep.yaml: ten columns."""


def open_study(write_sweep: Callable[..., Path], folder: Path, **changes: Any) -> Study:
    file = write_sweep(folder, **changes)
    return Assignment(load_sweep(file), 3, folder, None, 60.0, False, Workplace(folder)).open_study()


def test_the_live_table_shows_epochs_of_all_and_rates_in_full_in_80_columns(
    write_sweep: Callable[..., Path], tmp_path: Path
) -> None:
    study = open_study(write_sweep, tmp_path, parameters=WIDE)
    for number in range(2):
        study.claim()
        study.begin(number, tmp_path, 50, 0)
        study.report(number, 5, 0.5196)
    drawn = live_text(study.trials(), study, 80, 24)
    assert "…" not in drawn
    assert "batch" in drawn.split("\n")[1]  # a table: its headings are above its cells
    rows = re.findall(r"^ +\d running .*", drawn, re.MULTILINE)
    assert len(rows) == 2
    for trial, row in zip(study.trials(), rows, strict=True):
        assert {"51.96", "5/50", trial.parameters["optimizer.name"]} <= set(row.split())
        assert {f"{trial.parameters[name]:.3g}" for name in ("optimizer.learning_rate", "l2")} <= set(row.split())
    assert max(map(len, drawn.splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 80])
def test_the_best_and_those_that_run_are_in_view_however_many_have_ended(
    width: int, write_sweep: Callable[..., Path], tmp_path: Path
) -> None:
    study = open_study(write_sweep, tmp_path, parameters=WIDE, run_cap=40)
    values = [0.1] * 25
    values[2] = 0.9
    for number, value in enumerate(values):
        study.claim()
        study.begin(number, tmp_path, 50, 0)
        study.finish(number, "completed", value)
    study.claim()
    drawn = live_text(study.trials(), study, width, 24)
    assert drawn.count("\n") < 24
    assert re.match(r"tiny: 25 of 40 trials \((\d+) of them not\s+shown\)\n", drawn)
    if width == 80:
        assert re.search(r"^ +2 best +90\.00 %", drawn, re.MULTILINE)
        assert re.search(r"^ +25 running ", drawn, re.MULTILINE)
    else:
        assert re.search(r"^trial 2\n  status best ", drawn, re.MULTILINE)
        assert re.search(r"^trial 25\n  status running ", drawn, re.MULTILINE)
    assert re.search(r"\b24\b", drawn)  # the latest that ended
    assert not re.search(r"\b0 completed|trial 0\b", drawn)


def test_the_live_table_says_below_why_a_trial_failed(write_sweep: Callable[..., Path], tmp_path: Path) -> None:
    study = open_study(write_sweep, tmp_path)
    for number, note, collapsed in ((0, "no \x1b[31mroom", False), (1, "collapsed to chance level", True)):
        study.claim()
        study.finish(number, "completed" if collapsed else "failed", 0.1, note, collapsed)
    drawn = live_text(study.trials(), study, 80, 24)
    assert re.search(r"^ +0  failed .*\n +1  best .*\ntrial 0: no .*\[31mroom$", drawn, re.MULTILINE)
    assert "\x1b" not in drawn


def test_in_a_terminal_the_live_table_changes_while_a_trial_is_trained(
    write_sweep: Callable[..., Path], tmp_path: Path
) -> None:
    """Pictures in a real terminal, each in place of the one before, until the epoch has grown; then Ctrl-C."""
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    config = {"training": {"epochs": 5000, "batch_size": 20, "checkpoint_every": 1}}
    file = write_sweep(tmp_path, config, method="grid", run_cap=None, parameters=WIDE)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "nnscratch", "sweep", str(file), "--threads", "1", "--no-plots"]
    left_out = ("COLUMNS", "LINES", "NO_COLOR")
    environment = {key: value for key, value in os.environ.items() if key not in left_out} | {"TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment)
    os.close(theirs)
    written, epochs, asked = b"", [-1], False
    with suppress(OSError):  # Linux, where all have closed it
        while piece := os.read(ours, 1 << 16):
            written += piece
            epochs = [int(each) for each in re.findall(rb" 0 running .* (\d+)/5000 .* 0\.00032 ", written)]
            if len(set(epochs)) > 1 and not asked:
                asked = True
                process.send_signal(signal.SIGINT)
    os.close(ours)
    assert process.wait() == 130
    assert epochs == sorted(epochs)
    pictures = written.decode().split("tiny: 0 of 64 trials")[1:]
    assert len(pictures) > 1
    assert all("\x1b[1A\x1b[2K" in each for each in pictures)  # goes up and clears, line by line
    assert "go on with: nnscratch" in pictures[-1]


def test_a_line_of_a_finished_trial_names_only_what_it_tried(write_sweep: Callable[..., Path], tmp_path: Path) -> None:
    parameters = {"optimizer.name": {"values": ["sgd", "adam"]}, "optimizer.momentum": {"values": [0.5, 0.9]}}
    study = open_study(write_sweep, tmp_path, method="grid", run_cap=None, parameters=parameters)
    while study.claim() is not None:
        pass
    assert [finished_line(trial, study) for trial in study.trials()] == [
        "trial 0 of 3  running  optimizer.name sgd  optimizer.momentum 0.5",
        "trial 1 of 3  running  optimizer.name sgd  optimizer.momentum 0.9",
        "trial 2 of 3  running  optimizer.name adam",
    ]
