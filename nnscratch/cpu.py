"""Chooses the BLAS kernels and the threads' manners before NumPy is imported, and reports both.

NumPy's wheels carry OpenBLAS with the kernels Prescott, Nehalem, Sandybridge, Haswell and SkylakeX. On AMD Zen 4/5
OpenBLAS asks for Cooperlake, which is not among them, and falls back to Haswell (AVX2): half the speed the CPU has.
`OPENBLAS_CORETYPE=SkylakeX` selects the AVX-512 kernels there. It works only when set before the library is loaded,
and only a CPU with AVX-512 F, BW, DQ and VL may be told so; everywhere else nothing is forced.

OpenBLAS workers wait for the next matrix product in a loop, by default for 2^26 cycles. Networks give them none, as
they share out their products themselves (nn/compute/products.py), but other products do, and then they steal the core.
`OPENBLAS_THREAD_TIMEOUT=20` makes that 2^20 cycles, about 0.4 ms.

Where no thread can be started (`ulimit -u`, a container's limit of processes) OpenBLAS ends the process by SIGINT while
it is loaded; with `OPENBLAS_NUM_THREADS=1` it starts none.

What the user has set is kept, but for a number of threads with which OpenBLAS would end the process.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AVX512_FLAGS = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
AVX512_KERNELS = frozenset({"skylakex", "cooperlake", "sapphirerapids"})
CORE_NAMES = (
    "scipy_openblas_get_corename64_",
    "scipy_openblas_get_corename",
    "openblas_get_corename64_",
    "openblas_get_corename",
)
"""What a library's function is called that says so: of NumPy's wheels, and of others."""


@dataclass(frozen=True)
class Choice:
    """What was decided for BLAS in this process, and why."""

    environment: dict[str, str] = field(default_factory=dict)
    """The variables that were set here (not those the user had set)."""
    reasons: tuple[str, ...] = ()


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux names them; empty where /proc/cpuinfo does not exist."""
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def cpu_model() -> str:
    """The CPU's name for people."""
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many cores' time this process may use in the container it runs in (cgroup v1 or v2); None without a quota.

    The smallest of its group's quota and of those above. `root` is where /proc and /sys are.
    """
    quotas = [quota for folder in control_groups("cpu", root) if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """The folders that may hold this process's limits of cpu or memory: its groups and those above, as mounted here."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        controllers, _, group = line.partition(":")[2].partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        path = PurePosixPath("/") / group
        # Inside a container the mounted folder may be the group itself, of which only the host knows the name.
        for mount in (mounts / controllers, mounts / controller) if controllers else (mounts, mounts / "unified"):
            yield from (mount / each.relative_to("/") for each in (path, *path.parents) if ".." not in each.parts)


