"""Pictures drawn by two processes are those that one draws, and no picture depends on the second."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nnscratch.report.classification import confusion_matrix
from nnscratch.results import drawers
from nnscratch.results.drawers import Drawers, Job


def draw_all(jobs: Sequence[Job], drawers: int) -> list[bytes]:
    with Drawers(drawers) as together:
        return together.draw(jobs)


def jobs(number: int) -> list[Job]:
    return [Job(partial(confusion_matrix, np.full((2, 2), index), ["a", "b"])) for index in range(number)]


def test_two_processes_draw_what_one_draws_in_the_same_order() -> None:
    alone = draw_all(jobs(6), drawers=1)
    assert len(set(alone)) == 6
    assert draw_all(jobs(6), drawers=2) == alone


def test_what_cannot_be_handed_to_the_other_process_is_drawn_here() -> None:
    here: list[Path] = []

    def draw(path: Path) -> None:  # a function inside a function cannot be sent
        here.append(path)
        path.write_bytes(b"picture")

    assert draw_all([Job(draw)] * 4, drawers=2) == [b"picture"] * 4
    assert len(here) == 4


def test_without_the_other_process_everything_is_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawers, "module_command", lambda module: [sys.executable, "-c", "raise SystemExit(1)"])
    assert draw_all(jobs(3), drawers=2) == draw_all(jobs(3), drawers=1)


def test_a_last_picture_that_this_process_takes_first_is_not_missed_by_the_other() -> None:
    class Full(deque[tuple[int, Job]]):
        """Says that it has something, as a queue does from which another thread takes the last just then."""

        def __bool__(self) -> bool:
            return True

    together = Drawers(1)
    together._other = SimpleNamespace(stdin=BytesIO(), stdout=BytesIO(drawers.READY))  # type: ignore[assignment]  # all of a process that is asked for
    together._let_another_draw(Full(), {})


def test_a_picture_that_nobody_can_draw_is_this_process_s_error() -> None:
    faulty = Job(partial(confusion_matrix, np.ones((2, 2)), ["a"]))
    with pytest.raises(ValueError, match=r"class"):
        draw_all([*jobs(1), faulty, faulty], drawers=2)
