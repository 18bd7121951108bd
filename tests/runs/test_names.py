"""Runs given by path or by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.errors import UsageError
from nnscratch.runs.names import find_run


def make_run(path: Path) -> Path:
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.yaml").write_text("name: made")
    return path


def test_a_run_is_found_by_its_path_and_by_its_name_in_the_runs_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "trial")
    assert find_run(run, tmp_path / "elsewhere") == run
    assert find_run("trial", tmp_path / "runs") == run
    assert find_run(Path("runs/trial"), tmp_path) == run


def test_a_path_that_is_a_run_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "runs" / "trial")
    make_run(tmp_path / "trial")
    monkeypatch.chdir(tmp_path)
    assert find_run("trial", tmp_path / "runs") == Path("trial")


@pytest.mark.parametrize("typed", ["tril", "runs/tril", "{folder}/runs/tril"])
def test_what_is_suggested_is_a_run_when_typed(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs" / "trial")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        find_run(typed.format(folder=tmp_path), Path("runs"))
    suggestion = caught.value.message.partition("did you mean ")[2].removesuffix("?")
    assert find_run(suggestion, Path("runs")).resolve() == run


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "x.png"], ["plot"], ["diagnose"], ["train", "--resume"]])
def test_every_command_knows_runs_by_name_and_refuses_a_missing_one_as_usage(
    command: list[str], shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *inputs = command
    option = inputs if name == "train" else []
    rest = [] if name == "train" else inputs
    with pytest.raises(SystemExit) as exit_:
        main([name, *option, "shape", *rest, "--runs-dir", str(shapes_run.parent)])
    assert exit_.value.code == 2
    assert "did you mean shapes?" in capsys.readouterr().err


def test_diagnose_takes_a_name(shapes_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["diagnose", "shapes", "--runs-dir", str(shapes_run.parent), "--threads", "1"])
    assert "shapes: completed, 3 epochs" in capsys.readouterr().out


def test_last_is_the_run_worked_on_last_unless_a_run_has_that_name(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(UsageError, match="last is not a run"):
        find_run("last", runs)
    for number, name in enumerate(["a", "c", "b"]):
        meta = make_run(runs / name) / "meta.json"
        meta.write_text("{}")
        os.utime(meta, ns=(number, number))
    make_run(runs / "without_meta")
    assert find_run("last", runs) == runs / "b"
    made = make_run(runs / "last")
    assert find_run("last", runs) == made
