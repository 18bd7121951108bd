"""Threads that are handed work quickly: all of it is done, whoever sleeps, fails, is late or interrupted."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from nnscratch.nn.compute import awake_threads
from nnscratch.nn.compute.awake_threads import (
    IDLE,
    LATE,
    SHORTEST,
    AwakeThreads,
    Patience,
    SleepSignal,
    SpinSignal,
    _Member,
)

pytestmark = pytest.mark.usefixtures("every_core")


@pytest.fixture(params=[SpinSignal, SleepSignal], autouse=True)
def signals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake_threads, "FAST", request.param)


def share(waiting: Iterator[int], done: list[int]) -> None:
    for number in waiting:
        done.append(number)
        time.sleep(0)


def done_by(threads: AwakeThreads, number: int = 20) -> list[int]:
    waiting, done = iter(range(number)), list[int]()
    threads.run(lambda: share(waiting, done))
    return sorted(done)


def members_of(threads: AwakeThreads) -> list[_Member]:
    (pool,) = threads._pools.values()
    return pool.members


def test_every_thread_runs_the_task() -> None:
    together = threading.Barrier(3, timeout=60)
    AwakeThreads(2).run(together.wait)


def test_threads_that_fell_asleep_are_woken_as_often_as_there_is_work() -> None:
    threads = AwakeThreads(2)
    for pause in (0, 3 * IDLE, 0, 0, 4 * IDLE, IDLE, 3 * IDLE, 0):
        time.sleep(pause)
        assert done_by(threads) == list(range(20))
    deadline = time.perf_counter() + 60
    tasks: list[object] = [True]
    while any(tasks) and time.perf_counter() < deadline:
        time.sleep(IDLE)
        tasks = [member.order[1] for member in members_of(threads)]
    assert tasks == [None, None], "the last that each was handed is to sleep"


def test_an_error_in_another_thread_reaches_the_caller_and_the_next_task_is_done() -> None:
    threads, caller = AwakeThreads(1), threading.get_ident()

    def fails_elsewhere() -> None:
        if threading.get_ident() != caller:
            raise ValueError("elsewhere")

    with pytest.raises(ValueError, match="elsewhere"):
        threads.run(fails_elsewhere)
    assert done_by(threads) == list(range(20))


def test_no_error_is_raised_twice() -> None:
    threads = AwakeThreads(2)

    def fails_everywhere() -> None:
        time.sleep(0.01)
        raise ValueError("once")

    for _ in range(3):
        with pytest.raises(ValueError, match="once"):
            threads.run(fails_everywhere)
        assert done_by(threads) == list(range(20))


def test_an_interrupt_wherever_python_looks_for_one_leaves_threads_that_work_together() -> None:
    """KeyboardInterrupt is raised after the first call in the module, then after the second, and so on to the last."""
    code = """
import itertools, sys, threading, time
from nnscratch.nn.compute import awake_threads
from nnscratch.nn.compute.awake_threads import AwakeThreads, SleepSignal

awake_threads.FAST = getattr(awake_threads, sys.argv[1])
awake_threads.Patience.judge = lambda *_: None
threads = AwakeThreads(2)

def interrupt_after(count):
    events = itertools.count(1)
    def look(frame, event, argument):
        if frame.f_code.co_filename == awake_threads.__file__ and event != "c_call" and next(events) == count:
            sys.setprofile(None)
            raise KeyboardInterrupt
    return look

def is_interrupted(count):
    sys.setprofile(interrupt_after(count))
    try:
        threads.run(lambda: None)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False

def works():
    waiting, done = iter(range(20)), []
    def share():
        for number in waiting: done.append(number)
    threads.run(share)
    assert sorted(done) == list(range(20)), done

interrupts = 0
for pause in 0, 5 * awake_threads.IDLE:
    works()
    for count in range(1, 50):
        time.sleep(pause)
        interrupts += is_interrupted(count)
        works()
    seen = set()
    while len(seen) < 3:
        threads.run(lambda: (seen.add(threading.get_ident()), time.sleep(0.001)))
