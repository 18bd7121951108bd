"""Numbers that two processes tell each other in the middle of a task, through memory that both have."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from time import perf_counter, thread_time

import numpy as np

from nnscratch.nn.compute.awake_threads import LATE
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.common_memory import LINE, LOOKS, common
from nnscratch.nn.compute.communicator import Communicator


class Exchange(Communicator):
    """Sums over the rows of both. Whoever is there first waits, awake, and looks after the other now and then.

    What one writes for the time after the next goes where the other has read: it was there in between.
    """

    size = 2

    def __init__(self, largest: int) -> None:
        """For arrays of at most so many numbers, in float64."""
        self.rank = 0
        self.waited = self.spent = 0.0
        """Seconds that this process has waited since they were last set, and those of a core that it used meanwhile."""
        self.look_after: Callable[[], object] = lambda: None
        """Called by who has waited for long: it raises when the other is gone."""
        self._values = common(2 * self.size * largest, np.float64).reshape(2, self.size, -1)
        """By turn and process."""
        self._turns = memoryview(mmap.mmap(-1, 8 * self.size * LINE)).cast("q")
        self._turn = 0

    def begin(self) -> None:
        """Before there is a second process, of which this one is the first."""
        self.rank = 0
        self._turn = self._turns[0] = self._turns[LINE] = 0

    def stack(self, values: Array) -> Array:
        of_both = self._values[(self._turn + 1) % 2, :, : values.size]
        of_both[self.rank] = values.reshape(-1)
        self.meet()
        return np.array(of_both).reshape(self.size, *values.shape)

    def meet(self) -> None:
        """Waits until the other one is here, too: what each wrote before, both see afterwards."""
        self._turn = turn = self._turn + 1
        self._turns[self.rank * LINE] = turn  # after all else: by this the other one sees that it is there
        other = (1 - self.rank) * LINE
        if self._turns[other] < turn:
            self._wait(other, turn)

    def _wait(self, other: int, turn: int) -> None:
        turns, began, used = self._turns, perf_counter(), thread_time()
        while turns[other] < turn:
            for _ in range(LOOKS):
                if turns[other] >= turn:
                    break
            else:
                if perf_counter() - began > LATE:
                    self.look_after()
        self.waited += perf_counter() - began
        self.spent += thread_time() - used
