"""The other side of `live_page.LivePage`: makes the page of a run that trains, until the training says that it ends.

It has the lowest priority, and after each page it rests a hundred times as long as the page took of the processor, at
most ten seconds. When the training is killed, its last page says so.

python -m nnscratch.experiment.mirrors.live_page_process
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnscratch.errors import UserError
from nnscratch.experiment.mirrors.companion import Told
from nnscratch.report.drawing import MOST_POINTS
from nnscratch.results.live_page import Moment, is_report, write_live_page
from nnscratch.runs.directory import RunDirectory

SHORTEST, LONGEST = 1.0, 10.0
"""Seconds from one page to the next."""
REST = 100.0
"""How many times as long as a page took is rested after it."""
DRAWING = "Training is over; plots and report are being drawn."


def main() -> int:
    """Makes the page of one run, from its `start` line to the end of input."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(19)
    told = Told()
    messages = told.messages()
    start = next(messages, None)
    if start is None:
        return 0
    run = RunDirectory(Path(start["folder"]))
    try:
        with run.followed():
            _show(run, start, told, messages)
    except (UserError, OSError):
        return 0  # the run's folder was moved or deleted: there is nothing to show
    return 0


def _show(run: RunDirectory, start: dict[str, Any], told: Told, messages: Iterator[dict[str, Any]]) -> None:
    """Makes the page until the training has ended. Raises UserError or OSError when its folder is gone."""
    page = _Page(run)
    page.take(start)
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def listen() -> None:
        for message in messages:
            inbox.put(message)
        inbox.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (message := page.next_of(inbox)) is not None:
        page.take(message)
        if message["kind"] == "complete":
            page.write(DRAWING)
            told.answer(kind="complete")
            while inbox.get() is not None:  # the report is the training's now
                pass
            break
    if not page.is_complete or not is_report(run.report):  # the training was killed
        page.wait_for_its_end()
        page.write(goes_on=False)


class _Page:
    """What is known of the run, and when it is written again."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.is_complete = False
        self._moment = Moment(0, 1)
        self._batches: list[tuple[float, float]] = []
        self._is_new = False
        self._written, self._rest = 0.0, SHORTEST

    def next_of(self, inbox: queue.SimpleQueue[dict[str, Any] | None]) -> dict[str, Any] | None:
        """The next message; until there is one, pages are written when they are due."""
        while True:
            due = self._written + (self._rest if self._is_new else LONGEST)
            try:
                return inbox.get(timeout=max(due - time.monotonic(), 0.001))
            except queue.Empty:
                self.write()

    def take(self, message: dict[str, Any]) -> None:
        """Notes what the training tells."""
        self.is_complete = message["kind"] == "complete"
        self._moment, self._is_new = Moment(**message["moment"]), True
        if message.get("loss") is not None:
            self._batches.append((self._moment.done / self._moment.steps_per_epoch, message["loss"]))
        if len(self._batches) > 2 * MOST_POINTS:
            self._batches = self._batches[1::2]

    def wait_for_its_end(self) -> None:
        """A process that is killed closes its files one after the other: the lock may be the last."""
        until = time.monotonic() + SHORTEST
        while self.run.is_being_trained() and time.monotonic() < until:
            time.sleep(0.02)

    def write(self, note: str = "", *, goes_on: bool = True) -> None:
        """Writes the page, and sees what that took."""
        before = time.process_time()
        write_live_page(self.run, replace(self._moment, batches=self._batches), note, goes_on=goes_on)
        self._written, self._is_new = time.monotonic(), False
        self._rest = min(max(REST * (time.process_time() - before), SHORTEST), LONGEST)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
