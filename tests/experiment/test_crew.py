"""Several processes at one job: what happens when one cannot even be started."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nnscratch.experiment import crew
from nnscratch.experiment.crew import work_in_processes
from nnscratch.host.interruption import StopRequest


class Patient:
    """A job that takes a minute, unless it is asked to end."""

    folder = Path()
    again = "try again"

    def __call__(self, stop: StopRequest, tell: object) -> None:
        end = time.monotonic() + 60
        while not stop.wanted and time.monotonic() < end:
            time.sleep(0.02)


def test_a_worker_that_cannot_be_started_ends_those_that_were(monkeypatch: pytest.MonkeyPatch) -> None:
    start = crew._Worker.start
    begun: list[crew._Worker] = []

    def start_one(job: crew.Job) -> crew._Worker:
        if begun:
            raise BlockingIOError("no more processes")
        begun.append(start(job))
        return begun[0]

    monkeypatch.setattr(crew._Worker, "start", start_one)
    started = time.monotonic()
    with StopRequest() as stop, pytest.raises(BlockingIOError):
        work_in_processes(Patient(), 2, stop, print, lambda: 0)
    assert time.monotonic() - started < 30
    assert not begun[0].process.is_alive()
