"""Threads that begin handed work within a microsecond or two, because they wait for it awake, outside the interpreter.

A thread that sleeps takes 50 to 300 microseconds to wake, longer than most operations of a small network, and one that
waits awake in Python takes the interpreter's lock from the thread that works. These wait in a loop inside the C library
(pthread_spin_lock), without that lock, as OpenBLAS's threads do; after some milliseconds without work they sleep.

On a busy machine a thread may be held up in the middle of its work, and the others would wait for it, awake, in every
operation. Who has waited for longer than the others' work would have taken works without them for a while.

An interrupt (Ctrl-C) may end the caller between any two operations here, and whoever caught it calls again. So what is
to be done and what is done are numbered, each written at once with all that belongs to it, and signals say only that
there may be something new: one that is given twice, or left over, does no harm.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter, sleep, thread_time
from typing import Any, Protocol

IDLE = 0.005
"""Seconds without work after which the threads sleep."""
LATE = 0.001
"""Seconds of waiting for the others that are no matter of unequal shares."""
SHORTEST, LONGEST = 0.02, 1.0
"""Seconds that the calling thread then works alone: each time twice as long, if it finds the machine busy again."""
RECENT = 0.1
"""Seconds: of two that were late at a greater distance neither is a sign of a busy machine."""

Task = Callable[[], object]


class Signal(Protocol):
    """Given by one thread, taken once by another, which waits for it."""

    def give(self) -> object:
        """Lets the other thread go on."""

    def take(self) -> object:
        """Waits until it is given."""


class SpinSignal:
    """One that is waited for awake: a lock of the C library that is held until it is given."""

    def __init__(self) -> None:
        # 0 is unlocked; a cache line of its own, and one more to find its beginning in.
        self._memory = ctypes.create_string_buffer(128)
        self._lock = ctypes.c_void_p((ctypes.addressof(self._memory) + 63) & ~63)
        _initialize(self._lock, 0)
        self.take()

    def give(self) -> object:
        return _unlock(self._lock)

    def take(self) -> object:
        return _lock(self._lock)


class SleepSignal:
    """One that is waited for asleep, for systems whose C library has no other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the semaphores of `threading` cannot be given while garbage is collected
        self.take = self._lock.acquire
        self.take()

    def give(self) -> object:
        with suppress(RuntimeError):  # it is given already
            self._lock.release()
        return None


try:
    _library: Any = ctypes.CDLL(None)
    _initialize, _lock = _library.pthread_spin_init, _library.pthread_spin_lock
    _unlock = ctypes.PyDLL(None).pthread_spin_unlock  # too short to let go of the interpreter's lock for
    FAST: type[SpinSignal] | type[SleepSignal] = SpinSignal
except (OSError, AttributeError, TypeError):
    FAST = SleepSignal


class _Member:
    """One of the threads, and what is handed to it."""

    def __init__(self) -> None:
        self.go: Signal = FAST()
        self.done: Signal = FAST()
        self.wake: Signal = SleepSignal()
        self.order: tuple[int, Task | None, bool] = 0, None, False
        """Its number, what to do (None: sleep), and whether it is the last."""
        self.served = 0
        """The number of the last order that is done, of which the following tells."""
        self.error: BaseException | None = None
        self.worked = self.held_up = 0.0
        """Seconds of its own time, and those that the system made it wait since `handed_at`."""
        self.handed_at = 0.0
        threading.Thread(target=self._serve, name="nnscratch", daemon=True).start()

    def hand(self, task: Task | None, is_last: bool = False) -> None:
        """Lets the thread do that, after what it was handed before; None: sleep, or end."""
        number, before, _ = self.order
        if self.served != number:
            self.settle()
        self.handed_at = perf_counter()
        self.order = number + 1, task, is_last
        (self.wake if before is None else self.go).give()

    def wait(self) -> None:
        """Waits until what it was just handed is done."""
        self.done.take()
        while self.served != self.order[0]:  # that signal was left over
            self.done.take()

    def settle(self) -> None:
        """The same after an interrupt, which may have come before the thread was given its signal."""
        while self.served != self.order[0]:
            self.go.give()
            self.wake.give()
            self.done.take()

    def _serve(self) -> None:
        number, is_last, waits_for = 0, False, self.wake
        while not is_last:
            waits_for.take()
            if self.order[0] == number:
                continue
            number, task, is_last = self.order
            waits_for = self.wake if task is None else self.go
            self.error = None
            used = thread_time()
            try:
                if task is not None:
                    task()
            except BaseException as error:
                self.error = error
            task = None
            self.worked = thread_time() - used
            self.held_up = perf_counter() - self.handed_at - self.worked
            self.served = number
            self.done.give()


