"""The live table of a sweep: drawn where the display writes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.board import Board
from nnscratch.sweeps.sweep_file import load_sweep


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("json", [True, False])
def test_with_json_the_live_table_is_on_standard_error_where_a_person_looks(
    json: bool, write_sweep: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path)
    study = Assignment(load_sweep(file), 3, tmp_path, None, 60.0, False, Workplace(tmp_path)).open_study()
    study.claim()
    streams = {"stdout": io.StringIO() if json else Terminal(), "stderr": Terminal()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("TERM", "xterm")
    with Board(study, Display(json=json)):
        pass
    drawn = {name for name, stream in streams.items() if "tiny: 0 of 4 trials" in stream.getvalue()}
    assert drawn == {"stderr" if json else "stdout"}
