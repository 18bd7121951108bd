"""What a training writes goes into its own folder: not into another's of that name, and through no link."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.errors import UserError
from nnscratch.runs.directory import RunDirectory

Write = Callable[[RunDirectory], object]

WRITES: dict[str, Write] = {
    "a text": lambda run: run.write_text("config.yaml", "name: run"),
    "a checkpoint": lambda run: run.write_bytes("checkpoints/last.npz", b"weights"),
    "a record": lambda run: run.record({"record": "epoch", "epoch": 1}),
    "metrics": lambda run: run.rewrite_metrics([{"epoch": 1}]),
    "a copy": lambda run: run.keep_copy_of_last(1, 2),
    "a log": lambda run: run.place("logs/train.log"),
}

each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@each_write
def test_a_run_whose_folder_is_gone_is_not_made_again(tmp_path: Path, write: Write) -> None:
    run = RunDirectory.create(tmp_path, "run")
    with run.locked():
        shutil.rmtree(run.path)
        with pytest.raises(UserError, match="no longer the folder of this training"):
            write(run)
    assert not run.path.exists()


@each_write
def test_a_run_that_was_moved_does_not_write_into_the_one_that_took_its_name(tmp_path: Path, write: Write) -> None:
    run = RunDirectory.create(tmp_path, "run")
    with run.locked():
        run.path.rename(tmp_path / "elsewhere")
        other = RunDirectory.create(tmp_path, "run")
        with other.locked():
            other.write_bytes("checkpoints/last.npz", b"another's")
            write(other)
            before = contents(other.path)
            with pytest.raises(UserError, match="no longer the folder of this training"):
                write(run)
            run.discard()
    assert contents(other.path) == before


@each_write
def test_a_run_that_nobody_holds_is_not_made_again_either(tmp_path: Path, write: Write) -> None:
    run = RunDirectory.create(tmp_path, "run")
    shutil.rmtree(run.path)
    with pytest.raises(UserError, match="cannot"):
        write(run)
    assert not run.path.exists()


CONFIG = """
data: {dataset: {name: shapes, train: 200, test: 50}}
model: {hidden_layers: [8]}
training: {epochs: 3, batch_size: 20, checkpoint_every: 1}
"""


def test_a_training_whose_folder_is_taken_stops_with_one_message_and_both_runs_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, runs, moved = tmp_path / "trial.yaml", tmp_path / "runs", tmp_path / "runs" / "moved"
    config.write_text(CONFIG)
    command = ["train", str(config), "--runs-dir", str(runs), "--threads", "1", "--no-plots", "--quiet"]
    record = RunDirectory.record

    def move_and_train_another(run: RunDirectory, record_: dict[str, object]) -> None:
        monkeypatch.setattr(RunDirectory, "record", record)
        run.record(record_)
        run.path.rename(moved)
        main([*command, "--seed", "7"])

    monkeypatch.setattr(RunDirectory, "record", move_and_train_another)
    with pytest.raises(SystemExit) as ending:
        main(command)
    assert ending.value.code == 1
    error = capsys.readouterr().err
    assert error.count("no longer the folder of this training") == 1
    assert {path.name for path in runs.iterdir()} == {"trial", "moved"}
    for run in (runs / "trial", moved):
        main(["train", "--resume", str(run), "--epochs", "4", "--threads", "1", "--no-plots", "--quiet"])
        assert len(RunDirectory(run).read_history()) == 4


FOLDERS = ("logs", "plots", "checkpoints", "evaluation", "plugins")


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_written_through_a_link_in_place_of_a_folder(tmp_path: Path, folder: str) -> None:
    run, outside = RunDirectory.create(tmp_path, "run"), tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(run.path / folder, ignore_errors=True)
    (run.path / folder).symlink_to(outside, target_is_directory=True)
    with pytest.raises(UserError, match=f"{folder} is a link: nothing is written through it"):
        run.write_text(f"{folder}/file", "")
    assert contents(outside) == {}


def test_files_that_grow_are_not_written_through_links(tmp_path: Path) -> None:
    run, outside = RunDirectory.create(tmp_path, "run"), tmp_path / "outside"
    outside.write_text("mine")
    for name in (".lock", "metrics.jsonl"):
        (run.path / name).symlink_to(outside)
    with pytest.raises(UserError, match="cannot write"):
        run.record({"record": "epoch", "epoch": 1})
    with pytest.raises(UserError, match="cannot write"), run.locked():
        pass
    assert outside.read_text() == "mine"


def test_a_file_that_is_a_link_is_replaced_and_what_it_named_stays(tmp_path: Path) -> None:
    run, outside = RunDirectory.create(tmp_path, "run"), tmp_path / "outside"
    outside.write_text("mine")
    (run.path / "meta.json").symlink_to(outside)
    run.write_text("meta.json", "{}")
    assert outside.read_text() == "mine"
    assert (run.path / "meta.json").read_text() == "{}"


def test_a_training_goes_on_when_its_log_is_a_link_and_leaves_what_it_names_alone(
    tmp_path: Path, shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, log = tmp_path / "outside", shapes_run / "logs" / "train.log"
    outside.write_text("mine")
    log.unlink()
    log.symlink_to(outside)
    main(["train", "--resume", str(shapes_run), "--epochs", "4", "--threads", "1", "--no-plots", "--quiet"])
    assert "cannot write the log" in capsys.readouterr().err
    assert outside.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_a_file_that_grows_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    for name in (".lock", "metrics.jsonl"):
        os.mkfifo(run.path / name)
    with pytest.raises(UserError, match="cannot write"):
        run.record({"record": "epoch", "epoch": 1})
    assert not run.is_being_trained()
