"""`nnscratch runs watch`, by itself and in a real terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.report.sparkline import sparkline
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.watching import Watch


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ([0.0, 0.5, 1.0], 8, "▁▅█"),
        ([3.0, 2.0, 1.0, 0.0], 2, "█▁"),
        ([1.0, 1.0], 8, "▁▁"),
        ([1.0, float("nan"), 2.0], 8, "▁ █"),
        ([float("inf")], 8, " "),
        ([], 8, ""),
        (list(map(float, range(1000))), 8, "▁▂▃▄▅▆▇█"),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest(values: list[float], width: int, bars: str) -> None:
    assert sparkline(values, width) == bars


def in_training(run: Path, name: str) -> Path:
    """A copy of the run that says it is running, one epoch of three done; who locks it trains it."""
    copy = Path(shutil.copytree(run, run.parent / name))
    meta = json.loads((copy / "meta.json").read_text())
    (copy / "meta.json").write_text(json.dumps(meta | {"status": "running", "result": None}))
    first, *_ = (copy / "metrics.jsonl").read_text().splitlines()
    row = json.loads(first) | {"train_seconds": 90.0, "val_seconds": 10.0}
    (copy / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    return copy


def test_runs_in_training_come_first_with_the_time_that_is_left(shapes_run: Path) -> None:
    copy = in_training(shapes_run, "another")
    watch = Watch(shapes_run.parent, everything=False)
    with RunDirectory(copy).locked():
        running, finished = watch.look().runs
    assert (running.summary.name, running.summary.status) == ("another", "running")
    assert running.left == pytest.approx(200, abs=20), "two epochs of 100 s"
    assert len(running.curve) == 1
    assert (finished.summary.name, finished.left, len(finished.curve)) == ("shapes", None, 3)
    (killed, *_) = (run for run in watch.look().runs if run.path == copy)
    assert (killed.summary.status, killed.left) == ("killed", None)


def test_a_group_is_looked_at_again_though_only_the_files_of_its_runs_change(shapes_run: Path) -> None:
    group = shapes_run.parent / "group"
    group.mkdir()
    (group / "group.json").write_text('{"seeds": [1, 2]}')
    (group / "config.yaml").write_text((shapes_run / "config.yaml").read_text())
    watch = Watch(shapes_run.parent, everything=False)

    def status() -> str:
        return next(run.summary.status for run in watch.look().runs if run.path == group)

    assert status() == "0 of 2 seeds"
    for number in (1, 2):
        shutil.copytree(shapes_run, group / f"seed-{number}")
        assert status() == ("1 of 2 seeds" if number == 1 else "2 seeds")


@pytest.mark.parametrize("columns", [80, 40])
def test_no_line_is_longer_than_the_terminal_and_hidden_runs_are_counted(shapes_run: Path, columns: int) -> None:
    for number in range(9):
        in_training(shapes_run, f"a run with a rather long name, number {number}")
    watched = Watch(shapes_run.parent, everything=False).look()
    lines = watched.lines(columns, 8)
    assert len(lines) == 8
    assert max(map(len, lines)) <= columns
    assert lines[-1] == "and 5 more"
    assert "▁" in "".join(lines)


def test_into_a_pipe_it_is_one_look(shapes_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs", "watch", "--runs-dir", str(shapes_run.parent)])
    out = capsys.readouterr().out
    assert re.search(r"^shapes +3/3 .*completed$", out, re.MULTILINE)
    main(["runs", "watch", "--runs-dir", str(shapes_run.parent), "--json"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["status"], len(run["curve"])) == ("completed", 3)


def test_in_a_dumb_terminal_it_is_one_look(
    shapes_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    main(["runs", "watch", "--runs-dir", str(shapes_run.parent)])
    assert "completed" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 40])
def test_in_a_terminal_it_goes_on_until_ctrl_c_and_what_changes_is_seen(shapes_run: Path, columns: int) -> None:
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "nnscratch", "runs", "watch", "--runs-dir", str(shapes_run.parent)]
    written = b""

    def read_until(wanted: str) -> None:
        nonlocal written
        until = time.monotonic() + 60
        while wanted.encode() not in written and time.monotonic() < until:
            written += os.read(ours, 1 << 16)

    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        read_until("shapes")
        shutil.copytree(shapes_run, shapes_run.parent / "second")
        read_until("second")
        process.send_signal(signal.SIGINT)
        late = threading.Timer(30, process.kill)
        late.start()
        with suppress(OSError):  # at the end; until then what it writes has to be read
            while block := os.read(ours, 1 << 16):
                written += block
        assert process.wait(20) == 0
        late.cancel()
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", re.sub(r"\x1b\[\d*A", "\n", written.decode()))
    lines = [line.strip("\r") for line in text.split("\n")]
    assert max(map(len, lines)) <= columns
    assert "Traceback" not in text
