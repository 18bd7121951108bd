"""What no trial is to blame for: the machine's trouble leaves it open; a storage that was away hears all later."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import DataError, Interrupted, UserError
from nnscratch.experiment.train import train
from nnscratch.files import write_atomically
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.trouble import is_trouble_of_the_machine
from nnscratch.host.workplace import Workplace
from nnscratch.sweeps.command_line import SweepOptions, sweep
from nnscratch.sweeps.outcome import SweepSummary
from nnscratch.sweeps.study import Study
from nnscratch.sweeps.trouble import Patience

WriteSweep = Callable[..., Path]


class Heard(Display):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


def run(file: Path, display: Display | None = None, **how: Any) -> SweepSummary:
    workplace = Workplace(data_dir=file.parent / "data", runs_dir=file.parent / "runs", threads=1, plots=False)
    result = sweep(file, SweepOptions(**how), workplace, display or Display(quiet=True))
    assert isinstance(result, SweepSummary)
    return result


def trouble_of(summary: SweepSummary) -> str:
    """Why the sweep stopped."""
    assert summary.failure is not None
    return summary.failure.message


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.csv")


TROUBLES: dict[str, Callable[[], Exception]] = {
    "No space left on device": no_space,
    "Input/output error": lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    "not enough memory": MemoryError,
    "allows no more threads and processes": lambda: RuntimeError("can't start new thread"),
    "there is no cifar10 in data": lambda: DataError("there is no cifar10 in data"),
}


@pytest.mark.parametrize("said", TROUBLES)
def test_trouble_of_the_machine_leaves_the_trial_open_and_the_next_start_trains_it(
    said: str, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, run_cap=3)
    count = [0]

    def fails_once(*arguments: Any, **more: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            raise TROUBLES[said]()
        return train(*arguments, **more)

    monkeypatch.setattr("nnscratch.sweeps.trial.train", fails_once)
    message = trouble_of(run(file))
    assert message.startswith("trial 1 is left open, since this machine cannot train it now: ")
    assert said in message
    assert "\n" not in message
    board = (tmp_path / "runs" / "sweeps" / "tiny" / "leaderboard.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in board[1:]] == ["completed", "interrupted"]
    assert said in board[2]
    result = run(file)
    assert [(trial.number, trial.status, trial.note) for trial in result.trials] == [
        (0, "completed", ""),
        (1, "completed", ""),
        (2, "completed", ""),
    ]


def test_a_full_disk_in_the_middle_of_a_trial_lets_it_go_on_from_its_checkpoint(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, {"training": {"epochs": 6, "batch_size": 20, "checkpoint_every": 1}}, run_cap=1)

    def full_after_three_epochs(path: Path, contents: bytes) -> None:
        if path.name == "metrics.csv" and contents.count(b"\n") > 4:
            raise no_space()
        write_atomically(path, contents)

    monkeypatch.setattr("nnscratch.runs.directory.replace_file", full_after_three_epochs)
    assert "No space left on device" in trouble_of(run(file))
    monkeypatch.undo()
    (trial,) = run(file).trials
    assert (trial.status, sorted(trial.curve)) == ("completed", [1, 2, 3, 4, 5, 6])
    log = (Path(trial.run) / "logs" / "train.log").read_text()
    assert "resumed after epoch 3" in log


def test_data_that_is_gone_for_a_moment_leaves_the_trial_open(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.csv"
    text = "x,y\n" + "".join(f"{k / 10},{'ab'[k % 2]}\n" for k in range(40))
    rows.write_text(text)
    data = {"dataset": {"name": "csv", "target": "y"}, "path": str(rows), "validation": 0.2}
    # Its scaling differs between trials, the data does not.
    file = write_sweep(tmp_path, {"data": data}, parameters={"data.scaling": {"value": "standardize"}}, run_cap=1)

    def gone(*arguments: Any, **more: Any) -> Any:
        rows.unlink()
        return train(*arguments, **more)

    monkeypatch.setattr("nnscratch.sweeps.trial.train", gone)
    assert "trial 0 is left open" in trouble_of(run(file))
    monkeypatch.undo()
    rows.write_text(text)
    assert [trial.status for trial in run(file).trials] == ["completed"]


def test_what_the_configuration_itself_asks_for_fails_the_trial_and_the_sweep_goes_on(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    parameters = {"data.validation": {"values": [0.2, 0.999]}, "model.hidden_layers": {"values": [[10**11], [8]]}}
    result = run(write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters))
    assert [trial.status for trial in result.trials] == ["failed", "completed", "failed", "failed"]
    assert "allocate" in result.trials[0].note.lower()  # more than any machine has
    assert "0.999" in result.trials[2].note


@pytest.mark.parametrize("hidden", [True, False])
def test_the_machine_is_recognised_behind_the_errors_that_were_made_of_its_own(hidden: bool) -> None:
    def raise_it() -> None:
        try:
            raise no_space()
        except OSError as error:
            raise UserError("cannot write") from (None if hidden else error)

    with pytest.raises(UserError) as caught:
        raise_it()
    assert is_trouble_of_the_machine(caught.value)
    assert not is_trouble_of_the_machine(UserError("no such layer"))
    assert not is_trouble_of_the_machine(RuntimeError("a fault"))
    with pytest.raises(MemoryError) as memory:
        np.empty((10**7, 10**8), np.float32)
    assert not is_trouble_of_the_machine(memory.value)
    assert is_trouble_of_the_machine(MemoryError())


def test_epochs_that_the_storage_did_not_hear_of_are_told_when_it_is_back(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, {"training": {"epochs": 6, "batch_size": 20}}, run_cap=1)
    real, epochs = Study.report, []

    def away(self: Study, number: int, epoch: int, value: float) -> bool:
        epochs.append(epoch)
        if epochs.count(epoch) == 1 and epoch in (2, 3, 6):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(self, number, epoch, value)

    monkeypatch.setattr(Study, "report", away)
    (trial,) = run(file).trials
    assert epochs == [1, 2, 2, 3, 3, 4, 5, 6, 6]
    assert sorted(trial.curve) == [1, 2, 3, 4, 5, 6]


def test_hyperband_hears_of_a_band_that_passed_while_the_storage_was_away(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(
        tmp_path,
        {"training": {"epochs": 6, "batch_size": 10}},
        method="grid",
        metric={"name": "train_loss", "goal": "minimize"},
        run_cap=None,
        parameters={"optimizer.learning_rate": {"values": [0.003, 1e-8]}},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 3},
    )
    real, seen = Study.report, set()

    def away(self: Study, number: int, epoch: int, value: float) -> bool:
        if number == 1 and epoch == 2 and 2 not in seen:
            seen.add(2)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(self, number, epoch, value)

    monkeypatch.setattr(Study, "report", away)
    trials = run(file).trials
    assert [(trial.status, max(trial.curve)) for trial in trials] == [("completed", 6), ("pruned", 3)]


def test_epochs_of_a_process_that_could_not_tell_them_are_told_by_the_next(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, {"training": {"epochs": 5, "batch_size": 20, "checkpoint_every": 1}}, run_cap=1)

    calls: list[int] = []

    def away_and_ended(self: Study, number: int, epoch: int, value: float) -> bool:
        calls.append(epoch)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Study, "report", away_and_ended)
    assert isinstance(run(file).failure, Interrupted)
    monkeypatch.undo()
    (trial,) = run(file, lease_seconds=0.5).trials  # this process, which holds it, lives on
    assert (trial.status, sorted(trial.curve)) == ("completed", [1, 2, 3, 4, 5])


def test_patience_says_once_per_outage_that_it_waits_and_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    said: list[str] = []
    patience = Patience(StopRequest(), said.append)
    fails = [3, 2]

    def work() -> str:
        if fails[0]:
            fails[0] -= 1
            raise no_space()
        return "done"

    assert patience(work) == "done"
    fails[0] = 2
    assert patience(work) == "done"
    assert said == ["the sweep's storage does not answer: metrics.csv: No space left on device; "
                    "trying again for 10 minutes"] * 2  # fmt: skip
    fails[0] = 10**6
    with pytest.raises(UserError, match="does not answer"):
        patience(work)
    assert 600 < now[0] < 700
    assert len(said) == 3


def test_a_worker_waits_for_nothing_once_a_stop_is_wanted() -> None:
    stop = StopRequest()
    stop.ask("interrupted")

    def work() -> None:
        raise no_space()

    with pytest.raises(UserError, match="start the sweep again"):
        Patience(stop, print)(work)
