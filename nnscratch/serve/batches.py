"""Rows of many requests together: one thread gathers them, and computes them at once."""

from __future__ import annotations

import math
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, islice
from threading import Condition, Thread
from time import monotonic
from typing import Generic, TypeAlias, TypeVar

from nnscratch.serve.limits import Limits, Refusal

In = TypeVar("In")
Out = TypeVar("Out")
Answer: TypeAlias = Future[Sequence[Out]]
Waiting: TypeAlias = tuple[Sequence[In], Answer[Out]]


Answered: TypeAlias = tuple[Answer[Out], Sequence[Out] | Exception]


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
        self._changed = Condition()
        self._queue: deque[Waiting[In, Out]] = deque()
        self._arrivals: deque[float] = deque()
        """When each of the queue has come."""
        self._queued = self._waiting = 0
        self._is_open = True
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

    def submit(self, rows: Sequence[In], answer: Answer[Out]) -> None:
        """The answer gets what `compute` gives for each row. Raises Refusal when too many wait already."""
        with self._changed:
            if self._waiting + len(rows) > self._limits.waiting:
                raise Refusal(429, f"{self._waiting:,} rows are waiting already; ask again in a second")
            self._waiting += len(rows)
            self._queue.append((rows, answer))
            self._arrivals.append(monotonic())
            self._queued += len(rows)
            # Woken by each row, the thread would take the interpreter from the readers to look, and wait again.
            if len(self._queue) == 1 or self._is_enough():
                self._changed.notify()

    def close(self) -> None:
        """Computes what is waiting, and ends the thread."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        self._thread.join()

    def _is_enough(self) -> bool:
        return not self._is_open or self._queued >= self._limits.batch or len(self._queue) >= self._under_way()

    def _work(self) -> None:
        while gathered := self._gather():
            # Who went away meanwhile is not computed for.
            wanted = [each for each in gathered if not each[1].cancelled()]
            if wanted:
                deliver(self._answers(wanted))
            with self._changed:
                self._waiting -= sum(len(rows) for rows, _ in gathered)

    def _gather(self) -> list[Waiting[In, Out]]:
        """The next batch; nothing once all is closed and computed."""
        gathered: list[Waiting[In, Out]] = []
        number = 0
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or not self._is_open)
            waited = monotonic() - self._arrivals[0] if self._queue else 0.0
            self._changed.wait_for(self._is_enough, max(0.0, self._limits.gather - waited))
            while self._queue and number < self._limits.batch:
                gathered.append(self._queue.popleft())
                self._arrivals.popleft()
                number += len(gathered[-1][0])
            self._queued -= number
        return gathered

    def _answers(self, gathered: Sequence[Waiting[In, Out]]) -> list[Answered[Out]]:
        try:
            found = self._compute(list(chain.from_iterable(rows for rows, _ in gathered)))
        except Exception as error:
            if len(gathered) == 1:
                return [(gathered[0][1], error)]
            # Whose fault it is shows when each goes alone.
            return [answered for each in gathered for answered in self._answers([each])]
        self.rows += len(found)
        self.batches += 1
        parts = iter(found)
        return [(answer, list(islice(parts, len(rows)))) for rows, answer in gathered]


def deliver(answered: Sequence[Answered[Out]]) -> None:
    """Gives the answers to who waits for them in an event loop, from another thread: the loop is woken once for all."""
    loop = answered[0][0].get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(_set, answered)


def _set(answered: Sequence[Answered[Out]]) -> None:
    for answer, found in answered:
        if answer.done():
            continue  # who asked has gone
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)
