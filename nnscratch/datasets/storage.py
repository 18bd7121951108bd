"""Where the rows of one's own data are: in memory, or, when that would be too much, in a file that is mapped.

What is decoded once (pictures, compressed arrays) lies in `cache/` of the data folder as plain bytes, which the
operating system loads page by page and drops again when memory is short. It is keyed by what it was made from, appears
whole or not at all, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from nnscratch.datasets.dataset import Array, Report
from nnscratch.datasets.memory import available_memory
from nnscratch.datasets.unfinished import remove_leftovers, unfinished
from nnscratch.errors import DataError, cause
from nnscratch.files import open_to_append, open_without_following, take_lock

FORMAT = "rows 2"
"""Changes with what a cache holds: an older one is then not read."""
SHARE_OF_MEMORY = 0.5
"""Of the memory that this process can still get, which rows may take before they are mapped."""
LARGEST_TOLD = 64 << 20
"""Bytes of what is told of a cache."""
Fill = Callable[[Array], Mapping[str, Any]]
"""Writes rows into an array and gives what was found on the way, in plain values; `rows` is how many there are."""


@dataclass(frozen=True)
class Storage:
    """Where rows are put; `in_memory` is None for what fits into SHARE_OF_MEMORY."""

    in_memory: bool | None
    folder: Path
    """Of the caches."""
    keep: bool
    """Whether a cache that is missing is kept for the next time."""
    report: Report
    source: Path | None = None
    """What the rows are made from: with it a cache goes, when the next one is written."""

    def maps(self, nbytes: int) -> bool:
        """Whether so many bytes are mapped."""
        return nbytes > SHARE_OF_MEMORY * available_memory() if self.in_memory is None else not self.in_memory

    def rows(self, shape: tuple[int, ...], dtype: Any, made_from: str, fill: Fill) -> tuple[Array, Mapping[str, Any]]:
        """An array of at most shape[0] rows that `fill` has written, now or once before, and what it found.

        `made_from` says everything that the rows depend on. Raises whatever `fill` raises, OSError for a full disk.
        """
        nbytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        if not self.maps(nbytes):
            array = np.empty(shape, dtype)
            found = fill(array)
            return array[: found["rows"]], found
        key = hashlib.sha256(f"{FORMAT};{shape};{np.dtype(dtype).str};{made_from}".encode("utf-8", "surrogatepass"))
        name = key.hexdigest()[:32]
        about, bytes_file = self.folder / f"{name}.json", self.folder / f"{name}.rows"
        if (cached := _cached(about, bytes_file, shape, dtype)) is not None:
            self.report(f"rows decoded before are mapped from {bytes_file}")
            return cached
        if not self.keep:
            with tempfile.TemporaryFile() as file:  # gone with the process, and with no name before
                found = _fill(file, shape, dtype, nbytes, fill)
                return _mapped(file, shape, dtype, found["rows"]), found
        self.folder.mkdir(parents=True, exist_ok=True)
        with _lock(self.folder / f"{name}.writing", self.report):
            if (cached := _cached(about, bytes_file, shape, dtype)) is not None:
                return cached
            self.report(f"{nbytes / 1e6:,.1f} MB of decoded rows are put into {bytes_file}, to be mapped, not loaded")
            with unfinished(bytes_file) as part:
                with part.open("w+b") as file:
                    found = _fill(file, shape, dtype, nbytes, fill)
                    os.fsync(file.fileno())
                os.replace(part, bytes_file)  # Windows moves no file that is mapped
            with open_without_following(bytes_file) as file:
                array = _mapped(file, shape, dtype, found["rows"])
            source = {} if self.source is None else {"source": str(self.source.resolve())}
            told = json.loads(json.dumps({**found, **source}))
            with unfinished(about) as half:
                half.write_text(json.dumps({**told, "digest": _digest(told)}), "utf-8")
                os.replace(half, about)
        self._remove_orphans()
        return array, found

    def _remove_orphans(self) -> None:
        """Removes caches whose source is gone, and what killed processes left; who has one mapped keeps it."""
        remove_leftovers(self.folder)
        for about in self.folder.glob("*.json"):
            with suppress(OSError, ValueError):
                source = _told(about).get("source")
                if isinstance(source, str) and not Path(source).exists():
                    rows = about.with_suffix(".rows")
                    size = rows.stat().st_size
                    for file in (about, rows, about.with_suffix(".writing")):
                        file.unlink(missing_ok=True)
                    self.report(f"{size / 1e6:,.1f} MB of decoded rows are removed, as {source} is gone")


def cached_rows(folder: Path) -> tuple[int, int]:
    """How many caches lie in a folder, and their bytes."""
    sizes = [file.stat().st_size for file in folder.glob("*.rows") if file.is_file()]
    return len(sizes), sum(sizes)


def _fill(file: IO[bytes], shape: tuple[int, ...], dtype: Any, nbytes: int, fill: Fill) -> Mapping[str, Any]:
    try:
        _allocate(file, nbytes)
    except OSError as error:
        raise DataError(
            f"{file.name}: no room for {nbytes:,} bytes of decoded rows: {cause(error)}",
            "free some space, or set --data-dir to a folder that has it",
        ) from error
    writable = mmap.mmap(file.fileno(), nbytes)
    found = fill(np.frombuffer(writable, dtype).reshape(shape))
    writable.flush()
    with suppress(BufferError):  # somebody holds the array
        writable.close()
    return found


def _allocate(file: IO[bytes], nbytes: int) -> None:
    """Room on the disk now: a write through a mapping that finds none would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, nbytes)
    else:
        file.truncate(nbytes)


def _mapped(file: IO[bytes], shape: tuple[int, ...], dtype: Any, rows: int) -> Array:
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(whole, dtype, count=int(np.prod(shape, dtype=object))).reshape(shape)[:rows]


def _cached(
    about: Path, bytes_file: Path, shape: tuple[int, ...], dtype: Any
) -> tuple[Array, Mapping[str, Any]] | None:
    """The rows and what was found, when both files are there and whole."""
    with suppress(OSError, ValueError), open_without_following(bytes_file) as file:
        found = _told(about)
        if isinstance(rows := found.get("rows"), int) and 0 <= rows <= shape[0]:
            return _mapped(file, shape, dtype, rows), found
    return None


def _told(about: Path) -> dict[str, Any]:
    """What was found when a cache was made, as it was written then; ValueError for anything else."""
    with open_without_following(about) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_TOLD:
            raise ValueError("too large")
        text = file.read()
    try:
        told = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(told, dict) or told.pop("digest", None) != _digest(told):
        raise ValueError("damaged")
    return told


def _digest(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@contextmanager
def _lock(path: Path, report: Report) -> Iterator[None]:
    """Inside, no other process makes the same cache; where a file system knows no locks, both make it."""
    with open_to_append(path) as file:
        if take_lock(file.fileno()) is False:
            report("another process is decoding the same data; waiting for it")
            take_lock(file.fileno(), wait=True)
        yield