def _quota_of(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")  # cgroup v2: `50000 100000` or `max 100000`
    if not quota:
        quota, period = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # v1: -1 is none
    with suppress(ValueError, ZeroDivisionError):
        share = int(quota) / int(period)
        return share if share > 0 else None
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def can_start_threads(number: int) -> bool:
    """Whether so many more threads can run at once; found out by starting them."""
    gate = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(number):
            thread = threading.Thread(target=gate.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        gate.set()
        for thread in started:
            thread.join()
    return True


def usable_threads() -> int:
    """As many threads as there are cores; fewer where a quota gives less time, one where none can be started.

    A quota is rounded: with 1.5 cores two threads do half as much again as one, with 1.25 they mostly wait.
    """
    threads = available_cores()
    quota = cpu_quota()
    if quota is not None:
        threads = min(threads, max(1, int(quota + 0.5)))
    return threads if has_room_for(threads) else 1


def has_room_for(threads: int) -> bool:
    """Whether BLAS and the layers can each have so many threads, of which the calling one is the first.

    The layers' are watched by one more.
    """
    return can_start_threads(2 * (threads - 1) + (threads > 1))


def threaded_map(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """function(item) for every item, in their order, on so many threads; with one, no other is started."""
    if threads == 1:
        return [function(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # not for `nnscratch --help`

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


def thread_reasons() -> tuple[str, ...]:
    """Why there are fewer usable threads than cores."""
    cores, quota, threads = available_cores(), cpu_quota(), usable_threads()
    reasons = []
    if quota is not None and quota < cores:
        reasons.append(f"a CPU quota gives this container {quota:.3g} of {cores} cores: threads follow it")
    if threads == 1 < cores and not has_room_for(2):
        reasons.append("no more threads can be started (`ulimit -u`, or a container's limit of processes): one is used")
    return tuple(reasons)


def choose(
    flags: frozenset[str], environment: dict[str, str], numpy_loaded: bool, starts_threads: bool = True
) -> Choice:
    """The variables to set before NumPy is imported, with the reason for each; a pure function of its arguments."""
    if numpy_loaded:
        return Choice(reasons=("NumPy was imported before nnscratch: BLAS kernels and threads stay as they are",))
    chosen: dict[str, str] = {}
    reasons: list[str] = []
    if "OPENBLAS_CORETYPE" in environment:
        reasons.append(f"OPENBLAS_CORETYPE={environment['OPENBLAS_CORETYPE']} was set by the user: kept")
    elif flags >= AVX512_FLAGS:
        chosen["OPENBLAS_CORETYPE"] = "SkylakeX"
        reasons.append("the CPU has AVX-512 (f, bw, dq, vl): OpenBLAS is told to use its SkylakeX kernels")
    else:
        reasons.append("the CPU has no AVX-512 (f, bw, dq, vl): OpenBLAS chooses its own kernels")
    if "OPENBLAS_THREAD_TIMEOUT" in environment:
        reasons.append(f"OPENBLAS_THREAD_TIMEOUT={environment['OPENBLAS_THREAD_TIMEOUT']} was set by the user: kept")
    else:
        chosen["OPENBLAS_THREAD_TIMEOUT"] = "20"
        reasons.append("OpenBLAS workers sleep 0.4 ms after a matrix product, so that our own threads get the cores")
    if not starts_threads:
        chosen["OPENBLAS_NUM_THREADS"] = "1"
        asked = environment.get("OPENBLAS_NUM_THREADS")
        instead = f", in place of OPENBLAS_NUM_THREADS={asked}" if asked is not None else ""
        reasons.append(f"no threads can be started: OpenBLAS is told to start none{instead}")
    return Choice(chosen, tuple(reasons))


def prepare() -> Choice:
    """Applies `choose` to this process and returns it."""
    starts_threads = can_start_threads(_blas_threads(os.environ.get("OPENBLAS_NUM_THREADS", "")) - 1)
    choice = choose(cpu_flags(), dict(os.environ), "numpy" in sys.modules, starts_threads)
    os.environ.update(choice.environment)
    return choice


def _blas_threads(asked: str) -> int:
    """How many threads OpenBLAS will have when OPENBLAS_NUM_THREADS is `asked`: at most one for each core."""
    cores = available_cores()
    return min(int(asked), cores) if asked.isdecimal() and int(asked) else cores


@cache
def has_avx512_kernels() -> bool:
    """Whether the OpenBLAS that NumPy has loaded uses kernels for AVX-512, which alone do not copy small matrices.

    On Linux it is asked: where NumPy was imported first, it chose them itself.
    """
    return (_kernel_of_blas() or os.environ.get("OPENBLAS_CORETYPE", "")).lower() in AVX512_KERNELS


def _kernel_of_blas() -> str:
    """What an OpenBLAS in this process calls its kernels; nothing where there is none, or no list of its libraries."""
    import ctypes  # of which most commands have no need

    loaded = {line[line.find("/") :] for line in _text(Path("/proc/self/maps")).splitlines() if "openblas" in line}
    for path in sorted(loaded):
        with suppress(OSError):
            library = ctypes.CDLL(path)
            for name in CORE_NAMES:
                if (function := getattr(library, name, None)) is not None:
                    function.restype = ctypes.c_char_p
                    return bytes(function()).decode("utf-8", "replace")
    return ""


def use_kernel_of(run: Path) -> None:
    """Before NumPy is imported: sets OPENBLAS_CORETYPE as it was when the run (or its checkpoint file) was trained.

    Another kernel rounds otherwise, so a resume would not repeat bit for bit. What the user has set stays, and no CPU
    is told that it has AVX-512 when it has not. The names are those of `nnscratch.runs`, which needs NumPy.
    """
    meta = (run.absolute().parent.parent if run.suffix == ".npz" else run) / "meta.json"
    try:
        recorded = json.loads(meta.read_text("utf-8") if meta.is_file() else "")["machine"]["blas_environment"]
        kernel = recorded.get("OPENBLAS_CORETYPE")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    ours = "OPENBLAS_CORETYPE" in CHOICE.environment
    if "numpy" in sys.modules or ("OPENBLAS_CORETYPE" in os.environ and not ours):
        return
    if kernel is None:
        os.environ.pop("OPENBLAS_CORETYPE", None)
    elif kernel == "SkylakeX" and cpu_flags() >= AVX512_FLAGS:
        os.environ["OPENBLAS_CORETYPE"] = kernel


CHOICE = prepare()
"""Made once, at import: it can only be made before NumPy is."""
