"""Sweeps by real processes: killed and started again, several at a time, on one journal or one PostgreSQL."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("every_core")

WriteSweep = Callable[..., Path]
StartSweep = Callable[..., subprocess.Popen[str]]
FinishSweep = Callable[..., dict[str, Any]]
Outcome = Callable[[dict[str, Any]], list[tuple[Any, ...]]]

SLOW = {"training": {"epochs": 40, "batch_size": 20, "checkpoint_every": 1}}


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def epochs_done(folder: Path, number: int) -> int:
    """The epochs that the run of a trial has recorded."""
    try:
        return len((folder / "trials" / f"trial-{number:04d}" / "metrics.jsonl").read_text().splitlines())
    except OSError:
        return 0


def log_of(folder: Path, number: int) -> str:
    return (folder / "trials" / f"trial-{number:04d}" / "logs" / "train.log").read_text()


def test_a_sweep_killed_twice_ends_as_if_it_had_never_been(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, outcome: Outcome, tmp_path: Path
) -> None:
    file = write_sweep(
        tmp_path, {"training": {"epochs": 40, "batch_size": 20, "checkpoint_every": 1}}, method="bayes", run_cap=3
    )
    undisturbed = finish_sweep(start_sweep(file, tmp_path / "a"))
    folder = tmp_path / "b" / "sweeps" / "tiny"
    for number in (0, 1):
        victim = start_sweep(file, tmp_path / "b")
        wait_until(lambda number=number: epochs_done(folder, number) >= 2)  # type: ignore[misc]  # a default binds the loop variable
        victim.kill()
        victim.communicate()
    result = finish_sweep(start_sweep(file, tmp_path / "b"))
    assert outcome(result) == outcome(undisturbed)
    assert sorted(path.name for path in (folder / "trials").iterdir()) == ["trial-0000", "trial-0001", "trial-0002"]
    assert "resumed after epoch" in log_of(folder, 0)


def test_an_interrupted_sweep_exits_130_and_goes_on_where_it_was(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, SLOW, run_cap=1)
    folder = tmp_path / "runs" / "sweeps" / "tiny"
    process = start_sweep(file, tmp_path / "runs", "--lease", "30")
    wait_until(lambda: epochs_done(folder, 0) >= 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert [trial["status"] for trial in json.loads(out)["trials"]] == ["interrupted"]
    assert f"go on with: nnscratch sweep {file} --name tiny --runs-dir {tmp_path}/runs" in err
    for option in ("--threads 1", "--lease 30.0", "--no-plots"):
        assert option in err
    assert "--workers" not in err
    meta = json.loads((folder / "trials" / "trial-0000" / "meta.json").read_text())
    assert meta["status"] == "interrupted"
    before = epochs_done(folder, 0)
    result = finish_sweep(start_sweep(file, tmp_path / "runs"))
    assert [trial["status"] for trial in result["trials"]] == ["completed"]
    assert "resumed after epoch" in log_of(folder, 0)
    assert 2 <= before < SLOW["training"]["epochs"]


def test_two_workers_run_every_trial_of_the_sweep_once(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, run_cap=5)
    result = finish_sweep(start_sweep(file, tmp_path, "--workers", "2"))
    assert [trial["number"] for trial in result["trials"]] == [0, 1, 2, 3, 4]
    assert {trial["status"] for trial in result["trials"]} == {"completed"}
    trials = tmp_path / "sweeps" / "tiny" / "trials"
    assert len(list(trials.iterdir())) == 5
    commands = [json.loads((trial / "meta.json").read_text())["machine"]["threads"] for trial in trials.iterdir()]
    assert commands == [1] * 5


def test_a_worker_that_is_killed_is_replaced_and_its_trial_finished(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, SLOW, run_cap=2)
    folder = tmp_path / "sweeps" / "tiny"
    process = start_sweep(file, tmp_path, "--workers", "2")
    wait_until(lambda: epochs_done(folder, 0) >= 1 and epochs_done(folder, 1) >= 1)
    os.kill(worker_of(folder, 0), signal.SIGKILL)
    result = finish_sweep(process)
    assert [trial["status"] for trial in result["trials"]] == ["completed", "completed"]


def test_workers_end_when_the_sweep_that_started_them_is_killed(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, SLOW, run_cap=2)
    folder = tmp_path / "sweeps" / "tiny"
    process = start_sweep(file, tmp_path, "--workers", "2")
    wait_until(lambda: epochs_done(folder, 0) >= 1 and epochs_done(folder, 1) >= 1)
    workers = [worker_of(folder, 0), worker_of(folder, 1)]
    process.kill()
    process.communicate()
    wait_until(lambda: not any(is_running(worker) for worker in workers))
    result = finish_sweep(start_sweep(file, tmp_path))
    assert [trial["status"] for trial in result["trials"]] == ["completed", "completed"]


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that still run, but for the helper that multiprocessing has."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            is_helper = b"resource_tracker" in stat.with_name("cmdline").read_bytes()
            if int(fields[1]) == process and fields[0] not in "ZX" and not is_helper:
                found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="watches processes by /proc")
@pytest.mark.parametrize("moment", ["a worker is there", "half a second later", "epochs are trained", "twice"])
def test_ctrl_c_with_two_workers_ends_as_with_one(
    moment: str, write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, SLOW, run_cap=2)
    folder = tmp_path / "sweeps" / "tiny"
    process = start_sweep(file, tmp_path, "--workers", "2")
    wait_until(lambda: len(children_of(process.pid)) >= 1)
    if moment == "half a second later":
        time.sleep(0.5)
    elif moment in ("epochs are trained", "twice"):
        wait_until(lambda: epochs_done(folder, 0) >= 1 and epochs_done(folder, 1) >= 1)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of them
    if moment == "twice":
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.count("interrupted") == 1
    assert f"go on with: nnscratch sweep {file} --name tiny --runs-dir {tmp_path} " in err
    assert " --workers 2" in err
    assert [trial["status"] for trial in json.loads(out)["trials"]] in ([], ["interrupted"], ["interrupted"] * 2)
    assert (folder / "leaderboard.csv").is_file()
    assert not children_of(process.pid)
    if moment == "epochs are trained":
        result = finish_sweep(start_sweep(file, tmp_path, "--workers", "2"))
        assert [trial["status"] for trial in result["trials"]] == ["completed", "completed"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="watches processes by /proc")
def test_a_worker_never_sees_ctrl_c_from_its_first_moment_on(
    write_sweep: WriteSweep, start_sweep: StartSweep, tmp_path: Path
) -> None:
    process = start_sweep(write_sweep(tmp_path, SLOW, run_cap=2), tmp_path, "--workers", "2")
    wait_until(lambda: len(children_of(process.pid)) == 2)
    for child in children_of(process.pid):
        status = dict(line.split(":\t") for line in Path(f"/proc/{child}/status").read_text().splitlines())
        assert int(status["SigBlk"], 16) & 1 << (signal.SIGINT - 1)


def test_two_workers_whose_data_is_gone_stop_with_one_message_and_the_next_start_goes_on(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    text = "x,y\n" + "".join(f"{k / 10},{'ab'[k % 2]}\n" for k in range(200))
    rows.write_text(text)
    data = {"dataset": {"name": "csv", "target": "y"}, "path": str(rows), "validation": 0.2}
    file = write_sweep(tmp_path, {"data": data, **SLOW}, run_cap=5)  # one worker may be at its second trial by then
    folder = tmp_path / "sweeps" / "tiny"
    process = start_sweep(file, tmp_path, "--workers", "2")
    wait_until(lambda: epochs_done(folder, 0) >= 1 and epochs_done(folder, 1) >= 1)
    rows.unlink()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.count("is left open, since this machine cannot train it now") == 1
    assert "Traceback" not in err
    trials = json.loads(out)["trials"]
    statuses = [trial["status"] for trial in trials]
    assert statuses[:2] == ["completed", "completed"]
    assert set(statuses[2:]) <= {"completed", "interrupted"}
    assert "interrupted" in statuses
    rows.write_text(text)
    result = finish_sweep(start_sweep(file, tmp_path, "--workers", "2"))
    assert [trial["status"] for trial in result["trials"]] == ["completed"] * 5


def test_epochs_of_the_seconds_when_the_database_was_away_are_reported_later(
    postgresql_server: Any, write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, SLOW, run_cap=1)
    folder = tmp_path / "sweeps" / "tiny"
    process = start_sweep(file, tmp_path, "--storage", postgresql_server.url)
    wait_until(lambda: epochs_done(folder, 0) >= 2)
    postgresql_server.stop()
    before = epochs_done(folder, 0)
    wait_until(lambda: epochs_done(folder, 0) >= before + 3)
    postgresql_server.start()
    result = finish_sweep(process)
    assert [trial["status"] for trial in result["trials"]] == ["completed"]
    with (folder / "leaderboard.csv").open() as table:
        assert [row["epochs"] for row in csv.DictReader(table)] == [str(SLOW["training"]["epochs"])]
    from optuna.storages import RDBStorage

    storage = RDBStorage(postgresql_server.url.replace("postgresql://", "postgresql+psycopg2://"))
    (trial,) = storage.get_all_trials(storage.get_study_id_from_name("tiny"))
    assert sorted(trial.intermediate_values) == list(range(1, SLOW["training"]["epochs"] + 1))


def worker_of(folder: Path, number: int) -> int:
    """The process that holds a trial's lease, as the journal says."""
    lines = [json.loads(line) for line in (folder / "study.journal").read_text().splitlines()]
    created = [line for line in lines if line["op_code"] == 4][number]
    return int(created["user_attrs"]["lease"]["pid"])


