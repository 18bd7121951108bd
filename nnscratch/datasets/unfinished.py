"""Files and folders that are being written, under names of their own; what a killed process left of them goes.

The system takes a lock back when its holder dies, however it dies: an unfinished file that nobody holds is nobody's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from nnscratch.files import NO_LINK, take_lock

SUFFIX = ".part"
LONG = 60.0
"""Seconds without a change, after which nobody is at it, where a file system knows no locks."""


@contextmanager
def unfinished(target: Path, folder: bool = False) -> Iterator[Path]:
    """An empty file, or folder, beside `target` to be filled and renamed; it is gone in the end if it was not.

    No two processes that make one target write into each other's.
    """
    handle = None
    try:
        while True:
            path = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}")
            if folder:
                path.mkdir(parents=True)
            else:
                path.touch(exist_ok=False)
            with suppress(BlockingIOError, FileNotFoundError):  # taken for a leftover before it was locked
                handle = _locked(path)
                if path.exists():
                    break
                _close(handle)
                handle = None
        yield path
    finally:
        if folder:
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        _close(handle)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Deletes what processes that live no more left there, of the target of that name or of any."""
    for path in folder.glob(f".{'*' if name is None else escape(name)}.*-*{SUFFIX}"):
        with suppress(OSError):
            handle = _locked(path)
            try:
                if handle is None and time.time() - path.stat().st_mtime < LONG:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            finally:
                _close(handle)


def _locked(path: Path) -> int | None:
    """The handle that holds it; None where the system has no locks. Raises BlockingIOError when another holds it."""
    if sys.platform == "win32":  # what is locked there nobody writes
        return None
    handle = os.open(path, os.O_RDONLY | NO_LINK)
    held = take_lock(handle)
    if held:
        return handle
    os.close(handle)
    if held is False:
        raise BlockingIOError
    return None


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)
