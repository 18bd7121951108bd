"""Unpacks the files one asks for from a tar.gz, and nothing else it may hold."""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from nnscratch.datasets.download import RemoteFile
from nnscratch.errors import DataError, cause


class _BoundedReader(gzip.GzipFile):
    """A gzip stream that refuses to give more than `limit` bytes: a small archive may expand without end."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path)
        self.left = limit

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(self.left + 1 if size is None or size < 0 else min(size, self.left + 1))
        self.left -= len(block)
        if self.left < 0:
            raise DataError("it expands past its bound")
        return block


def unpack(archive: Path, folder: Path, wanted: Mapping[str, int], bound: int) -> None:
    """Makes `folder` with the wanted files (name: largest size) of a tar.gz, all of them or nothing.

    A file is wanted when it lies as `<folder's name>/<name>` in the archive. The whole archive is refused (DataError)
    when any member would lie outside its folder, is a link or a device, or when it expands past `bound` bytes.
    Written into a temporary folder beside `folder` and renamed, so an interruption leaves no half-unpacked folder.
    """
    temporary = folder.parent / f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        temporary.mkdir(parents=True)
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
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
        tarfile.open(fileobj=stream, mode="r|") as members,
    ):
        for member in members:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
                raise DataError(f"refused: its member {member.name!r} would lie outside its folder")
            if not (member.isfile() or member.isdir()):
                raise DataError(f"refused: its member {member.name!r} is a link or a device")
            if member.issparse():
                raise DataError(f"refused: its member {member.name!r} is a map of a file with holes")
            name = path.name
            if not member.isfile() or path.parts[-2:-1] != (prefix,) or name not in wanted:
                continue
            if member.size > wanted[name]:
                raise DataError(f"its member {member.name!r} has {member.size:,} bytes, not {wanted[name]:,}")
            source = members.extractfile(member)
            if source is None:
                continue
            # The name is one of ours, never the archive's.
            with source, (temporary / name).open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
        while stream.read(1 << 20):  # the checksum of all that was compressed stands at its end
            pass
