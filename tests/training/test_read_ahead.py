"""Rows of a mapped file are asked for while they must be read, and no longer."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from nnscratch.training import read_ahead
from nnscratch.training.read_ahead import ReadAhead

SIZE = mmap.PAGESIZE


class Watched(mmap.mmap):
    """A mapped file that keeps what it was asked for."""

    asked: list[tuple[int, ...]]

    def madvise(self, *given: int) -> None:
        self.asked.append(given)
        super().madvise(*given)


@pytest.fixture
def mapped(tmp_path: Path) -> Watched:
    (tmp_path / "rows").write_bytes(bytes(8 * SIZE))
    with (tmp_path / "rows").open("rb") as file:
        watched = Watched(file.fileno(), 0, access=mmap.ACCESS_READ)
    watched.asked = []
    return watched


def test_the_pages_of_rows_are_asked_for_as_long_as_the_disk_is_read(
    mapped: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = iter([0, 5, 9, 9, 9])
    monkeypatch.setattr(read_ahead, "_blocks_read", lambda: next(blocks))
    rows = np.frombuffer(mapped, np.uint8).reshape(16, SIZE // 2)[4:]  # a split begins after two pages
    ahead = ReadAhead(rows)
    ahead.ask(np.array([0, 3]))
    assert mapped.asked == [(mmap.MADV_RANDOM,)]  # something was read: from now on
    ahead.ask(np.array([0, 3]))
    assert mapped.asked[1:] == [
        (mmap.MADV_WILLNEED, 2 * SIZE, SIZE // 2),
        (mmap.MADV_WILLNEED, 3 * SIZE, SIZE),
    ]
    ahead.ask(np.array([1]))
    assert mapped.asked[3:] == [(mmap.MADV_WILLNEED, 2 * SIZE, SIZE)]
    ahead.ask(np.array([1]))  # all was in memory
    assert len(mapped.asked) == 4


def test_an_array_in_memory_is_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "_blocks_read", lambda: pytest.fail("looked at"))
    ReadAhead(np.zeros((3, 4), np.uint8)[1:]).ask(np.array([0]))
