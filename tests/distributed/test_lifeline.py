"""The line between two processes, without MPI: a pair of threads."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from nnscratch.distributed import lifeline
from nnscratch.distributed.lifeline import Failure, Lifeline
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import Communicator


class Thread(Communicator):
    """One of two that tell each other everything through a list."""

    def __init__(self, rank: int, told: dict[int, Array], met: threading.Barrier) -> None:
        self.rank, self.size = rank, 2
        self._told, self._met = told, met

    def stack(self, values: Array) -> Array:
        self._told[self.rank] = values.copy()
        self._met.wait(20)
        together = np.stack([self._told[0], self._told[1]])
        self._met.wait(20)
        time.sleep(0.1 if self.rank == 0 else 0.0)  # so that what rank 1 sends is there first
        return together

    def all_gather(self, vector: Array, borders: Sequence[int]) -> None:
        for rank, part in enumerate(self.stack(vector)):
            vector[borders[rank] : borders[rank + 1]] = part[borders[rank] : borders[rank + 1]]


def test_who_leaves_the_moment_it_has_come_is_known_and_has_said_goodbye() -> None:
    told: dict[int, Array] = {}
    met = threading.Barrier(2)
    failures: list[Failure] = []
    lines: dict[int, Lifeline] = {}

    def come(rank: int) -> None:
        lines[rank] = Lifeline(Thread(rank, told, met), failures.append)
        if rank == 1:
            lines[rank].say_goodbye()

    threads = [threading.Thread(target=come, args=(rank,)) for rank in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lines[0].say_goodbye()
    lines[0].watch()
    assert lines[0].wait_for_others(20)
    assert failures == []
    for line in [*lines[0]._lines, *lines[1]._lines]:
        line.close()


def test_strangers_who_call_first_and_say_nothing_or_nonsense_keep_nobody_from_meeting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifeline, "GREETING_SECONDS", 0.2)
    strangers: list[socket.socket] = []
    create_server = socket.create_server

    def create_and_be_called(address: tuple[str, int], backlog: int) -> socket.socket:
        assert address[0] == "127.0.0.1", "on one machine nobody else is to reach it"
        server = create_server(address, backlog=backlog + 2)
        for words in (b"", '{"token": "ä", "rank": 1}\n'.encode()):
            stranger = socket.create_connection(server.getsockname())
            stranger.sendall(words)
            strangers.append(stranger)
        return server

    monkeypatch.setattr(socket, "create_server", create_and_be_called)
    told: dict[int, Array] = {}
    met = threading.Barrier(2)
    lines: dict[int, Lifeline] = {}
    threads = [
        threading.Thread(target=lambda rank=rank: lines.update({rank: Lifeline(Thread(rank, told, met), print)}))
        for rank in (1, 0)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(lines) == [0, 1]
    for line in [*strangers, *lines[0]._lines, *lines[1]._lines]:
        line.close()
