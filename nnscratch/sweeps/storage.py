"""Where a study is kept, a journal file or PostgreSQL, and the mutex that every decision about its trials is made in.

Optuna's storages make single writes atomic. "Look which trial is free, and take it" is more than one; so it happens
while holding a lock that the system takes back when its holder dies, however it dies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zlib import crc32

from nnscratch.errors import UsageError, UserError, without_password
from nnscratch.host.trouble import reason
from nnscratch.sweeps.journal import Mutex, open_journal

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy import Engine

LOCK_SECONDS = 120.0
CONNECTION_STRING = (
    r"^postgres(ql)?(\+\w+)?:|:.*@|"
    r"(^|[\s;])(host|hostaddr|server|port|dbname|database|user|uid|pwd|pass(word|wd|phrase)?|service|passfile)\s*="
)
"""What is no path, but a database said in other words than a URL: user:password@host, password=... host=..."""


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
        return _in_journal(folder / "study.journal")
    scheme, separator, _ = url.partition("://")
    if not separator and not re.search(CONNECTION_STRING, url, re.IGNORECASE):
        return _in_journal(Path(url))
    if not separator or not _is_well_formed(url):
        # Nothing of it is shown: who can tell where a password begins and ends?
        raise UsageError(
            "--storage: this is neither a URL nor the path of a journal file",
            "write postgresql://user:password@host/database, with %40 for @, %2F for /, %3A for :, %23 for # and %3F "
            "for ? in the password; better, leave it out and put it into ~/.pgpass",
        )
    if re.fullmatch(r"postgres(ql)?(\+\w+)?", scheme):
        return _open_postgresql(url, name)
    raise UsageError(
        f"--storage {scheme}://...: this is not supported",
        "use postgresql://user@host/database, or the path of a journal file that all machines share",
    )


def _is_well_formed(url: str) -> bool:
    """Whether it is clear where the password of a URL ends: else its rest would be taken for a host, and shown."""
    if re.search(r"[\s\x00-\x1f]|%00", url) or not re.match(r"[A-Za-z][\w+.-]*://", url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return False
    rest = f"{parts.path}?{parts.query}"
    return parts.netloc.count("@") <= 1 and not parts.fragment and not re.search(r"[@;]", rest)


def _in_journal(path: Path) -> SharedStorage:
    storage, mutex = open_journal(path)
    return SharedStorage(storage, mutex, str(path))


def _open_postgresql(url: str, name: str) -> SharedStorage:
    shown = without_password(url)
    # SQLAlchemy's default driver has changed over time; this is the one that is installed with nnscratch[postgresql].
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", url)
    try:
        import psycopg2  # type: ignore[import-untyped]  # noqa: F401  an extra: only whether it is there
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
    except (sqlalchemy.exc.SQLAlchemyError, OptunaError, RuntimeError, ValueError, ImportError) as error:
        raise UserError(
            f"cannot use the database {shown}: {reason(error)}", "is it running, and may you write to it?"
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
