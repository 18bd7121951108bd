"""Rows of many requests together: one thread gathers them, and computes them at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeAlias, TypeVar

from nnscratch.serve.limits import Limits, Refusal

In = TypeVar("In")
Out = TypeVar("Out")
Answer: TypeAlias = Future[tuple[Sequence[In], Sequence[Out]]]
Waiting: TypeAlias = tuple[Sequence[In], Answer[In, Out]]


class Batches(Generic[In, Out]):
    """Gathers rows until there are `limits.batch` of them, or the first has waited for `limits.gather` seconds.

    `compute` gives something for each of several rows; one thread alone calls it. Nothing is waited for once all of
    the `under_way()` requests that there are have been gathered.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[In]], Sequence[Out]],
        limits: Limits,
        under_way: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._compute, self._limits, self._under_way = compute, limits, under_way
        self._queue: SimpleQueue[Waiting[In, Out] | None] = SimpleQueue()
        self._lock = Lock()
        self._waiting = 0
        self.rows = self.batches = 0
        """How many have been computed."""
        self._thread = Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that are not computed yet."""
        return self._waiting

    @property
    def is_working(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    def submit(self, rows: Sequence[In], answer: Answer[In, Out]) -> None:
        """The answer gets the rows with what `compute` gives for each. Raises Refusal when too many wait already."""
        with self._lock:
            if self._waiting + len(rows) > self._limits.waiting:
                raise Refusal(429, f"{self._waiting:,} rows are waiting already; ask again in a second")
            self._waiting += len(rows)
        self._queue.put((rows, answer))

    def close(self) -> None:
        """Computes what is waiting, and ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open:
            gathered: list[Waiting[In, Out]] = []
            is_open = self._gather(gathered)
            # Who went away meanwhile is not computed for.
            wanted = [each for each in gathered if each[1].set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)
            with self._lock:
                self._waiting -= sum(len(rows) for rows, _ in gathered)

    def _gather(self, gathered: list[Waiting[In, Out]]) -> bool:
        """Fills the list with the next batch; whether more may come after it."""
        number, end = 0, float("inf")
        while number < self._limits.batch:
            try:
                if not gathered:
                    item = self._queue.get()
                    end = time.monotonic() + self._limits.gather
                elif len(gathered) >= self._under_way() or time.monotonic() >= end:
                    item = self._queue.get_nowait()
                else:
                    item = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                break
            if item is None:
                return False
            gathered.append(item)
            number += len(item[0])
        return True

    def _answer(self, gathered: Sequence[Waiting[In, Out]]) -> None:
        try:
            found = self._compute(list(chain.from_iterable(rows for rows, _ in gathered)))
        except Exception as error:
            if len(gathered) == 1:
                gathered[0][1].set_exception(error)
                return
            for each in gathered:  # whose fault it is shows when each goes alone
                self._answer([each])
            return
        self.rows += len(found)
        self.batches += 1
        start = 0
        for rows, answer in gathered:
            answer.set_result((rows, found[start : start + len(rows)]))
            start += len(rows)
