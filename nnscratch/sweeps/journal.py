"""A study in a file, an entry of Optuna's log per line, which a crash may cut off and several processes append to."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnscratch.errors import UserError, cause
from nnscratch.files import take_lock

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

Mutex = Callable[[], AbstractContextManager[None]]

BEGINNING = b'{"op_code":'
"""What every journal begins with."""
PIECE = 4096
"""Bytes that are looked through at once for the end of a line."""


def open_journal(path: Path) -> tuple[BaseStorage, Mutex]:
    """The storage in a file, which is made when it is not there, and its mutex.

    Raises UserError; a file that is no journal is left as it is, with nothing beside it.
    """
    from optuna.storages import JournalStorage

    file = JournalFile(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        file.refuse_what_is_none()
        mutex = file_mutex(path.with_name(path.name + ".mutex"))
        with mutex():
            return JournalStorage(file), mutex  # type: ignore[arg-type]  # a JournalFile has all that is called
    except OSError as error:
        raise UserError(f"cannot use the journal {path}: {cause(error)}") from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise file.damaged() from None


class JournalFile:
    """Optuna's journal backend: reads from where it was, appends whole lines, and knows which line it is at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hold = file_mutex(path.with_name(path.name + ".append"))
        self._line, self._offset = 0, 0
        """How many whole lines were read, and where the next begins."""

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from that number on. Raises UserError at a line that is none."""
        if log_number_from != self._line:
            self._line, self._offset = 0, 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # not yet written to its end, or cut off: the next append drops it
                self._line, self._offset = self._line + 1, self._offset + len(line)
                if self._line > log_number_from:
                    yield self._entry(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds entries, and what is left of a line that a crash cut off goes."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._hold():
            drop_torn_line(self._path)
            try:
                with self._path.open("ab") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:  # of a full disk the system does not say which
                raise OSError(error.errno, error.strerror, str(self._path)) from None

    def refuse_what_is_none(self) -> None:
        """Raises UserError when the file holds something else: its last line would be taken for a torn one, and cut."""
        with self._path.open("rb") as file:
            beginning = file.read(len(BEGINNING))
        if not BEGINNING.startswith(beginning):
            self._line = 1
            raise self.damaged()

    def damaged(self) -> UserError:
        """That the line which was read last is no entry."""
        return UserError(
            f"{self._path}:{self._line} is damaged, or the file is not a journal of a sweep",
            "bring the file back from a copy, or start anew under another --name",
        )

    def _entry(self, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise self.damaged() from None
        if not isinstance(entry, dict) or not isinstance(entry.get("op_code"), int):
            raise self.damaged()
        return entry


def drop_torn_line(path: Path) -> None:
    """Cuts off a last line without its end, which a crash left half written: the next append would spoil it."""
    try:
        with path.open("rb+") as file:
            start = end = size = file.seek(0, os.SEEK_END)
            while start > 0 and end == start:
                start = max(0, end - PIECE)
                file.seek(start)
                end = start + file.read(end - start).rfind(b"\n") + 1
            if end < size:
                file.truncate(end)
    except FileNotFoundError:
        return


def file_mutex(path: Path) -> Mutex:
    """Exclusive between processes, threads and, on file systems that support it, machines."""

    @contextmanager
    def hold() -> Iterator[None]:
        with path.open("ab") as file:  # a handle of its own: locks of one process exclude each other, too
            if take_lock(file.fileno(), wait=True) is None:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(path))
            yield

    return hold
