"""Where a study is kept, a journal file or PostgreSQL, and the mutex that every decision about its trials is made in.

Optuna's storages make single writes atomic. "Look which trial is free, and take it" is more than one; so it happens
while holding a lock that the system takes back when its holder dies, however it dies.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from zlib import crc32

from nnscratch.errors import UsageError, UserError
from nnscratch.host.machine import without_password

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy import Engine

Mutex = Callable[[], AbstractContextManager[None]]
LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class SharedStorage:
    """Optuna's storage, the mutex that goes with it, and how to call it in messages."""

    storage: BaseStorage
    mutex: Mutex
    label: str


def open_storage(url: str | None, folder: Path, name: str) -> SharedStorage:
    """The storage at `url`: postgresql://..., the path of a journal file, or left out study.journal in `folder`.

    Raises UserError when it cannot be reached or used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        return _open_journal(folder / "study.journal")
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _open_journal(Path(url))
    if re.fullmatch(r"postgres(ql)?(\+\w+)?", scheme):
        return _open_postgresql(url, name)
    raise UsageError(
        f"--storage {without_password(url)}: {scheme} is not supported",
        "use postgresql://user@host/database, or the path of a journal file that all machines share",
    )


def _open_journal(path: Path) -> SharedStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mutex = file_mutex(path.with_name(path.name + ".mutex"))
        with mutex():
            drop_torn_line(path)
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))  # type: ignore[arg-type]
    except OSError as error:
        raise UserError(f"cannot use the journal {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{path} is damaged or not a journal of a sweep: {error}") from None
    return SharedStorage(storage, mutex, str(path))


def file_mutex(path: Path) -> Mutex:
    """Exclusive between processes, threads and, on file systems that support it, machines."""

    @contextmanager
    def hold() -> Iterator[None]:
        with path.open("ab") as file:  # a handle of its own: locks of one process exclude each other, too
            _lock(file)
            yield

    return hold


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError:  # pragma: no cover  (Windows)
        import msvcrt

        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined, unused-ignore]
                return
            except OSError:
                time.sleep(0.05)
    fcntl.flock(file, fcntl.LOCK_EX)


class _JournalLock:
    """Optuna's lock around an append, in place of its own, which stays behind for 30 s when its holder is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hold = file_mutex(path.with_name(path.name + ".append"))
        self._held = threading.local()

    def acquire(self) -> bool:
        self._held.context = self._hold()
        self._held.context.__enter__()
        drop_torn_line(self._path)
        return True

    def release(self) -> None:
        self._held.context.__exit__(None, None, None)


def drop_torn_line(path: Path) -> None:
    """Cuts off a last line without its end, which a crash left half written: the next append would spoil it."""
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
            start = max(0, size - 1024 * 1024)
            file.seek(start)
            file.truncate(start + file.read().rfind(b"\n") + 1)
    except FileNotFoundError:
        return


def _open_postgresql(url: str, name: str) -> SharedStorage:
    shown = without_password(url)
    # SQLAlchemy's default driver has changed over time; this is the one that is installed with nnscratch[postgresql].
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", url)
    try:
        import psycopg2  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise UsageError(
            f"--storage {shown} needs psycopg2", "install it: pip install 'nnscratch[postgresql]'"
        ) from None
    import sqlalchemy
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage

    engine_settings = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 15}}
    try:
        engine = sqlalchemy.create_engine(url, isolation_level="READ COMMITTED", **engine_settings)
        # One lock for all sweeps while the tables are made: two processes at once would collide.
        with advisory_mutex(engine, "tables")():
            storage = RDBStorage(url, engine_kwargs=engine_settings)
    except (sqlalchemy.exc.SQLAlchemyError, OptunaError, RuntimeError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(
            f"cannot use the database {shown}: {reason}", "is it running, and may you write to it?"
        ) from None
    return SharedStorage(storage, advisory_mutex(engine, name), shown)


def advisory_mutex(engine: Engine, name: str) -> Mutex:
    """PostgreSQL's own lock, held by an open transaction: it ends with the connection."""
    import sqlalchemy

    key = crc32(f"nnscratch sweep {name}".encode())
    take = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")

    @contextmanager
    def hold() -> Iterator[None]:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"SET LOCAL lock_timeout = '{int(LOCK_SECONDS)}s'"))
            connection.execute(take, {"key": key})
            yield

    return hold
