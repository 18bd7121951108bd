"""`nnscratch doctor`: what this machine gives, what was chosen for it, and whether its matrix product is right."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch import cpu
from nnscratch.datasets.inventory import describe as describe_datasets
from nnscratch.host import machine
from nnscratch.host.machine import Machine
from nnscratch.setup.data import state

SIZE = 1024
WORTHWHILE = 1.25
"""So many times the speed of one thread is what several must reach for that it means anything."""


@dataclass(frozen=True)
class Examination:
    """The machine's description, the reasons for its BLAS settings, GFLOP/s, and the datasets found."""

    machine: Machine
    reasons: tuple[str, ...]
    gflops: float
    gflops_one_thread: float
    worst_error: float
    datasets: dict[str, str]
    failure = None

    @property
    def is_correct(self) -> bool:
        """Whether float32 products agree with float64 ones as closely as float32 allows."""
        return self.worst_error < 1e-4

    @property
    def no_faster_together(self) -> str | None:
        """What it means that several threads are hardly faster than one, or slower; None when they are faster."""
        threads = self.machine.threads or 1
        if threads < 2 or self.gflops >= WORTHWHILE * self.gflops_one_thread:
            return None
        slower = self.gflops < 0.95 * self.gflops_one_thread
        return (
            f"{threads} threads are {'slower' if slower else 'hardly faster'} than one: the machine is probably busy "
            "with other work, or its cores are halves of one; free it, or use --threads 1"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.machine),
            "reasons": list(self.reasons),
            "gflops": self.gflops,
            "gflops_one_thread": self.gflops_one_thread,
            "matrix_product_error": self.worst_error,
            "matrix_product_correct": self.is_correct,
            "datasets": self.datasets,
        }

    def to_text(self) -> str:
        facts = self.machine
        used = "1 thread" if facts.threads == 1 else f"{facts.threads} threads"
        lines = [
            f"nnscratch {facts.nnscratch}, Python {facts.python}, NumPy {facts.numpy}",
            f"CPU: {facts.cpu}, {facts.cores} cores, {used} used",
            f"BLAS: {facts.kernel or 'unknown: NumPy has a BLAS that threadpoolctl does not know'}",
            *(f"  {reason}" for reason in self.reasons),
            f"matrix product {SIZE} x {SIZE}: {self.gflops:.0f} GFLOP/s, one thread {self.gflops_one_thread:.0f}",
            *([f"  {self.no_faster_together}"] if self.no_faster_together else []),
            f"checked against float64: worst error {self.worst_error:.1e} "
            + ("(right)" if self.is_correct else "(WRONG: do not trust results of this BLAS; set OPENBLAS_CORETYPE)"),
            "data:",
            *(f"  {name}: {found}" for name, found in self.datasets.items()),
        ]
        return "\n".join(lines)


def examine(data_dir: Path, threads: int | None) -> Examination:
    """Measures and looks; takes about a second."""
    threads = machine.choose_threads(threads)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIZE, SIZE)).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    machine.set_blas_threads(1)
    one_thread = _gflops(a, b)
    machine.set_blas_threads(threads)
    return Examination(
        machine=machine.describe(threads),
        reasons=(*cpu.CHOICE.reasons, *cpu.thread_reasons()),
        gflops=_gflops(a, b),
        gflops_one_thread=one_thread,
        worst_error=float(np.max(np.abs(a @ b - exact)) / np.max(np.abs(exact))),
        datasets={each.name: state(each) for each in describe_datasets(data_dir)},
    )


def _gflops(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """The best of several products: other work on the machine can only slow one down."""
    out = np.empty_like(a)
    best = np.inf
    for _ in range(8):
        started = time.perf_counter()
        np.matmul(a, b, out=out)
        best = min(best, time.perf_counter() - started)
    return 2 * SIZE**3 / best / 1e9
