"""Unpacks the files one asks for from a tar.gz, and nothing else it may hold."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Self

from nnscratch.datasets.download import RemoteFile
from nnscratch.datasets.unfinished import remove_leftovers, unfinished
from nnscratch.errors import DataError, cause

LONGEST_HEADER = 1 << 20
"""Bytes before a member's data: names that do not fit are headers of their own. Maps of holes need not end."""
LONGEST_SEARCH = (1 << 15) ** 2
"""Steps, at most as many as the square of its bytes, that tarfile searches extended headers for (CVE-2024-6232)."""
MOST_MEMBERS = 10_000


class _BoundedReader(gzip.GzipFile):
    """A gzip stream that refuses to give more than `limit` bytes: a small archive may expand without end."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path)
        self.left = limit
        self.left_of_header: int | None = LONGEST_HEADER
        """None: what is read now is no header."""

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(self.left + 1 if size is None or size < 0 else min(size, self.left + 1))
        self.left -= len(block)
        if self.left < 0:
            raise DataError("it expands past its bound")
        if self.left_of_header is not None:
            self.left_of_header -= len(block)
            if self.left_of_header < 0:
                raise DataError(f"refused: what stands before one of its members has over {LONGEST_HEADER:,} bytes")
        return block


def unpack(archive: Path, folder: Path, wanted: Mapping[str, int], bound: int) -> None:
    """Makes `folder` with the wanted files (name: largest size) of a tar.gz, all of them or nothing.

    A file is wanted when it lies as `<folder's name>/<name>` in the archive. The whole archive is refused (DataError)
    when any member would lie outside its folder, is a link or a device, or when it expands past `bound` bytes.
    Written into a temporary folder beside `folder` and renamed, so an interruption leaves no half-unpacked folder.
    """
    remove_leftovers(folder.parent, folder.name)
    try:
        with unfinished(folder, folder=True) as temporary:
            _extract(archive, temporary, folder.name, wanted, bound)
            missing = [name for name in wanted if not (temporary / name).exists()]
            if missing:
                raise DataError(f"it lacks {', '.join(f'{folder.name}/{name}' for name in missing)}")
            try:
                temporary.rename(folder)
            except OSError:
                # Another process was faster: its folder is as good as ours.
                if not folder.is_dir():
                    raise
    except DataError as error:
        raise DataError(f"{archive}: {error.message}", "remove the archive, or unpack a good one by hand") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{archive}: damaged or cut short: {error}", "remove it so that it is fetched again, or replace it"
        ) from error
    except OSError as error:
        raise DataError(f"cannot unpack {archive} into {folder.parent}: {cause(error)}") from error
    # A hostile archive, with chains of long names or maps without an end, can fail in tarfile in any way.
    except Exception as error:
        raise DataError(f"{archive}: damaged: {type(error).__name__}: {error}"[:300], "replace it") from error


def require_official(archive: Path, official: RemoteFile) -> None:
    """Raises DataError when a file is as long as the publisher's but not the same: some of its bits have changed.

    One of another length was packed by somebody else; what it holds is checked when it is unpacked and read.
    """
    if archive.stat().st_size != official.size:
        return
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != official.sha256:
        raise DataError(
            f"{archive}: damaged: sha256 {digest}, not the publisher's {official.sha256}",
            "remove it so that it is fetched again, or replace it",
        )


def _extract(archive: Path, temporary: Path, prefix: str, wanted: Mapping[str, int], bound: int) -> None:
    with (
        _BoundedReader(archive, bound) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_bounded_member()) as members,
    ):
        for member in _headers(members, stream):
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
                raise DataError(f"refused: its member {member.name!r} would lie outside its folder")
            if not (member.isfile() or member.isdir()):
                raise DataError(f"refused: its member {member.name!r} is a link or a device")
            if member.issparse():
                raise DataError(f"refused: its member {member.name!r} is a map of a file with holes")
            source = members.extractfile(member)
            if source is None:
                continue
            name = path.name
            if path.parts[-2:-1] != (prefix,) or name not in wanted:
                while source.read(1 << 20):  # past its data, so that nothing but a header is read next
                    pass
                continue
            if member.size > wanted[name]:
                raise DataError(f"its member {member.name!r} has {member.size:,} bytes, not {wanted[name]:,}")
            # The name is one of ours, never the archive's.
            if (temporary / name).exists():
                raise DataError(f"refused: {prefix}/{name} is in it twice")
            with source, (temporary / name).open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
        while stream.read(1 << 20):  # the checksum of all that was compressed stands at its end
            pass


def _bounded_member() -> type[tarfile.TarInfo]:
    """What reads the headers of one archive, and refuses those that would keep it busy."""

    class Member(tarfile.TarInfo):
        steps = 0

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            found = super().frombuf(buf, encoding, errors)
            if found.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
                cls.steps += found.size**2
                if cls.steps > LONGEST_SEARCH:
                    raise DataError(f"refused: its extended headers are too long, one has {found.size:,} bytes")
            return found

    return Member


def _headers(archive: tarfile.TarFile, stream: _BoundedReader) -> Iterator[tarfile.TarInfo]:
    """The members, each before its data, which whoever takes it must read."""
    for number in count():
        stream.left_of_header = LONGEST_HEADER
        member = archive.next()
        stream.left_of_header = None
        if member is None:
            return
        if number == MOST_MEMBERS:
            raise DataError(f"refused: it has more than {MOST_MEMBERS:,} members")
        yield member
