"""Verified downloads: a file appears under its name only when every byte of it is right.

urllib rather than pooch: pooch verifies and renames as we do, but knows one address per file, retries without telling
a cut transfer from a missing file, and cannot bound a server that dribbles bytes. What follows can.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from nnscratch.datasets.unfinished import remove_leftovers, unfinished
from nnscratch.errors import DataError, cause, without_password
from nnscratch.version import VERSION

Progress = Callable[[str, int, int], None]
"""Called with (file name, bytes done, bytes in all) as a download grows."""

MIRROR_VARIABLE = "NNSCRATCH_MIRROR"


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: its name, the addresses that serve it (tried in order), its exact size and SHA-256."""

    name: str
    addresses: tuple[str, ...]
    size: int
    sha256: str


@dataclass(frozen=True)
class Patience:
    """How long a download may take before it is given up."""

    attempts: int = 3  # per address, when the fault may pass (cut transfer, 5xx, time-out)
    timeout: float = 20.0  # seconds without a byte
    backoff: float = 1.0  # seconds before the second attempt, doubled each time
    slowest: float = 10_000.0  # bytes per second that a server must keep, or catch up with within the time-out


class _Failure(Exception):
    """One attempt at one address failed; `passing` says whether another attempt may succeed."""

    def __init__(self, reason: str, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


def fetch(
    files: Sequence[RemoteFile],
    folder: Path,
    report: Callable[[str], None],
    progress: Progress | None = None,
    patience: Patience | None = None,
    hint: str | None = None,
) -> None:
    """Puts the files that are missing into `folder`, verified; files that are there already are left alone.

    The environment variable NNSCRATCH_MIRROR (base addresses, separated by spaces) is tried first.
    Raises DataError when no address delivers: it names the files, the folder, and why each address failed.
    """
    for file in files:
        remove_leftovers(folder, file.name)
    missing = [file for file in files if not (folder / file.name).exists()]
    if not missing:
        return
    try:
        _require_writable(folder)
        for file in missing:
            report(f"downloading {file.name} ({file.size / 1e6:,.1f} MB) into {folder}")
            failures = _fetch_one(file, folder, report, progress, patience or Patience())
            if failures:
                wanted = "\n".join(f"  {each.name}  ({each.size:,} bytes, sha256 {each.sha256})" for each in missing)
                tried = "\n".join(f"  {address}: {reason}" for address, reason in failures)
                raise DataError(
                    f"cannot download {file.name}:\n{tried}\nput these files into {folder} by hand:\n{wanted}", hint
                )
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {cause(error)}", hint) from error


def _require_writable(folder: Path) -> None:
    """Raises OSError when the folder cannot be made or written to; makes nothing."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file")
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, f"{folder} may not be written to")


def addresses(file: RemoteFile) -> tuple[str, ...]:
    """Where a file is looked for: the user's mirrors first, then the file's own addresses."""
    mirrors = os.environ.get(MIRROR_VARIABLE, "").split()
    return (*(f"{mirror.rstrip('/')}/{file.name}" for mirror in mirrors), *file.addresses)


def _fetch_one(
    file: RemoteFile, folder: Path, report: Callable[[str], None], progress: Progress | None, patience: Patience
) -> list[tuple[str, str]]:
    """Why each address failed; empty when the file has arrived."""
    failures: list[tuple[str, str]] = []
    for address in addresses(file):
        shown = without_password(address if "://" in address else f"//{address}").removeprefix("//")
        for attempt in range(patience.attempts):
            try:
                _transfer(file, address, folder, progress, patience)
            except _Failure as failure:
                last = attempt + 1 == patience.attempts or not failure.passing
                if last:
                    report(f"{shown}: {failure}")
                    failures.append((shown, str(failure)))
                    break
                pause = patience.backoff * 2**attempt
                report(f"{shown}: {failure}; trying again in {pause:g} s")
                time.sleep(pause)
            else:
                return []
    return failures


def _transfer(file: RemoteFile, address: str, folder: Path, progress: Progress | None, patience: Patience) -> None:
    """One attempt: the file in its place, or a _Failure and nothing."""
    if not address.lower().startswith(("http://", "https://")):
        raise _Failure("not an http or https address", passing=False)
    if "@" in address.split("/")[2]:
        raise _Failure("names and passwords are not sent: give a mirror that asks for none", passing=False)
    blocks = _blocks(file, address, patience)
    first = next(blocks, b"")  # before anything is created: an address that does not answer leaves no empty folders
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished(folder / file.name) as temporary:
        with temporary.open("wb") as stream:
            digest = hashlib.sha256()
            done = 0
            for block in chain([first], blocks):
                stream.write(block)
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(file.name, done, file.size)
            if done < file.size:
                raise _Failure(f"the transfer was cut after {done:,} of {file.size:,} bytes", passing=True)
            if digest.hexdigest() != file.sha256:
                raise _Failure(f"wrong checksum: sha256 {digest.hexdigest()}, not {file.sha256}", passing=False)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, folder / file.name)


def _blocks(file: RemoteFile, address: str, patience: Patience) -> Iterator[bytes]:
    """The bytes as they arrive; every fault of the network, and of no other part, becomes a _Failure."""
    # Imported here: they take longer than NumPy's own modules, and most commands download nothing.
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    from nnscratch.datasets.deadline import Deadline

    # Redirects are bounded by urllib (10 in all, 4 to one address) and lead to http and https only.
    headers = {"User-Agent": f"nnscratch/{VERSION}", "Accept-Encoding": "identity"}
    deadline = Deadline()
    deadline.within(patience.timeout)
    done, has_answered = 0, False

    def too_slow() -> _Failure:
        if not has_answered:
            return _Failure(f"no answer within {patience.timeout:g} s", passing=False)
        return _Failure(f"too slow: {done:,} of {file.size:,} bytes before the time-out", passing=False)

    try:
        request = urllib.request.Request(address, headers=headers)
        with deadline.opener().open(request, timeout=patience.timeout) as response:
            has_answered = True
            deadline.within(patience.timeout)
            while block := response.read1(1 << 18):
                done += len(block)
                deadline.earn(len(block) / patience.slowest, at_most=patience.timeout)
                if done > file.size:
                    raise _Failure(f"it sends more than the {file.size:,} bytes expected", passing=False)
                yield block
            if deadline.is_over and done < file.size:
                raise too_slow()
    except urllib.error.HTTPError as error:
        with error:
            passing = error.code in (408, 425, 429) or 500 <= error.code < 600
            reason = str(error.reason).splitlines()[0] if str(error.reason) else "refused"
            raise _Failure(f"HTTP {error.code} {reason}", passing) from error
    except TimeoutError as error:
        raise too_slow() from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Failure(f"no answer within {patience.timeout:g} s", passing=False) from error
        if deadline.is_over:
            raise too_slow() from error
        # Nothing was reached: no name, no route, nobody listening. Asking again at once would not help.
        raise _Failure(str(getattr(error.reason, "strerror", None) or error.reason), passing=False) from error
    except http.client.InvalidURL as error:
        raise _Failure("not a well-formed address: what stands for its port is no number", passing=False) from error
    except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        if deadline.is_over:
            raise too_slow() from error
        raise _Failure(f"the transfer was cut after {done:,} bytes ({type(error).__name__})", passing=True) from error
    except OSError as error:
        raise (too_slow() if deadline.is_over else _Failure(str(error), passing=False)) from error
    except ValueError as error:  # its words may have the password in them
        raise (too_slow() if deadline.is_over else _Failure("not a well-formed address", passing=False)) from error
    finally:
        deadline.end()
