"""What no configuration is to blame for: files, memory, threads that the machine refuses."""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Iterator
from contextlib import suppress

from nnscratch.errors import UserError, cause, without_password


def is_trouble_of_the_machine(error: BaseException) -> bool:
    """Whether the machine refused what any training needs, wherever in the error's history: a file, memory, a thread.

    More memory than the machine has at all is asked for by the configuration.
    """
    return any(
        isinstance(each, OSError)
        or (isinstance(each, MemoryError) and not _is_beyond_the_machine(each))
        or _is_refused_thread(each)
        for each in _history(error)
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it was memory: what the trial asks for may be the cause, which only repetition tells."""
    return any(isinstance(each, MemoryError) for each in _history(error))


def reason(error: BaseException) -> str:
    """The cause in one line: of a database its own words, of a file its name."""
    if isinstance(error, UserError):
        return error.message.splitlines()[0]
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    if _is_refused_thread(error) or (isinstance(error, BlockingIOError) and error.filename is None):
        return "the system allows no more threads and processes (`ulimit -u`, or a container's limit)"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {cause(error)}" if error.filename else cause(error)
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return without_password(lines[0]) if lines else type(error).__name__


def traceback_of(error: BaseException) -> str:
    """The whole of it in text, without passwords."""
    return without_password("".join(traceback.format_exception(error)))


def _is_refused_thread(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def _history(error: BaseException) -> Iterator[BaseException]:
    """The error, and those it was raised because of or while handling: `from None` only hides them."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _is_beyond_the_machine(error: MemoryError) -> bool:
    """True for a NumPy array that is larger than all of the memory there is."""
    with suppress(AttributeError, ValueError, OSError):  # Windows knows no sysconf
        wanted = math.prod(error.shape) * error.dtype.itemsize  # type: ignore[attr-defined]  # NumPy's own error has both, another none
        return bool(wanted > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return False
