"""A run as those processes have it that only take part in its training: read like any other, never written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from nnscratch.nn.compute.communicator import Communicator
from nnscratch.runs.directory import RunDirectory


class UnwrittenRun(RunDirectory):
    """Rank 0 writes the run; whatever the others would write goes nowhere."""

    is_written: ClassVar[bool] = False

    def discard(self) -> None:
        """Nothing: it is not this process's."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing is held: rank 0 holds the run."""
        yield

    def place(self, name: str) -> Path:
        raise AssertionError(f"a process that only takes part is to write {name}")

    def remove_leftovers(self) -> None:
        """Nothing is removed."""

    def write_bytes(self, name: str, contents: bytes) -> None:
        """Nothing is written."""

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Nothing is written."""

    def keep_copy_of_last(self, updates: int, keep: int) -> None:
        """Nothing is kept."""


def create_run(runs_dir: Path, name: str, communicator: Communicator) -> RunDirectory:
    """The folder of a new run of all these processes, which rank 0 makes; they wait for it."""
    run = RunDirectory.create(runs_dir, name) if communicator.rank == 0 else None
    path = communicator.first_text(None if run is None else str(run.path))
    return run or UnwrittenRun(Path(path or ""))
