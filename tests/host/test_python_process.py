"""Processes that are started import nothing from the folder one stands in."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest

from nnscratch.host.python_process import module_command, python_command, working_directory_left_out


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where one stands; its files say that they ran by another in the folder above."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("csv", "json", "runpy", "multiprocessing", "wandb", "nnscratch"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def test_code_and_modules_come_from_where_this_process_has_its_own(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep)  # an empty entry is the working directory, too
    code = "import csv, nnscratch\nprint(*sys.argv[1:], nnscratch.__version__ != '')"
    done = subprocess.run(python_command(code, "a", "b"), capture_output=True, text=True, check=True)
    assert done.stdout == "a b True\n"
    done = subprocess.run(module_command("nnscratch", "--help"), capture_output=True, text=True, check=True)
    assert "train" in done.stdout
    assert not (hostile.parent / "ran").exists()


def test_processes_of_multiprocessing_do_not_either_and_the_environment_is_put_back(hostile: Path) -> None:
    before = dict(os.environ)
    with working_directory_left_out():
        process = multiprocessing.get_context("spawn").Process(target=os.getpid)
        process.start()
        process.join(60)
    assert process.exitcode == 0
    assert not (hostile.parent / "ran").exists()
    assert dict(os.environ) == before
