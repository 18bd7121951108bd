"""Which run is meant: by its path, or by its name in the folder that runs are in; and the folder of a new one."""

from __future__ import annotations

import errno
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from itertools import count
from pathlib import Path

from nnscratch.errors import UsageError, UserError, cause
from nnscratch.host.workplace import DEFAULT_RUNS
from nnscratch.runs import layout

LAST = "last"


def find_run(name: str | Path, runs_dir: Path) -> Path:
    """The folder of the run (or the checkpoint file) at that path, or else of that name in `runs_dir`.

    `last` is the run there that was worked on last, unless one has that name. Raises UsageError, with the closest name
    that would be understood, when there is none.
    """
    path = Path(name)
    for candidate in (path, runs_dir / path):
        if _is_run(candidate):
            return candidate
    if path == Path(LAST) and (runs := _runs_in(runs_dir)):
        return max((runs_dir / each for each in runs), key=_worked_on)
    raise no_run(path, runs_dir)


def is_group(path: Path) -> bool:
    """Whether the folder holds runs that repeat one config."""
    return (path / layout.GROUP).is_file()


def find_group(name: str | Path, runs_dir: Path) -> Path | None:
    """The folder of the group at that path, or else of that name in `runs_dir`; None when a run, or nothing, is."""
    for candidate in (Path(name), runs_dir / name):
        if is_group(candidate):
            return candidate
        if _is_run(candidate):
            return None
    return None


def no_run(path: Path, runs_dir: Path | None = None) -> UsageError:
    """The error for a run that does not exist. What it suggests is a run when typed in place of `path`."""
    group = path if is_group(path) else runs_dir / path if runs_dir is not None else path
    if is_group(group):
        runs = ", ".join(str(group / each) for each in sorted(_runs_in(group))) or "none has begun"
        return UsageError(f"{path} is a group of runs, not one", f"name one of them: {runs}")
    nearby = {each: str(path.parent / each) for each in _runs_in(path.parent)}
    if runs_dir is not None:
        nearby |= {each: str(path.parent / each) for each in _runs_in(runs_dir / path.parent)}
    close = get_close_matches(path.name, nearby, n=1)
    suggestion = f"; did you mean {nearby[close[0]]}?" if close else ""
    listing = ["nnscratch", "runs", "list"]
    listing += [] if runs_dir in (None, DEFAULT_RUNS) else ["--runs-dir", str(runs_dir)]
    return UsageError(
        f"{path} is not a run: it has no folder checkpoints{suggestion}",
        f"`{shlex.join(listing)}` shows the runs there are",
    )


def _is_run(path: Path) -> bool:
    """Also one that was stopped before its config was written, about which there is more to say."""
    return path.is_file() or has_been_trained(path)


def has_been_trained(path: Path) -> bool:
    """Whether a training made the folder: a config.yaml alone may be anybody's."""
    return (path / layout.CHECKPOINTS).is_dir()


def folder_of(path: Path) -> Path:
    """The folder of the run that a checkpoint file belongs to; any other path itself.

    `nnscratch.cpu`, which may import nothing, has a simpler rule of its own.
    """
    if path.suffix != layout.CHECKPOINT_SUFFIX or path.resolve().parent.name != layout.CHECKPOINTS:
        return path
    return path.parent.parent if len(path.parts) > 2 else path.resolve().parent.parent


def _worked_on(run: Path) -> int:
    """When a training last said how the run stands, in nanoseconds; 0 when it never did."""
    try:
        return (run / layout.META).stat().st_mtime_ns
    except OSError:
        return 0


def _runs_in(folder: Path) -> list[str]:
    found = folder.glob(f"*/{layout.CONFIG}") if folder.is_dir() else ()
    return [each.parent.name for each in found if has_been_trained(each.parent)]


def number_of(folder: str, name: str) -> int:
    """Which of <name>, <name>-2, <name>-3, ... a folder is; 0 when it is none of them."""
    tail = folder.removeprefix(name)
    if folder == name:
        return 1
    is_one = folder.startswith(f"{name}-") and tail[1:].isascii() and tail[1:].isdecimal() and len(tail) < 20
    return int(tail[1:]) if is_one else 0


def numbered(parent: Path, name: str) -> Iterator[Path]:
    """<name>, <name>-2, <name>-3, ... in that folder: what a new run of the name is called, where there are others."""
    yield parent / name
    yield from (parent / f"{name}-{number}" for number in count(2))


@contextmanager
def new_folder(runs_dir: Path, name: str, what: str) -> Iterator[Path]:
    """The first of <name>, <name>-2, ... that did not exist, made now; gone again when what is done inside fails."""
    path: Path | None = None
    try:
        if runs_dir.exists() and not runs_dir.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder")
        runs_dir.mkdir(parents=True, exist_ok=True)
        for candidate in numbered(runs_dir, name):
            with suppress(FileExistsError):
                candidate.mkdir()
                path = candidate
                break
        assert path is not None
        yield path
    except BaseException as error:
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        hint = "choose another folder by --runs-dir"
        raise UserError(f"cannot create {what} in {runs_dir}: {cause(error)}", hint) from None
