"""A second process that does its half of each task, in memory that both have: an interpreter, and its lock, of its own.

Two threads of Python wait for each other's lock between any two of NumPy's calls. A partner is a fork of this process,
made once what the tasks need is there; from then on both do the same steps, each with a half of the rows or weights,
and hand over by counters in common memory, which each of them watches.

Which half of a task falls to whom changes no digit: as long as the partner is held up by a busy machine, this process
does both halves.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import platform
import select
import signal
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from time import perf_counter, thread_time
from typing import Any, NoReturn

import numpy as np

from nnscratch.errors import ProcessKilled
from nnscratch.nn.compute.awake_threads import IDLE, LATE, Patience
from nnscratch.nn.compute.common_memory import LINE, LOOKS
from nnscratch.nn.compute.exchange import Exchange

try:
    _library: Any = ctypes.PyDLL(None)  # these are too short to let go of the interpreter's lock for
    _initialize, _try, _unlock = (getattr(_library, f"pthread_spin_{name}") for name in ("init", "trylock", "unlock"))
except (OSError, AttributeError, TypeError):  # no Linux: no partner either
    pass

Task = Callable[[int, Sequence[float]], object]
"""Half 0 or 1 of something, with numbers that say more."""

NUMBERS = 16
"""How many numbers a task may be given."""
ORDER, TASK, COUNT, DONE, ASLEEP = range(0, 5 * LINE, LINE)
USED, SPENT = 5 * LINE, 5 * LINE + 1
GIVEN = 6 * LINE
WORDS = GIVEN + NUMBERS
FRONT, BACK = LINE, 2 * LINE
HELD = 60
"""Seconds, many times more than a process can need to take a piece."""
NAP = 0.2
"""Seconds until a partner that sleeps looks for itself, should nobody have woken it."""


def is_possible() -> bool:
    """Whether this system can fork a process, and shows it what the other wrote in the order in which it was written.

    The latter is what x86 promises of plain memory (Intel SDM volume 3, section 8.2.2).
    """
    return sys.platform == "linux" and platform.machine() == "x86_64"


class Pieces:
    """Numbers from 0, of which each half takes the next from its own end, until none is left.

    So neither waits for long for the other, which may be held up, or have more to do for as many.
    """

    def __init__(self) -> None:
        memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(memory)[: 8 * 3 * LINE].cast("q")
        self._lock = ctypes.c_void_p(np.frombuffer(memory, np.uint8).ctypes.data)

    def fill(self, count: int) -> None:
        """From 0 to `count` are to be taken; nobody takes any meanwhile."""
        _initialize(self._lock, True)  # who was interrupted, or killed, may have left it locked
        self._words[FRONT], self._words[BACK] = 0, count

    def taken_alone(self) -> Iterator[int]:
        """All of them, for a process that shares them with nobody."""
        front, back = self._words[FRONT], self._words[BACK]
        self._words[FRONT] = back
        return iter(range(front, back))

    def taken_by(self, half: int) -> Iterator[int]:
        """Those that this half gets."""
        words = self._words
        while True:
            until = perf_counter() + HELD
            while _try(self._lock):
                if perf_counter() > until:
                    raise RuntimeError("the other process was killed while it took a piece")
            front, back = words[FRONT], words[BACK]
            if front < back:
                words[FRONT], words[BACK] = (front + 1, back) if half == 0 else (front, back - 1)
            _unlock(self._lock)
            if front >= back:
                return
            yield front if half == 0 else back - 1


class Partner:
    """The other process, from the first task on until `end`, or until nobody has this object any more."""

    def __init__(self, tasks: Sequence[Task], begin: Callable[[], object], exchange: Exchange | None = None) -> None:
        """Raises OSError when no process can be started. The partner calls `begin` first.

        Within a task, both halves may tell each other numbers through `exchange`.
        """
        self.exchange = exchange or Exchange(0)
        self.exchange.begin()
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(self._memory)[: 8 * WORDS].cast("q")
        self._given = memoryview(self._memory)[: 8 * WORDS].cast("d")
        self._patience = Patience()
        # A pipe would have it woken on this process's own core (wake_up_interruptible_sync_poll), an eventfd does not.
        self._wake = os.eventfd(0)
        report, reported = os.pipe()
        parent = os.getpid()  # asked of the partner, it may be another's already
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of the locks that other threads hold: the partner takes none of theirs.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
        except OSError:
            for each in (self._wake, report, reported):
                os.close(each)
            raise
        if self._pid == 0:
            self._live(tasks, reported, begin, parent)
        os.close(reported)
        self._look_after = self.exchange.look_after = partial(_look_after, self._words, self._wake, self._pid, report)
        self._end = weakref.finalize(self, _end, self._pid, self._wake, report)

    @property
    def is_alive(self) -> bool:
        """Whether it still does its half."""
        return self._end.alive

    @property
    def is_at_hand(self) -> bool:
        """Whether it would do its half soon; else the machine is busy, and both halves are done sooner here."""
        return not self._patience.is_out

    def run(self, index: int, task: Task, numbers: Sequence[float]) -> None:
        """Both halves of the task of that index, which is `task`: half 0 here, half 1 by the other process.

        Raises ProcessKilled when the other process is there no more. What either half raises ends it.
        """
        words, number, exchange = self._words, self._words[ORDER] + 1, self.exchange
        exchange.waited = 0.0
        try:
            words[TASK], words[COUNT] = index, len(numbers)
            for place, value in enumerate(numbers, GIVEN):
                self._given[place] = value
            handed = perf_counter()
            words[ORDER] = number  # last: by this the other one sees that all of it is there
            if words[ASLEEP]:
                os.eventfd_write(self._wake, 1)
            task(0, numbers)
            waited = exchange.waited + (self._wait(number) if words[DONE] != number else 0.0)
            if waited >= LATE:
                used, elapsed = self._given[USED], perf_counter() - handed
                self._patience.judge(waited, used - self._given[SPENT], elapsed - used)
        except BaseException:  # nobody may go on writing after an error here
            self.end()
            raise

    def end(self) -> None:
        """Ends the other process."""
        self._end()

    def _wait(self, number: int) -> float:
        """Waits until the other half is done: for how long."""
        words, began = self._words, perf_counter()
        while True:
            for _ in range(LOOKS):
                if words[DONE] == number:
                    return perf_counter() - began
            if perf_counter() - began > LATE:
                self._look_after()

    def _live(self, tasks: Sequence[Task], reported: int, begin: Callable[[], object], parent: int) -> NoReturn:
        """The life of the partner, from the fork on: it returns to nobody, and cleans up after nobody."""
        try:
            _leave_to_the_other(keep=(self._wake, reported))
            begin()
            self._serve(tasks, parent)
        except BaseException:
            with suppress(BaseException):
                os.write(reported, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(1)

    def _serve(self, tasks: Sequence[Task], parent: int) -> None:
        words, given, exchange, done = self._words, self._given, self.exchange, 0
        exchange.rank, exchange.look_after = 1, partial(_yield_to, parent)
        while _await_order(words, done, self._wake, parent):
            done = words[ORDER]
            numbers = given[GIVEN : GIVEN + words[COUNT]].tolist()
            exchange.spent, used = 0.0, thread_time()
            tasks[words[TASK]](1, numbers)
            given[USED], given[SPENT] = thread_time() - used, exchange.spent
            words[DONE] = done


def _await_order(words: memoryview, done: int, wake: int, parent: int) -> bool:
    """Whether there is an order after `done`, once there is; False when the other process is gone."""
    since = perf_counter()
    while True:
        for _ in range(LOOKS):
            if words[ORDER] != done:
                return True
        if perf_counter() - since < IDLE:
            continue
        words[ASLEEP] = 1
        while words[ORDER] == done:
            if select.select([wake], [], [], NAP)[0]:
                os.eventfd_read(wake)
            if os.getppid() != parent:
                return False
        words[ASLEEP] = 0


def _look_after(words: memoryview, wake: int, pid: int, report: int) -> None:
    """Wakes the partner, should it sleep, and lets it go on; raises what ended it."""
    if words[ASLEEP]:  # it fell asleep while it was called
        os.eventfd_write(wake, 1)
    if not _is_running(pid):
        told = os.read(report, 1 << 16).decode(errors="replace")
        if told:
            raise RuntimeError(f"in the process with the other half of a step:\n{told}")
        raise ProcessKilled(
            "the process that does one half of each step was killed",
            "mostly as memory ran out: with --threads 1 there is one process, which needs less",
        )
    os.sched_yield()  # should both be on one core


def _yield_to(parent: int) -> None:
    """Lets that process go on, should both be on one core; ends this one with it."""
    if os.getppid() != parent:
        os._exit(1)
    os.sched_yield()


def _leave_to_the_other(keep: Sequence[int]) -> None:
    """What belongs to the process that this one is a copy of is its own to hear, to write, and to throw away."""
    for number in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"):
        signal.signal(getattr(signal, number), signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    gc.freeze()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    borders = [2, *sorted(keep), os.sysconf("SC_OPEN_MAX")]
    for before, after in pairwise(borders):
        os.closerange(before + 1, after)


def _is_running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:  # somebody else was told of its end
        return False


def _end(pid: int, *pipes: int) -> None:
    with suppress(OSError):
        if _is_running(pid):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    for each in pipes:
        with suppress(OSError):
            os.close(each)
