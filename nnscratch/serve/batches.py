"""Rows of many requests through the network together: one thread owns it and takes them in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.serve.limits import Limits, Refusal

Waiting = tuple[Array, "Future[Array]"]


class Batches:
    """Gathers rows until there are `limits.batch` of them, or the first has waited for `limits.gather` seconds.

    `compute` gives outputs (N, K) for rows (N, ...); it is called by one thread alone. `is_alone()` says that no other
    request is on its way, which would be waited for.
    """

    def __init__(
        self, compute: Callable[[Array], Array], limits: Limits, is_alone: Callable[[], bool] = lambda: False
    ) -> None:
        self._compute, self._limits, self._is_alone = compute, limits, is_alone
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
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

    def submit(self, rows: Array) -> Future[Array]:
        """The outputs of these rows, once they are there. Raises Refusal when too many rows wait already."""
        with self._lock:
            if self._waiting + len(rows) > self._limits.waiting:
                raise Refusal(429, f"{self._waiting:,} rows are waiting already; ask again in a second")
            self._waiting += len(rows)
        future: Future[Array] = Future()
        self._queue.put((rows, future))
        return future

    def close(self) -> None:
        """Computes what is waiting, and ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open:
            gathered: list[Waiting] = []
            is_open = self._gather(gathered)
            # Who went away meanwhile is not computed for.
            wanted = [each for each in gathered if each[1].set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)
            with self._lock:
                self._waiting -= sum(len(rows) for rows, _ in gathered)

    def _gather(self, gathered: list[Waiting]) -> bool:
        """Fills the list with the next batch; whether more may come after it."""
        number, end = 0, float("inf")
        while number < self._limits.batch:
            try:
                wait = None if not gathered else 0 if self._is_alone() else max(0.0, end - time.monotonic())
                item = self._queue.get(timeout=wait) if wait != 0 else self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                return False
            if not gathered:
                end = time.monotonic() + self._limits.gather
            gathered.append(item)
            number += len(item[0])
        return True

    def _answer(self, gathered: Sequence[Waiting]) -> None:
        try:
            rows = gathered[0][0] if len(gathered) == 1 else np.concatenate([rows for rows, _ in gathered])
            y = self._compute(rows)
        except Exception as error:
            if len(gathered) == 1:
                gathered[0][1].set_exception(error)
                return
            for each in gathered:  # whose fault it is shows when each goes alone
                self._answer([each])
            return
        self.rows += len(rows)
        self.batches += 1
        start = 0
        for own, future in gathered:
            future.set_result(y[start : start + len(own)])
            start += len(own)
