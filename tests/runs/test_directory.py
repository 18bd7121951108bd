"""The folder of a run: never overwritten, held by one process, and readable whatever happened to it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from nnscratch.errors import UserError
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import FORMAT, Meta


def test_runs_of_one_name_get_numbers(tmp_path: Path) -> None:
    names = [RunDirectory.create(tmp_path, "trial").name for _ in range(3)]
    assert names == ["trial", "trial-2", "trial-3"]


def test_a_file_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "trial").write_text("mine")
    assert RunDirectory.create(tmp_path, "trial").name == "trial-2"
    assert (tmp_path / "trial").read_text() == "mine"


def test_eight_threads_that_start_at_once_get_eight_folders(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def create(_: int) -> str:
        together.wait()
        return RunDirectory.create(tmp_path / "runs", "trial").name

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(create, range(8)))
    assert len(set(names)) == 8


def test_two_processes_that_start_runs_at_once_never_share_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nnscratch.runs.directory import RunDirectory\n"
        "for _ in range(50): print(RunDirectory.create(Path(sys.argv[1]), 'trial').name)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    names = [name for process in processes for name in process.communicate(timeout=60)[0].split()]
    assert len(names) == len(set(names)) == 100


def test_a_run_that_does_not_exist_is_named_with_its_nearest(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, "baseline").write_text("config.yaml", "name: baseline")
    with pytest.raises(UserError, match=r"is not a run: it has no folder checkpoints; did you mean .*/baseline\?"):
        RunDirectory.open(tmp_path / "baselin")


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    second = RunDirectory(run.path).locked()
    with run.locked(), pytest.raises(UserError, match="being trained by another process"), second:
        pass
    with RunDirectory(run.path).locked():
        pass


def test_who_looks_whether_a_run_is_trained_keeps_nobody_from_training(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    run = RunDirectory.create(tmp_path, "run")
    with run.locked():
        pass
    with (run.path / ".lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not run.is_being_trained()
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with run.locked():
            assert RunDirectory(run.path).is_being_trained()


def test_a_file_system_without_locks_does_not_keep_anybody_from_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with RunDirectory.create(tmp_path, "run").locked():
        pass


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    for name in ("checkpoints/.last.npz.0a1b2c.tmp", ".meta.json.0a1b2c.tmp"):
        (run.path / name).write_bytes(b"half")
    for name in ("notes.tmp", ".lock", "checkpoints/last.npz"):
        (run.path / name).write_bytes(b"kept")
    run.remove_leftovers()
    kept = sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file())
    assert kept == [".lock", "checkpoints/last.npz", "notes.tmp"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.record({"record": "epoch", "epoch": 1})
    run.record({"record": "test", "test_loss": 0.5})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'[1, 2]\n\xff\xfe\n{"record": "epo')
    assert [row["epoch"] for row in run.read_history()] == [1]
    assert [record["record"] for record in run.read_records()] == ["epoch", "test"]


def test_metrics_keep_every_digit(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.rewrite_metrics([{"epoch": 1, "train_loss": 0.1 + 0.2, "val_loss": 1 / 3}])
    assert run.read_history() == [{"epoch": 1, "train_loss": 0.30000000000000004, "val_loss": 0.3333333333333333}]
    assert (run.path / "metrics.csv").read_text() == (
        "epoch,train_loss,val_loss\n1,0.30000000000000004,0.3333333333333333\n"
    )


@pytest.mark.parametrize("text", ["", "[1]", '{"half', "[" * 100_000])
def test_a_damaged_meta_json_reads_as_empty(text: str, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    (run.path / "meta.json").write_text(text)
    assert run.read_meta() == Meta()


def test_the_newest_checkpoints_are_kept_also_where_links_do_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    run = RunDirectory.create(tmp_path, "run")
    for updates in range(1, 5):
        if updates == 3:
            monkeypatch.setattr(os, "link", no_links)
        run.last.write_bytes(b"checkpoint %d" % updates)
        os.replace(run.last, run.checkpoints / "new")
        os.replace(run.checkpoints / "new", run.last)
        run.keep_copy_of_last(updates, keep=3)
        run.last.unlink()
    kept = {path.name: path.read_bytes() for path in sorted(run.checkpoints.iterdir())}
    assert kept == {f"step-{n:09d}.npz": b"checkpoint %d" % n for n in (2, 3, 4)}


def test_keep_one_keeps_no_copies(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.last.write_bytes(b"x")
    run.keep_copy_of_last(5, keep=1)
    assert [path.name for path in run.checkpoints.iterdir()] == ["last.npz"]


def test_meta_is_written_whole(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    meta = Meta(status="running", name="ä", seed=3)
    run.write_meta(meta)
    assert run.read_meta() == replace(meta, format=FORMAT)
    assert json.loads((run.path / "meta.json").read_text())["name"] == "ä"
