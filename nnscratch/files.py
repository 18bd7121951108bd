"""Files that are written whole or not at all, that are opened and never what a link in their place names, and locks."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from pathlib import Path
from typing import IO

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags of os.open that refuse a link, and that wait for nobody at a pipe."""
HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
"""What a system says of a lock that another process has."""


def write_atomically(path: Path, contents: bytes | str) -> None:
    """Puts `contents` at `path`, as `replace_file` does; the folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, contents)


def replace_file(path: Path, contents: bytes | str) -> None:
    """Puts `contents` at `path`: readers see the old file or the whole new one, also after a crash.

    The folder must be there; what stands at `path`, a file or a link, is replaced. Text is written as UTF-8; what is
    none, as a byte of a path may be, as `\\udcff`. An OSError names `path`.
    """
    if isinstance(contents, str):
        contents = contents.encode("utf-8", "backslashreplace")
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)  # a full disk names no file, and nobody knows the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """A name that nothing has yet, in the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def open_to_append(path: Path) -> IO[bytes]:
    """The file, unbuffered, made when it is not there. Raises OSError; also for a link, a pipe or a device."""
    return open(path, "ab", buffering=0, opener=_open_file)


def open_own_to_append(path: Path) -> IO[bytes]:
    """The same for a file that has no other name: one with others, in a copied folder or outside, stays as it is there.

    A copy takes its place. A lock must not be opened so: who holds it holds the file.
    """
    file = open_to_append(path)
    if os.fstat(file.fileno()).st_nlink < 2:
        return file
    file.close()
    with open_without_following(path) as linked:
        replace_file(path, linked.read())
    return open_to_append(path)


def open_without_following(path: Path) -> IO[bytes]:
    """The file to read, which must be there. Raises OSError; also for a link, a pipe or a device."""
    return open(path, "rb", opener=_open_file)


def _open_file(path: str, flags: int) -> int:
    handle = os.open(path, flags | NO_LINK, 0o666)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "is no ordinary file", path)


def take_lock(handle: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Takes the lock of an open file, which ends with the process; None where a file system knows no locks.

    False when another process has it, unless that is waited for. Many may have a shared one at once: who only looks is
    in nobody's way who looks, too.
    """
    while True:
        try:
            if sys.platform == "win32":
                import msvcrt

                os.lseek(handle, 0, os.SEEK_SET)
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            return True
        except OSError as error:
            if error.errno not in HELD:
                return None
        if not wait:
            return False
        time.sleep(0.05)  # Windows
