"""What a run must remember of the machine it ran on: versions, CPU, BLAS, kernel, threads, git commit."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from nnscratch import cpu
from nnscratch.errors import UsageError, UserError, without_password
from nnscratch.host.git import checked_out_commit
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.network import Network
from nnscratch.version import VERSION

MOST_THREADS = 4096
"""A run that says more was not trained with them."""


@dataclass(frozen=True)
class Machine:
    """A machine, and the versions and settings used on it; what is not known of it is None, or empty.

    `nnscratch.cpu`, which may import nothing, reads `blas_environment` from a run's meta.json by this name.
    """

    nnscratch: str | None = None
    python: str | None = None
    numpy: str | None = None
    platform: str | None = None
    cpu: str | None = None
    cores: int | None = None
    threads: int | None = None
    ranks: int | None = None
    """Processes that trained together; None for one."""
    blas: Sequence[Mapping[str, str | None]] = ()
    blas_environment: Mapping[str, str] = field(default_factory=dict)
    git_commit: str | None = None

    @property
    def kernel(self) -> str:
        """The BLAS kernel in one phrase, for comparing two machines: `openblas 0.3.31 SkylakeX`."""
        return ", ".join(
            " ".join(str(library[key]) for key in ("internal_api", "version", "architecture") if library.get(key))
            for library in self.blas
        )


def blas_libraries() -> list[dict[str, Any]]:
    """The BLAS libraries NumPy has loaded, as threadpoolctl sees them: internal_api, version, architecture, ..."""
    from threadpoolctl import threadpool_info

    return [library for library in threadpool_info() if library["user_api"] == "blas"]


def set_blas_threads(threads: int) -> None:
    """How many threads a matrix product uses, from now on in this process."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads, user_api="blas")


class _Kept:
    """The number of BLAS's threads from before, and who is at work since; they are the process's, not a thread's."""

    def __init__(self) -> None:
        self.lock, self.at_work, self.before = Lock(), 0, ExitStack()


_kept = _Kept()


@contextmanager
def blas_threads_kept() -> Iterator[None]:
    """Afterwards a matrix product uses as many threads as before: those of whoever called are none of our business.

    Of several threads that train at once, the last to end puts them back: the others would go on with other sums.
    """
    from threadpoolctl import threadpool_limits

    with _kept.lock:
        if not _kept.at_work:
            _kept.before.enter_context(threadpool_limits(limits=None, user_api="blas"))
        _kept.at_work += 1
    try:
        yield
    finally:
        with _kept.lock:
            _kept.at_work -= 1
            if not _kept.at_work:
                _kept.before.close()


def share_threads(network: Network, threads: int) -> Workers:
    """Gives the threads to a network, and returns them: its layers share out their matrix products, too.

    So each product of BLAS uses one thread: two of its own that wait for each other stand still on a busy machine.
    """
    set_blas_threads(1)
    workers = Workers(threads)
    network.use_workers(workers)
    return workers


def choose_threads(wanted: int | None, trained_on: Machine | None = None) -> int:
    """The number of threads to use: what was asked for, else what a run was trained with, else `cpu.usable_threads`.

    A sum in another order is another last digit: with the run's own threads, figures repeat to the last one. Raises
    UserError when so many cannot be started.
    """
    if wanted is not None and wanted < 1:
        raise UsageError(f"--threads {wanted}: at least 1 thread is needed")
    recorded = trained_on.threads if trained_on is not None else None
    if wanted is None and recorded is not None and 1 <= recorded <= MOST_THREADS:
        wanted = recorded
    if wanted is not None and not cpu.has_room_for(wanted):
        raise UserError(
            f"{wanted} threads cannot be started: the system allows no more (`ulimit -u`, or a container's limit)",
            "use --threads 1, or raise the limit",
        ) from RuntimeError("can't start new thread")
    return wanted or cpu.usable_threads()


def too_many(threads: int) -> str:
    """What is said of so many threads, "" where there is a core for each."""
    cores = cpu.available_cores()
    if threads <= cores:
        return ""
    return f"{threads} threads on {cores} {'cores' if cores > 1 else 'core'} wait for one another: --threads {cores}"


def describe(threads: int, ranks: int = 1) -> Machine:
    """This machine, and the versions and settings that this process uses on it."""
    return Machine(
        nnscratch=VERSION,
        python=platform.python_version(),
        numpy=np.__version__,
        platform=platform.platform(),
        cpu=cpu.cpu_model(),
        cores=cpu.available_cores(),
        threads=threads,
        ranks=ranks if ranks > 1 else None,
        blas=[
            {key: library.get(key) for key in ("internal_api", "version", "architecture", "threading_layer")}
            for library in blas_libraries()
        ],
        blas_environment={
            key: value for key, value in os.environ.items() if key.startswith(("OPENBLAS_", "MKL_", "OMP_"))
        },
        git_commit=checked_out_commit(),
    )


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


def command_line() -> list[str]:
    """The command as it was typed, but for passwords."""
    return [Path(sys.argv[0]).name if sys.argv[0] else "nnscratch", *map(without_password, sys.argv[1:])]
