"""Commands whose standard streams the caller has closed: they work, and say nothing where nobody listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnscratch.cli.result import stream_out
from nnscratch.errors import Interrupted
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.runs.directory import RunDirectory


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The end of a command of bash, in which `nnscratch` is this Python's."""
    script = f'nnscratch() {{ "{sys.executable}" -m nnscratch "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_training_without_its_streams_is_a_training(closed: str, root: Path, tmp_path: Path) -> None:
    config = f"{root}/configs/smoke.yaml"
    done = shell(f"nnscratch train {config} --no-plots --threads 1 --runs-dir . training.epochs=1 {closed}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = RunDirectory.open(tmp_path / "smoke")
    assert run.read_meta().status == "completed"
    load_checkpoint(run.path / "checkpoints" / "last.npz")


def test_the_processes_that_a_command_starts_have_streams_too(tmp_path: Path) -> None:
    child = "import sys; assert None not in (sys.stdin, sys.stdout, sys.stderr)"
    program = f"""
import subprocess, sys
from nnscratch.cli import _open_closed_streams
_open_closed_streams()
subprocess.run([sys.executable, "-c", "{child}"], check=True)
"""
    for closed in (">&-", "<&-", ">&- 2>&- <&-"):
        assert shell(f"{sys.executable} -c '{program}' {closed}", tmp_path).returncode == 0


def test_what_is_predicted_from_a_closed_input_is_nothing(shapes_run: Path, tmp_path: Path) -> None:
    done = shell(f"nnscratch predict {shapes_run} - <&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_errors_keep_their_exit_code(tmp_path: Path) -> None:
    assert shell("nnscratch train none.yaml 2>&-", tmp_path).returncode == 2
    assert shell("nnscratch runs list --runs-dir . >&-", tmp_path).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_an_output_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    done = shell("nnscratch schema > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_a_terminal_that_was_closed_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    os.close(ours)
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with pytest.raises(Interrupted, match="every trial is saved"):
            stream_out(Stopped(), ["trial 3\n"])


class Stopped:
    """A command that was interrupted, with something to show."""

    failure = Interrupted("interrupted; every trial is saved")
