"""Threads that begin handed work within a microsecond or two, because they wait for it awake, outside the interpreter.

A thread that sleeps takes 50 to 300 microseconds to wake, longer than most operations of a small network, and one that
waits awake in Python takes the interpreter's lock from the thread that works. These wait in a loop inside the C library
(pthread_spin_lock), without that lock, as OpenBLAS's threads do; after some milliseconds without work they sleep.

On a busy machine a thread may be held up in the middle of its work, and the others would wait for it, awake, in every
operation. Who has waited for longer than the others' work would have taken works without them for a while.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from time import perf_counter, sleep, thread_time
from typing import Any, Protocol

IDLE = 0.005
"""Seconds without work after which the threads sleep."""
LATE = 0.001
"""Seconds of waiting for the others that are no matter of unequal shares."""
SHORTEST, LONGEST = 0.02, 0.5
"""Seconds that the calling thread then works alone: each time twice as long, if it finds the machine busy again."""

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
        semaphore = threading.Semaphore(0)
        self.give, self.take = semaphore.release, semaphore.acquire


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
        self.task: Task | None = None
        self.error: BaseException | None = None
        self.handed = self.served = 0
        self.handed_at = self.held_up = self.worked = 0.0
        self.is_asleep, self.is_over = True, False
        self.thread = threading.Thread(target=self._serve, name="nnscratch", daemon=True)
        self.thread.start()

    def hand(self, task: Task | None) -> None:
        """Lets the thread do that; None: sleep."""
        waits_for = self.wake if self.is_asleep else self.go
        self.task, self.is_asleep, self.handed_at = task, task is None, perf_counter()
        self.handed += 1
        waits_for.give()

    def result(self) -> None:
        """Waits until what it was handed is done."""
        self.done.take()
        while self.served != self.handed:  # that was an earlier task's, whose caller was interrupted
            self.done.take()
        self.task = None

    def end(self) -> None:
        """Lets the thread return, and waits for it."""
        self.is_over = True
        self.hand(None)
        if self.thread is not threading.current_thread():
            self.thread.join()

    def _serve(self) -> None:
        waits_for = self.wake
        while True:
            waits_for.take()
            if self.is_over:
                return
            waits_for = self.wake if self.task is None else self.go
            used = thread_time()
            try:
                if self.task is not None:
                    self.task()
            except BaseException as error:
                self.error = error
            self.worked = thread_time() - used
            self.held_up = perf_counter() - self.handed_at - self.worked
            self.served = self.handed
            self.done.give()


class _Activity:
    """What the threads share with the one that sends them to sleep."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs = 0
        self.is_awake = threading.Event()
        self.is_over = False


class AwakeThreads:
    """The calling thread and a number of others, which are started when there is work for the first time."""

    def __init__(self, others: int) -> None:
        self._others = others
        self._forget()

    def _forget(self) -> None:
        """Begins without threads: a process that was forked has none of those that it remembers."""
        self._process = os.getpid()
        self._members: list[_Member] = []
        self._activity = _Activity()
        self._alone_until = self._late_at = 0.0
        self._pause = SHORTEST

    def run(self, task: Task) -> None:
        """task() in every thread at once, and the end of all of them; raises what one of them raised.

        The calling thread may be the only one: when the others are at work already, and for a while after it waited
        for them. So the tasks share out what there is to do, and one alone does it all.
        """
        if self._process != os.getpid():
            self._forget()
        if perf_counter() < self._alone_until or not self._activity.lock.acquire(blocking=False):
            task()
            return
        try:
            self._run_together(task)
        finally:
            self._activity.lock.release()

    def _run_together(self, task: Task) -> None:
        members = self._members or self._start()
        handed = []
        try:
            for member in members:
                member.hand(task)
                handed.append(member)
            task()
        finally:  # none may go on writing after an error here
            done = perf_counter()
            for member in handed:
                member.result()
            self._judge(perf_counter() - done)
        self._activity.runs += 1
        if not self._activity.is_awake.is_set():
            self._activity.is_awake.set()
        for member in members:
            error, member.error = member.error, None
            if error is not None:
                raise error

    def _judge(self, waited: float) -> None:
        """Does without the others for a while when one that the system had held up cost more time than they saved."""
        saved = sum(member.worked for member in self._members)
        if waited < max(LATE, saved) or max(member.held_up for member in self._members) < LATE:
            return
        now = perf_counter()
        self._pause = min(2 * self._pause, LONGEST) if now - self._late_at < 4 * self._pause else SHORTEST
        self._late_at, self._alone_until = now, now + self._pause

    def _start(self) -> list[_Member]:
        self._members = [_Member() for _ in range(self._others)]
        watch = threading.Thread(target=_send_to_sleep, args=(self._members, self._activity), daemon=True)
        watch.start()
        weakref.finalize(self, _end, self._process, self._members, self._activity)
        return self._members


def _send_to_sleep(members: Sequence[_Member], activity: _Activity) -> None:
    """Watches the threads while they are awake."""
    while True:
        activity.is_awake.wait()
        runs = activity.runs
        sleep(IDLE)
        if activity.is_over:
            return
        if activity.runs == runs and activity.lock.acquire(blocking=False):
            if activity.runs == runs and not activity.is_over:
                activity.is_awake.clear()
                for member in members:
                    member.hand(None)
                    member.result()
            activity.lock.release()


def _end(process: int, members: Sequence[_Member], activity: _Activity) -> None:
    """Ends all threads of this process: none may wait in the C library when its memory is gone."""
    if process != os.getpid():
        return
    with activity.lock:
        activity.is_over = True
        activity.is_awake.set()
        for member in members:
            member.end()