class _Pool:
    """Threads that are handed the same task, and one that sends them to sleep, and ends them."""

    def __init__(self, threads: int) -> None:
        self.members = [_Member() for _ in range(threads)]
        self._user: dict[None, object] = {}
        """A ticket of whoever hands out work, while he does. It is known before it is put here: of a lock, an interrupt
        may leave unknown whether it was taken."""
        self._runs = 0
        self._roused: Signal = SleepSignal()
        self._is_awake = self._is_over = False
        threading.Thread(target=self._watch, name="nnscratch", daemon=True).start()

    def run(self, task: Task) -> float | None:
        """task() in these threads and the calling one: how long that one waited for the others at the end.

        None, and nothing is done, when they are at work already. Raises what one of them raised.
        """
        ticket = object()
        try:
            if self._user.setdefault(None, ticket) is not ticket:
                return None
            return self._run(task)
        finally:
            if None in self._user and self._user[None] is ticket:  # without a call: after each may come an interrupt
                del self._user[None]

    def end(self) -> None:
        """Ends the threads, soon. Waits for nothing: it may be called by the garbage collector, in any of them."""
        self._is_over = True
        self._roused.give()

    def _run(self, task: Task) -> float:
        try:
            for member in self.members:
                member.hand(task)
            task()
            done = perf_counter()
            for member in self.members:
                member.wait()
        except BaseException:  # none may go on writing after an error here
            for member in self.members:
                member.settle()
            raise
        waited = perf_counter() - done
        self._runs += 1
        if not self._is_awake:
            self._roused.give()
            self._is_awake = True
        for member in self.members:
            if member.error is not None:
                raise member.error
        return waited

    def _watch(self) -> None:
        while not self._is_over:
            self._roused.take()
            runs = -1
            while not self._is_over and (self._runs != runs or not self._send_all_to_sleep()):
                runs = self._runs
                sleep(IDLE)
        while not self._send_all_to_sleep(for_good=True):
            sleep(IDLE)

    def _send_all_to_sleep(self, for_good: bool = False) -> bool:
        """Whether nobody used them, so that they sleep now."""
        ticket = object()
        if self._user.setdefault(None, ticket) is not ticket:
            return False
        self._is_awake = False
        for member in self.members:
            member.hand(None, for_good)
        for member in self.members:
            member.wait()
        del self._user[None]
        return True


class Patience:
    """Whether to go without others for a while, as they cost more time than they save."""

    def __init__(self) -> None:
        self.alone_until = self._late_at = self._pause = 0.0

    @property
    def is_out(self) -> bool:
        """Whether it is such a while."""
        return perf_counter() < self.alone_until

    def judge(self, waited: float, worked: float, held_up: float) -> None:
        """After the others were waited for: how long, how long they worked, and how long the system held one up."""
        if waited < worked or held_up < LATE:
            return
        now = perf_counter()
        again = now - self._late_at < max(RECENT, 4 * self._pause)
        self._pause = min(max(2 * self._pause, SHORTEST), LONGEST) if again else 0.0
        self._late_at, self.alone_until = now, now + self._pause


class AwakeThreads:
    """The calling thread and a number of others, which are started when there is work for the first time."""

    def __init__(self, others: int) -> None:
        self._others = others
        self._pools: dict[int, _Pool] = {}
        """By the process that started it: one that was forked has none of the threads that it remembers."""
        self.patience = Patience()

    def run(self, task: Task) -> None:
        """task() in every thread at once, and the end of all of them; raises what one of them raised.

        The calling thread may be the only one: when the others are at work already, and for a while after it waited
        for them. So the tasks share out what there is to do, and one alone does it all.
        """
        if self.patience.is_out:
            task()
            return
        pool = self._pools.get(os.getpid()) or self._start()
        waited = pool.run(task)
        if waited is None:
            task()
        elif waited >= LATE:
            members = pool.members
            self.patience.judge(waited, sum(m.worked for m in members), max(m.held_up for m in members))

    def _start(self) -> _Pool:
        pool = _Pool(self._others)
        kept = self._pools.setdefault(os.getpid(), pool)
        if kept is pool:
            weakref.finalize(self, pool.end)
        else:  # another thread was quicker
            pool.end()
        return kept
