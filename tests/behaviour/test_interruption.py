"""Ctrl-C, SIGTERM and a closed terminal: the step is finished, everything saved, the command to go on printed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnscratch.cli import main
from nnscratch.config.config import Config, config_from_mapping
from nnscratch.errors import Interrupted
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.session import Session
from nnscratch.experiment.terminal import Terminal
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.training.progress import StepResult

NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class Signals(Observer):
    """Sends this process signals when it is told of that many steps."""

    def __init__(self, steps: int, *numbers: int) -> None:
        self.left, self.numbers = steps, numbers

    def step(self, result: StepResult) -> None:
        self.left -= 1
        if self.left == 0:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.fixture
def config() -> Config:
    return config_from_mapping(
        {
            "name": "run",
            "data": {"dataset": {"name": "shapes", "train": 100, "test": 20}},
            "model": {"hidden_layers": [4]},
            "training": {"epochs": 2, "batch_size": 30, "averaging": "ema"},
        }
    )


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, tmp_path / "runs", 1, plots=False)


@pytest.fixture(autouse=True)
def hang_ups_are_not_ignored() -> Iterator[None]:
    """As in a terminal: under nohup, or a CI that starts commands so, SIGHUP is ignored, and that is kept."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_a_signal_finishes_the_step_and_saves_and_a_resume_repeats_the_whole_run(
    number: int, config: Config, workplace: Workplace, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="interrupted after epoch 0, step 2; everything is saved") as caught:
        train(config, workplace, Display(quiet=True), observers=[Signals(2, number)])
    run = tmp_path / "runs" / "run"
    assert caught.value.exit_code == 130
    assert f"nnscratch train --resume {run}" in str(caught.value)
    assert load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["updates"] == 2
    assert json.loads((run / "meta.json").read_text())["status"] == "interrupted"

    resumed = resume(run, None, workplace, Display(quiet=True))
    whole = train(config, workplace, Display(quiet=True))
    a, b = (load_checkpoint(each.run / "checkpoints" / "last.npz").arrays for each in (resumed, whole))
    assert {name: array.tobytes() for name, array in a.items()} == {name: array.tobytes() for name, array in b.items()}


def test_a_signal_during_the_last_step_loses_nothing(config: Config, workplace: Workplace, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="after epoch 1, step 3"):
        train(config, workplace, Display(quiet=True), observers=[Signals(6, signal.SIGINT)])
    assert resume(tmp_path / "runs" / "run", None, workplace, Display(quiet=True)).epochs == 2


def test_a_second_ctrl_c_stops_at_once_and_the_last_checkpoint_stands(
    config: Config, workplace: Workplace, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match=r"stopped at once; .*last\.npz holds epoch 0, step 0") as caught:
        train(config, workplace, Display(quiet=True), observers=[Signals(2, signal.SIGINT, signal.SIGINT)])
    assert "--resume" in str(caught.value)
    run = tmp_path / "runs" / "run"
    assert json.loads((run / "meta.json").read_text())["status"] == "interrupted"
    assert load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["updates"] == 0
    assert resume(run, None, workplace, Display(quiet=True)).epochs == 2


def test_a_signal_while_results_are_written_lets_them_be_written(
    config: Config, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session._finish

    def finish(session: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(session)

    monkeypatch.setattr(Session, "_finish", finish)
    train(config, workplace, Display(quiet=True))
    assert json.loads((tmp_path / "runs" / "run" / "meta.json").read_text())["status"] == "completed"


def test_the_command_exits_with_130_and_prints_how_to_continue(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Terminal, "step", lambda terminal, result: os.kill(os.getpid(), signal.SIGINT))
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tmp_path / "run.yaml"), "--runs-dir", str(tmp_path / "a folder"), "--threads", "1"])
    assert caught.value.code == 130
    error = capsys.readouterr().err
    assert error.startswith("error: interrupted after epoch 0, step 1")
    assert f"nnscratch train --resume '{tmp_path}/a folder/run'" in error, "quoted, so that it can be pasted"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_before_the_training_begins_ends_the_command_with_130_and_leaves_no_run(
    name: str, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"needs {name}")

    def prepare(*_: object) -> None:
        os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr("nnscratch.experiment.train.prepare_start", prepare)
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tmp_path / "run.yaml"), "--runs-dir", str(tmp_path / "runs"), "--threads", "1"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert not (tmp_path / "runs").exists()


def test_the_handlers_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wanted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wanted
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_command_that_continues_names_the_data_folder_and_quotes_it(config: Config, tmp_path: Path) -> None:
    workplace = Workplace(tmp_path / "my data", tmp_path / "my runs", 1, plots=False)
    with pytest.raises(Interrupted) as caught:
        train(config, workplace, Display(quiet=True), observers=[Signals(2, signal.SIGINT)])
    words = shlex.split(str(caught.value.hint).removeprefix("continue with: "))
    expected = ["--resume", str(tmp_path / "my runs" / "run"), "--data-dir", str(tmp_path / "my data")]
    assert words == ["nnscratch", "train", *expected]


def test_a_terminal_that_is_closed_finishes_the_step_and_saves(config: Config, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs a terminal of its own")
    (tmp_path / "run.yaml").write_text(config.to_yaml().replace("epochs: 2", "epochs: 100000"))
    command = [sys.executable, "-m", "nnscratch", "train", str(tmp_path / "run.yaml"), "--threads", "1"]
    process, terminal = pty.fork()
    if not process:
        # Where Python keeps what it could not write, it tries again at its end, and would end with 120.
        environment = {**os.environ, "TERM": "xterm", "PYTHONUNBUFFERED": ""}
        os.execve(sys.executable, [*command, "--runs-dir", str(tmp_path)], environment)
    shown = b""
    while b"epoch 3/" not in shown and b"epoch      3/" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)  # its processes are sent SIGHUP, and what they write to it fails
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    run = tmp_path / "run"
    assert json.loads((run / "meta.json").read_text())["status"] == "interrupted"
    assert load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["epoch"] >= 2
    assert "warning" not in (run / "logs" / "train.log").read_text()


def test_a_warning_that_nobody_reads_does_not_end_a_training(tmp_path: Path) -> None:
    program = """
        import os, sys
        from nnscratch.host.display import Display
        read, write = os.pipe()
        os.dup2(write, 2); os.close(write); os.close(read)
        Display().warn("nobody reads this")
        print("went on")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "went on\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_terminal_log_on_a_full_disk_is_warned_about_once_and_the_training_goes_on(
    config: Config, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    command = [sys.executable, "-m", "nnscratch", "train", str(tmp_path / "run.yaml"), "--runs-dir", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "--no-plots"],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert done.stderr == "warning: nothing more is printed: No space left on device\n"
    assert json.loads((tmp_path / "run" / "meta.json").read_text())["status"] == "completed"
