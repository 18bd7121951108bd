"""Chooses the BLAS kernels and the threads' manners before NumPy is imported, and reports both.

NumPy's wheels carry OpenBLAS with the kernels Prescott, Nehalem, Sandybridge, Haswell and SkylakeX. On AMD Zen 4/5
OpenBLAS asks for Cooperlake, which is not among them, and falls back to Haswell (AVX2): half the speed the CPU has.
`OPENBLAS_CORETYPE=SkylakeX` selects the AVX-512 kernels there. It works only when set before the library is loaded,
and only a CPU with AVX-512 F, BW, DQ and VL may be told so; everywhere else nothing is forced.

OpenBLAS workers wait for the next matrix product in a loop, by default for 2^26 cycles, and steal the core from our own
threads meanwhile. `OPENBLAS_THREAD_TIMEOUT=20` makes that 2^20 cycles, about 0.4 ms: longer than what lies between two
products, where waking a sleeping worker can cost more than the product (0.6 ms on a virtual machine), and short beside
the milliseconds that our own threads work on the weights of a large network.

What the user has set is never overridden.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

AVX512_FLAGS = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})


@dataclass(frozen=True)
class Choice:
    """What was decided for BLAS in this process, and why."""

    environment: dict[str, str] = field(default_factory=dict)
    """The variables that were set here (not those the user had set)."""
    reasons: tuple[str, ...] = ()


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux names them; empty where /proc/cpuinfo does not exist."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def cpu_model() -> str:
    """The CPU's name for people."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose(flags: frozenset[str], environment: dict[str, str], numpy_loaded: bool) -> Choice:
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
    return Choice(chosen, tuple(reasons))


def prepare() -> Choice:
    """Applies `choose` to this process and returns it."""
    choice = choose(cpu_flags(), dict(os.environ), "numpy" in sys.modules)
    os.environ.update(choice.environment)
    return choice


def use_kernel_of(run: Path) -> None:
    """Before NumPy is imported: sets OPENBLAS_CORETYPE as it was when the run (or its checkpoint file) was trained.

    Another kernel rounds otherwise, so a resume would not repeat bit for bit. What the user has set stays, and no CPU
    is told that it has AVX-512 when it has not. The names are those of `nnscratch.runs`, which needs NumPy.
    """
    meta = (run.parent.parent if run.suffix == ".npz" else run) / "meta.json"
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
