"""A partner does the second half of each task in a process of its own, and never outlives the one that has it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from nnscratch.errors import UserError
from nnscratch.nn.compute import partner
from nnscratch.nn.compute.awake_threads import IDLE
from nnscratch.nn.compute.common_memory import common
from nnscratch.nn.compute.partner import Partner, Pieces

pytestmark = [
    pytest.mark.skipif(not partner.is_possible(), reason="this system cannot fork, or is no x86"),
    pytest.mark.usefixtures("every_core"),
]

SECONDS = 30


def waits_for(told: Callable[[], bool]) -> bool:
    """Whether it becomes true soon."""
    until = time.monotonic() + SECONDS
    while not told() and time.monotonic() < until:
        time.sleep(0.001)
    return told()


def is_gone(pid: int) -> bool:
    """Nor a zombie."""
    return not Path(f"/proc/{pid}").exists()


class Pair:
    """A partner with one task, and where each half wrote to."""

    def __init__(self, also: Callable[[int, Sequence[float]], object] = lambda half, numbers: None) -> None:
        self.written = common(2 * 4, np.float64).reshape(2, 4)
        self.also = also
        self.partner = Partner([self.task], lambda: None)

    def task(self, half: int, numbers: Sequence[float]) -> None:
        self.written[half] = os.getpid(), os.getppid(), *numbers
        self.also(half, numbers)

    def run(self, first: float = 0.1, second: float = -1e300) -> list[list[float]]:
        self.partner.run(0, self.task, (first, second))
        return self.written.tolist()

    @property
    def pid(self) -> int:
        return int(self.written[1, 0])


def test_one_half_is_done_here_and_one_in_a_child_process_and_both_are_given_the_numbers() -> None:
    pair = Pair()
    for first in range(50):
        here, there = pair.run(first / 3)
        assert here == [os.getpid(), os.getppid(), first / 3, -1e300]
        assert there == [pair.pid, os.getpid(), first / 3, -1e300]


def test_one_that_fell_asleep_is_woken() -> None:
    pair = Pair()
    for pause in (0.5, 1, 2, 4, 4 * partner.NAP / IDLE):
        time.sleep(pause * IDLE)
        assert pair.run(pause)[1][2] == pause


def test_it_does_nothing_between_two_tasks_for_long() -> None:
    pair = Pair()
    pair.run()

    def seconds() -> float:
        return sum(map(int, Path(f"/proc/{pair.pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / 100

    time.sleep(10 * IDLE)
    before = seconds()
    time.sleep(0.5)
    assert seconds() - before < 0.1


def test_what_the_other_half_raises_is_told_with_its_traceback_and_ends_it() -> None:
    def fails(half: int, numbers: Sequence[float]) -> None:
        if half:
            raise ZeroDivisionError(f"of {numbers[0]}")

    pair = Pair(fails)
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*in fails.*ZeroDivisionError: of 7\.0"):
        pair.run(7.0)
    assert not pair.partner.is_alive
    assert is_gone(pair.pid)


def test_what_the_half_here_raises_comes_through_and_ends_it() -> None:
    def fails(half: int, numbers: Sequence[float]) -> None:
        if not half:
            waits_for(lambda: pair.pid > 0)
            raise KeyboardInterrupt

    pair = Pair(fails)
    with pytest.raises(KeyboardInterrupt):
        pair.run()
    assert not pair.partner.is_alive
    assert is_gone(pair.pid)


def test_one_that_was_killed_is_missed_and_what_to_do_is_said() -> None:
    pair = Pair()
    pair.run()
    os.kill(pair.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="was killed") as caught:
        pair.run()
    assert "--threads 1" in str(caught.value.hint)
    assert not pair.partner.is_alive
    assert is_gone(pair.pid)


def test_signals_that_are_for_the_whole_group_are_left_to_the_process_that_has_it() -> None:
    pair = Pair()
    pair.run()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.kill(pair.pid, number)
    assert pair.run(5.0)[1][2] == 5.0


def test_it_ends_when_nobody_has_it_any_more() -> None:
    pair = Pair()
    pair.run()
    pid = pair.pid
    pair.partner.end()
    assert is_gone(pid)
    pair.partner.end()
    pair = Pair()
    pair.run()
    pid = pair.pid
    del pair
    gc.collect()
    assert is_gone(pid)


def test_it_keeps_no_file_of_the_other_open_and_writes_to_none() -> None:
    reading, writing = os.pipe()

    def prints(half: int, numbers: Sequence[float]) -> None:
        if half:
            os.write(1, b"spoken")
            os.write(2, b"spoken")

    pair = Pair(prints)
    os.close(writing)
    assert os.read(reading, 1) == b""  # nobody else has the writing end
    os.close(reading)
    pair.run()


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit()", "raise SystemError"])
def test_it_does_not_outlive_the_other_however_that_ends(end: str) -> None:
    code = f"""