print(interrupts)
"""
    for signal in "SpinSignal", "SleepSignal":
        done = subprocess.run(
            [sys.executable, "-c", code, signal], timeout=60, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert int(done.stdout) > 30  # fewer where the caller works alone, as the others just fall asleep


def test_threads_in_a_reference_cycle_end_when_the_garbage_is_collected() -> None:
    before = threading.active_count()
    for _ in range(20):
        cycle: list[object] = [AwakeThreads(1)]
        done_by(cycle[0])  # type: ignore[arg-type]
        cycle.append(cycle)
    del cycle
    gc.collect()
    waited = time.perf_counter() + 60
    while threading.active_count() > before and time.perf_counter() < waited:
        time.sleep(IDLE)
    assert threading.active_count() <= before


def test_a_task_inside_a_task_and_one_of_another_thread_are_done_by_their_callers_alone() -> None:
    threads = AwakeThreads(1)
    inner: list[list[int]] = []
    lock = threading.Lock()

    def outer() -> None:
        result = done_by(threads, 5)
        with lock:
            inner.append(result)

    threads.run(outer)
    assert inner == [list(range(5))] * 2


def test_what_an_interrupted_caller_left_is_no_answer_to_the_next_task() -> None:
    threads = AwakeThreads(1)
    done_by(threads)
    (member,) = members_of(threads)
    left = threading.Event()
    member.hand(left.set)  # and its caller is gone before it waits
    assert left.wait(60)
    threads.patience.alone_until = 0.0
    slow: list[int] = []

    def task() -> None:
        time.sleep(0.05)
        slow.append(1)

    threads.run(task)
    assert len(slow) == 2


def test_after_waiting_for_a_thread_that_was_held_up_the_caller_works_alone_each_time_longer() -> None:
    threads, caller, seen = AwakeThreads(1), threading.get_ident(), set[int]()
    lengths = []
    for _ in range(4):
        now = time.perf_counter()
        threads.patience.judge(2 * LATE, LATE, 2 * LATE)
        lengths.append(threads.patience.alone_until - now)
    assert lengths[0] < SHORTEST / 2  # once is no sign of a busy machine
    assert SHORTEST <= lengths[1] < lengths[2] < lengths[3]
    threads.patience.alone_until = float("inf")
    threads.run(lambda: seen.add(threading.get_ident()))
    assert seen == {caller}
    threads.patience.alone_until = 0.0
    threads.run(lambda: seen.add(threading.get_ident()))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("waited", "held_up", "worked"),
    [(1.0, LATE / 2, 0.0), (0.01, 0.01, 0.02)],
    ids=["longer work", "it saved more than the wait cost"],
)
def test_a_thread_that_cost_no_time_is_not_late(waited: float, held_up: float, worked: float) -> None:
    patience = Patience()
    for _ in range(3):
        patience.judge(waited, worked, held_up)
    assert not patience.is_out


def test_a_thread_knows_how_long_it_was_held_up() -> None:
    threads, caller = AwakeThreads(1), threading.get_ident()
    threads.run(lambda: time.sleep(0.05 * (threading.get_ident() != caller)))
    assert members_of(threads)[0].held_up >= 0.05


def test_a_program_ends_while_its_threads_are_awake() -> None:
    code = (
        "from nnscratch.nn.compute.awake_threads import AwakeThreads\n"
        "threads = AwakeThreads(3)\n"
        "for _ in range(1000): threads.run(lambda: None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # which is the point
def test_a_forked_process_starts_threads_of_its_own() -> None:
    code = (
        "import os\n"
        "from nnscratch.nn.compute.awake_threads import AwakeThreads\n"
        "threads = AwakeThreads(2)\n"
        "threads.run(lambda: None)\n"
        "child = os.fork()\n"
        "waiting, done = iter(range(50)), []\n"
        "def share():\n"
        "    for number in waiting: done.append(number)\n"
        "threads.run(share)\n"
        "assert sorted(done) == list(range(50))\n"
        "assert not child or os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_that_nobody_holds_any_more_end() -> None:
    before = threading.active_count()
    threads = AwakeThreads(2)
    done_by(threads)
    assert threading.active_count() > before
    del threads
    waited = time.perf_counter() + 60
    while threading.active_count() > before and time.perf_counter() < waited:
        time.sleep(IDLE)
    assert threading.active_count() == before