def is_running(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_four_processes_on_one_study_run_no_trial_twice_and_take_up_a_dead_ones(
    kind: str,
    request: pytest.FixtureRequest,
    write_sweep: WriteSweep,
    start_sweep: StartSweep,
    finish_sweep: FinishSweep,
    outcome: Outcome,
    tmp_path: Path,
) -> None:
    storage = str(tmp_path / "shared.journal") if kind == "journal" else request.getfixturevalue("postgresql")
    file = write_sweep(tmp_path, {"training": {"epochs": 8, "batch_size": 20, "checkpoint_every": 1}}, run_cap=8)
    # A folder each, as on machines that share nothing but the storage.
    machines = [tmp_path / f"machine{number}" for number in range(4)]
    processes = [start_sweep(file, machine, "--storage", storage, "--lease", "30") for machine in machines]
    folders = [machine / "sweeps" / "tiny" / "trials" for machine in machines]
    # The first to train is killed: on a busy machine another may start when all is done.
    wait_until(lambda: any(any(folder.glob("*/metrics.jsonl")) for folder in folders), 120)
    victim = next(number for number, folder in enumerate(folders) if any(folder.glob("*/metrics.jsonl")))
    processes.pop(victim).kill()
    results = [finish_sweep(process, 240) for process in processes]
    assert [trial["number"] for trial in results[0]["trials"]] == list(range(8))
    assert {trial["status"] for trial in results[0]["trials"]} == {"completed"}
    assert all(outcome(result) == outcome(results[0]) for result in results)
    of_the_dead = [run.parent.name for run in folders.pop(victim).glob("*/meta.json")]
    names = [run.parent.name for folder in folders for run in folder.glob("*/meta.json")]
    assert len(names) == len(set(names)), "two live processes ran the same trial"
    # What the killed process had finished was not run again; at most the one it was at was.
    assert len(set(names) & set(of_the_dead)) <= 1
    assert set(names) | set(of_the_dead) == {f"trial-{number:04d}" for number in range(8)}


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.layers.activations import Activation


@dataclass(eq=False)
class OfTheSweep(Activation):
    """y = tanh(steep x),  dx = dy steep (1 - y^2)."""

    name: ClassVar[str] = "of_the_sweep"
    steep: float = setting(1.0, "slope at 0", gt=0)

    def forward(self, x, training):
        self.y = np.tanh(self.steep * x)
        return self.y

    def backward(self, dy):
        return dy * self.steep * (1 - self.y**2)
'''


def test_a_sweep_over_a_setting_of_a_plugin_needs_consent_and_gives_it_to_its_workers(
    write_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    (tmp_path / "of_the_sweep.py").write_text(PLUGIN)
    model = {"layers": ["flatten", {"dense": 8}, "of_the_sweep", "dense"]}
    config = {"plugins": ["of_the_sweep.py"], "model": model, "training": {"epochs": 1, "batch_size": 20}}
    parameters = {"model.layers.2.steep": {"values": [0.5, 2.0]}}
    file = write_sweep(tmp_path, config, method="grid", run_cap=None, parameters=parameters)

    refused = start_sweep(file, tmp_path / "runs")
    error = refused.communicate(timeout=60)[1]
    assert refused.returncode == 2
    assert "of_the_sweep.py is Python code" in error
    assert "--allow-plugins" in error
    assert not (tmp_path / "runs").exists()

    result = finish_sweep(start_sweep(file, tmp_path / "runs", "--allow-plugins", "--workers", "2"))
    assert [trial["status"] for trial in result["trials"]] == ["completed", "completed"]
    copies = [*(tmp_path / "runs" / "sweeps" / "tiny" / "trials").glob("*/plugins/of_the_sweep.py")]
    assert [copy.read_text() for copy in copies] == [PLUGIN, PLUGIN]