import os, sys
import nnscratch
from nnscratch.nn.compute.common_memory import common
from nnscratch.nn.compute.partner import Partner
pid = common(1, "int64")
def task(half, numbers):
    if half:
        pid[0] = os.getpid()
partner = Partner([task], lambda: None)
partner.run(0, task, ())
print(pid[0], flush=True)
{end}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert waits_for(lambda: is_gone(int(done.stdout)))


def test_it_does_not_outlive_one_that_ends_before_it_has_begun() -> None:
    code = """
import os, time
import nnscratch
from nnscratch.nn.compute import partner
parent, leave = os.getpid(), partner._leave_to_the_other
reading, writing = os.pipe()
def hold_up(keep):
    print(os.getpid(), flush=True)
    os.write(writing, b"1")
    while os.getppid() == parent:  # as one that gets no core meanwhile
        time.sleep(0.001)
    leave(keep)
partner._leave_to_the_other = hold_up
two = partner.Partner([], lambda: None)
os.read(reading, 1)
os.kill(parent, 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert waits_for(lambda: is_gone(int(done.stdout)))


def test_one_that_the_machine_holds_up_again_and_again_is_left_alone_for_a_while() -> None:
    def sleeps(half: int, numbers: Sequence[float]) -> None:
        if half:
            time.sleep(0.02)

    pair = Pair(sleeps)
    was_at_hand = []
    for _ in range(2):
        pair.run()
        was_at_hand.append(pair.partner.is_at_hand)
    assert was_at_hand == [True, False]  # once is no sign of anything
    assert waits_for(lambda: pair.partner.is_at_hand)


def test_an_interrupt_anywhere_leaves_a_partner_that_works_or_none() -> None:
    code = """
import itertools, os, sys
from nnscratch.nn.compute.common_memory import common
import nnscratch
from nnscratch.nn.compute import partner
written = common(2, "int64")
def task(half, numbers):
    written[half] = numbers[0]
def interrupt_after(count):
    events = itertools.count(1)
    def look(frame, event, argument):
        if frame.f_code.co_filename == partner.__file__ and event != "c_call" and next(events) == count:
            sys.setprofile(None)
            raise KeyboardInterrupt
    return look
two, interrupts, number = partner.Partner([task], lambda: None), 0, 0
for count in range(1, 30):
    number += 1
    sys.setprofile(interrupt_after(count))
    try:
        two.run(0, task, (number,))
    except KeyboardInterrupt:
        interrupts += 1
    finally:
        sys.setprofile(None)
    if not two.is_alive:
        two = partner.Partner([task], lambda: None)
    number += 1
    two.run(0, task, (number,))
    assert written.tolist() == [number, number]
print(interrupts)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) >= 2


def test_where_no_process_can_be_started_the_system_s_reason_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BlockingIOError):
        Partner([], lambda: None)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_every_piece_is_taken_once_by_either_half_from_its_own_end() -> None:
    pieces, counts, times = Pieces(), [2000, 0, 1, 7], 20
    taken = common(max(counts) * 2, np.int64).reshape(-1, 2)
    steps = common(2, np.int64)

    def take(half: int, numbers: Sequence[float]) -> None:
        before = None
        for index in pieces.taken_by(half):
            assert before is None or index == before + (-1 if half else 1)
            before = index
            taken[index, half] += 1
            steps[half] += 1

    two = Partner([take], lambda: None)
    for count in counts:
        for _ in range(times):
            pieces.fill(count)
            two.run(0, take, ())
    wanted = [times * sum(count > index for count in counts) for index in range(max(counts))]
    assert taken.sum(axis=1).tolist() == wanted

    def goes_to_both() -> bool:
        pieces.fill(max(counts))
        two.run(0, take, ())
        return bool(steps.min())

    assert waits_for(goes_to_both)  # one that is held up leaves them all to the other


def test_one_half_alone_takes_all_pieces() -> None:
    pieces = Pieces()
    for half, order in ((0, [0, 1, 2]), (1, [2, 1, 0])):
        pieces.fill(3)
        assert list(pieces.taken_by(half)) == order
        assert list(pieces.taken_by(1 - half)) == []
        pieces.fill(3)
        assert list(pieces.taken_alone()) == [0, 1, 2]
        assert list(pieces.taken_alone()) == list(pieces.taken_by(half)) == []


def test_pieces_are_taken_again_after_an_interrupt_while_one_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(lock: object) -> int:
        raise KeyboardInterrupt

    pieces = Pieces()
    pieces.fill(2)
    with monkeypatch.context() as patched:
        patched.setattr(partner, "_unlock", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(pieces.taken_by(0))
    monkeypatch.setattr(partner, "HELD", 0.1)
    with pytest.raises(RuntimeError, match="was killed"):
        next(pieces.taken_by(0))
    pieces.fill(2)
    assert list(pieces.taken_by(0)) == [0, 1]
