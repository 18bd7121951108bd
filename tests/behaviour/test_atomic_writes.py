"""A disk that is full, a folder that cannot be written, a kill while writing: no half file, nothing earlier lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nnscratch import files
from nnscratch.cli import main
from nnscratch.config.config import Config, config_from_mapping
from nnscratch.errors import UserError
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.training.progress import EpochResult


def config(units: int = 4, **changes: Any) -> Config:
    return config_from_mapping(
        {
            "name": "run",
            "data": {"dataset": {"name": "shapes", "train": 60, "test": 20}},
            "model": {"hidden_layers": [units]},
            "training": {"epochs": 3, "batch_size": 30, "checkpoint_every": 1},
            **changes,
        }
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Inside, no file of this process may grow beyond that: the kernel refuses, as on a full disk.

    What is imported inside for the first time leaves no bytecode: Python would cut it off without a word, and every
    later import of it, in any process, would fail.
    """
    resource = pytest.importorskip("resource")
    before, writes_no_bytecode = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_no_bytecode
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def command(tmp_path: Path, units: int = 4) -> list[str]:
    (tmp_path / "run.yaml").write_text(config(units).to_yaml())
    return ["train", str(tmp_path / "run.yaml"), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots"]


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that fails with exit code 1 says on standard error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 1
    return capsys.readouterr().err


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


def test_a_disk_too_full_for_the_first_checkpoint_leaves_no_run_and_says_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with largest_file(50_000):  # a checkpoint has 150 KB
        error = failure(command(tmp_path), capsys)
    assert error == f"error: cannot write {tmp_path}/runs/run/checkpoints/last.npz: File too large\n"
    assert list((tmp_path / "runs").iterdir()) == []


class Disk(Observer):
    """Full from the end of the second epoch on."""

    full = False

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        self.full = result.epoch >= 2


def test_a_disk_that_fills_up_keeps_the_earlier_checkpoint_and_the_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if disk.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    workplace = Workplace(tmp_path, tmp_path / "runs", 1, plots=False)
    with pytest.raises(UserError, match=r"cannot write .*last\.npz: No space left on device"):
        train(config(), workplace, Display(quiet=True), observers=[disk])
    run = tmp_path / "runs" / "run"
    assert leftovers(run) == []
    assert load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["epoch"] == 1
    assert load_checkpoint(run / "checkpoints" / "best.npz").header["best_epoch"] == 1

    disk.full = False
    resumed = resume(run, None, workplace, Display(quiet=True))
    whole = train(config(), workplace, Display(quiet=True))
    assert resumed.test == whole.test
    a, b = (load_checkpoint(each.run / "checkpoints" / "last.npz").arrays for each in (resumed, whole))
    assert {name: array.tobytes() for name, array in a.items()} == {name: array.tobytes() for name, array in b.items()}


def test_a_full_disk_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = command(tmp_path)
    main([*arguments, "-q"])
    capsys.readouterr()
    last = (tmp_path / "runs" / "run" / "checkpoints" / "last.npz").read_bytes()
    with largest_file(50_000):
        error = failure(["train", "--resume", str(tmp_path / "runs" / "run"), "--epochs", "4", "--no-plots"], capsys)
    assert error.splitlines()[-1] == (f"error: cannot write {tmp_path}/runs/run/checkpoints/last.npz: File too large")
    assert (tmp_path / "runs" / "run" / "checkpoints" / "last.npz").read_bytes() == last
    assert json.loads((tmp_path / "runs" / "run" / "meta.json").read_text())["status"] == "failed"
    assert leftovers(tmp_path) == []


def test_a_size_limited_file_system_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        workplace = Workplace(tmp_path, folder, 1, plots=False)
        # last.npz of 32 units takes 1.2 MB with the optimizer and the best weights, and 790 KB without the best.
        with pytest.raises(UserError, match="No space left on device"):
            train(config(16, training={"epochs": 3, "batch_size": 30, "keep_last": 9}), workplace, Display(quiet=True))
        for run in folder.glob("run*"):
            assert leftovers(run) == []
            for file in (run / "checkpoints").glob("*.npz"):
                load_checkpoint(file)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_line_of_metrics_that_does_not_fit_is_not_half_written(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.record({"epoch": 1})
    before = (run.path / "metrics.jsonl").read_bytes()
    with largest_file(len(before) + 5), pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl"):
        run.record({"epoch": 2, "note": "x" * 100})
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_a_log_that_cannot_be_written_is_a_warning_not_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Display(quiet=True)
    display.attach_log(tmp_path / "train.log")
    with largest_file(100):
        for _ in range(20):
            display.say("a line for the log")
    display.close()
    error = capsys.readouterr().err
    assert error == f"warning: cannot write the log {tmp_path}/train.log: File too large\n"


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    files.write_atomically(file, b"old")
    with largest_file(10), pytest.raises(OSError, match="File too large"):
        files.write_atomically(file, b"new" * 100)
    assert file.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_writer_killed_again_and_again_never_leaves_a_half_file(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from nnscratch.files import write_atomically
print("ready", flush=True)
for number in range(10**9):
    write_atomically(Path(sys.argv[1]), (b"%09d" % (number % 10)) * 50_000)
"""
    file = tmp_path / "numbers"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", script, file], stdout=subprocess.PIPE)
        with writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            while not file.exists():
                pass
            writer.send_signal(signal.SIGKILL)
        contents = file.read_bytes()
        assert contents == contents[:9] * 50_000


@pytest.mark.parametrize("runs", ["a file", "a file/runs", "/proc/runs"])
def test_a_runs_folder_that_cannot_be_written_is_one_line(
    runs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if runs.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    (tmp_path / "a file").write_text("mine")
    arguments = command(tmp_path)
    arguments[3] = str(tmp_path / runs)
    error = failure(arguments, capsys)
    assert error.startswith(f"error: cannot create a run in {tmp_path / runs}: ")
    assert error.endswith("\n  choose another folder by --runs-dir\n")
    assert error.count("\n") == 2
    assert (tmp_path / "a file").read_text() == "mine"


def test_a_folder_that_only_lets_folders_be_made_keeps_no_half_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.mkdir

    def mkdir(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == "plots":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(UserError, match="No space left on device"):
        RunDirectory.create(tmp_path / "runs", "run")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_read_only_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*command(tmp_path), "-q"])
    capsys.readouterr()
    run = tmp_path / "runs" / "run"
    (run / ".lock").unlink()
    (run / ".lock").mkdir()  # what even root cannot open for writing
    error = failure(["train", "--resume", str(run)], capsys)
    assert error == f"error: cannot write into {run}: Is a directory\n"
