"""Both processes get both's numbers, whoever is first; one whose other is gone waits for nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nnscratch.errors import UserError
from nnscratch.nn.compute import partner
from nnscratch.nn.compute.awake_threads import LATE, Patience
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.common_memory import common
from nnscratch.nn.compute.exchange import Exchange
from nnscratch.nn.compute.partner import Partner

pytestmark = [
    pytest.mark.skipif(not partner.is_possible(), reason="this system cannot fork, or is no x86"),
    pytest.mark.usefixtures("every_core"),
]

LARGEST = 600


class Two:
    """Two processes that do the same task, and may tell each other numbers."""

    def __init__(self, task: Callable[[Exchange, int, Sequence[float]], object]) -> None:
        self.exchange, self.task = Exchange(LARGEST), task
        self.start()

    def start(self) -> None:
        self.partner = Partner([self.do], lambda: None, self.exchange)

    def do(self, half: int, numbers: Sequence[float]) -> None:
        self.task(self.exchange, half, numbers)

    def run(self, *numbers: float) -> None:
        self.partner.run(0, self.do, numbers)


def own(half: int, turn: int) -> Array:
    shape = (1 + turn % 7, 1 + turn % 80)
    return np.full(shape, 1000.0 * half + turn)


def test_both_get_the_numbers_of_both_in_the_order_of_the_halves_in_every_turn() -> None:
    wrong = common(2, np.int64)

    def tell(exchange: Exchange, half: int, numbers: Sequence[float]) -> None:
        for turn in range(int(numbers[0]), int(numbers[1])):
            if turn % 50 == 3 * half:
                time.sleep(0.002)  # now this one is late, now the other
            wanted = np.stack([own(0, turn), own(1, turn)])
            wrong[half] += not np.array_equal(exchange.stack(own(half, turn)), wanted)
            wrong[half] += not np.array_equal(exchange.sum(own(half, turn)), wanted.sum(axis=0))

    two = Two(tell)
    for first in range(0, 600, 100):
        two.run(first, first + 100)
    two.partner.end()
    assert wrong.tolist() == [0, 0]


def test_who_waits_for_a_process_that_is_killed_is_told_so() -> None:
    def die(exchange: Exchange, half: int, numbers: Sequence[float]) -> None:
        if half:
            os.kill(os.getpid(), 9)
        exchange.stack(np.zeros(3))

    two = Two(die)
    with pytest.raises(UserError, match="was killed"):
        two.run()
    assert not two.partner.is_alive


@pytest.mark.parametrize("told", [0, 1, 2, 5])
def test_after_an_interrupt_between_two_turns_a_new_process_begins_with_the_first(told: int) -> None:
    seen = common(2, np.float64)

    def interrupted(exchange: Exchange, half: int, numbers: Sequence[float]) -> None:
        for turn in range(int(numbers[0])):
            exchange.stack(np.full(4, turn))
        if half == 0 and numbers[1]:
            raise KeyboardInterrupt
        seen[half] = exchange.sum(np.full(4, 1.0 + half))[0]

    two = Two(interrupted)
    with pytest.raises(KeyboardInterrupt):
        two.run(told, True)
    assert not two.partner.is_alive
    two.start()
    two.run(3, False)
    two.partner.end()
    assert seen.tolist() == [3, 3]


def work(seconds: float) -> None:
    """Uses so much of a core's time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


TIME = 40 * LATE


@pytest.mark.parametrize(
    ("first", "second", "last", "least", "most"),
    [
        (lambda: None, lambda: work(TIME), lambda: None, TIME, np.inf),
        (lambda: None, lambda: time.sleep(TIME), lambda: None, 0, TIME / 2),
        (lambda: work(TIME), lambda: None, lambda: time.sleep(TIME), 0, TIME / 2),
    ],
    ids=["it works for longer", "it gets no core", "it waits for the first, and then gets no core"],
)
def test_when_one_was_waited_for_its_work_is_what_it_did_without_waiting_itself(
    first: Callable[[], object],
    second: Callable[[], object],
    last: Callable[[], object],
    least: float,
    most: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[tuple[float, float]] = []
    monkeypatch.setattr(Patience, "judge", lambda self, waited, worked, held_up: judged.append((waited, worked)))

    def tell(exchange: Exchange, half: int, numbers: Sequence[float]) -> None:
        (second if half else first)()
        exchange.stack(np.zeros(3))
        if half:
            last()

    two = Two(tell)
    two.run()
    two.partner.end()
    ((waited, worked),) = judged
    assert waited > TIME / 2
    assert least <= worked <= most


def test_nobody_who_has_it_keeps_the_other_process() -> None:
    two = Two(lambda exchange, half, numbers: exchange.stack(np.zeros(1)))
    two.run()
    exchange = two.exchange
    pid = two.partner._pid
    del two
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert exchange.size == 2
