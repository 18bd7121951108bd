"""Every command in a real terminal of 80 and of 40 columns: no line is broken by the terminal, no word in two."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))

COMMANDS = {
    "train": ["train", "{smoke}", "--no-plots", "--threads", "1", "training.epochs=1"],
    "dry run": ["train", "{smoke}", "--dry-run"],
    "wrong config": ["train", "{smoke}", "optimizer.lerning_rate=1"],
    "evaluate": ["evaluate", "run", "--no-plots"],
    "runs list": ["runs", "list", "--runs-dir", "runs"],
    "runs compare": ["runs", "compare", "run", "other", "-o", "c.png"],
    "data list": ["data", "list"],
    "doctor": ["doctor"],
    "explain": ["explain", "{smoke}"],
    "gradcheck": ["gradcheck", "{smoke}", "--samples", "2"],
    "diagnose": ["diagnose", "run"],
    "sweep": ["sweep", "sweep.yaml", "--no-plots"],
    "help": ["--help"],
}
TRIED_AT_80 = {"runs list", "data list"}
"""The others, to save time, at 40 columns only."""


def in_terminal(command: Sequence[str], columns: int, folder: Path) -> list[str]:
    """The lines that are left on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    arguments = [sys.executable, "-m", "nnscratch", *command]
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment | {"TERM": "xterm"}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux, where all have closed it
            break
        if not piece:
            break
        written += piece
    process.wait()
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).replace("\r\n", "\n")
    return [line.rpartition("\r")[2] for line in text.split("\n")]


@pytest.mark.parametrize(
    ("name", "columns"),
    [(name, columns) for name in COMMANDS for columns in (80, 40) if columns == 40 or name in TRIED_AT_80],
)
def test_no_line_reaches_over_the_edge(name: str, columns: int, root: Path, shapes_run: Path, tmp_path: Path) -> None:
    for link in ("run", "other"):
        (tmp_path / link).symlink_to(shapes_run)
    (tmp_path / "smoke.yaml").write_text((root / "configs" / "smoke.yaml").read_text())
    (tmp_path / "sweep.yaml").write_text(
        "method: grid\nmetric: {name: val_accuracy, goal: maximize}\nparameters:\n"
        "  training.epochs: {values: [1]}\n  optimizer.learning_rate: {values: [0.001, 0.01]}\n"
        'command: ["${env}", nnscratch, train, smoke.yaml, "${args_no_hyphens}"]\n'
    )
    command = [part.format(smoke="smoke.yaml") for part in COMMANDS[name]]
    lines = in_terminal(command, columns, tmp_path)
    assert len(lines) > 1
    # A path or a formula's product longer than the line cannot be broken.
    over = [line for line in lines if len(line) > columns and " " in line.strip()]
    assert over == []
