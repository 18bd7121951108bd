"""Opening a file to add to its end: that very file, and never what a link in its place names."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags of os.open that refuse a link, and that wait for nobody at a pipe."""


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
    with open_without_following(path) as linked, NamedTemporaryFile(dir=path.parent, delete=False) as copy:
        shutil.copyfileobj(linked, copy)
    os.replace(copy.name, path)
    return open_to_append(path)


def open_without_following(path: Path) -> IO[bytes]:
    """The file to read, which must be there. Raises OSError; also for a link, a pipe or a device."""
    return open(path, "rb", opener=_open_file)


def _open_file(path: str, flags: int) -> int:
    handle = os.open(path, flags | NO_LINK, 0o666)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(f"{path} is no file")
