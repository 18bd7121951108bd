"""What a prediction costs on this computer: time by batch size, and memory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnscratch.host.machine import peak_memory
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count, decimal
from nnscratch.report.tables import Column, Table, plain_table
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.examples import Examples

BATCHES = (1, 32, 256)
FEWEST, MOST, SECONDS = 30, 2000, 2.0
"""Predictions that are timed of every batch size: as many as fit into the seconds."""
WARM_UP = 5


@dataclass(frozen=True)
class BatchTime:
    """Milliseconds of one prediction of a batch, stored inputs in, probabilities out: percentiles of `repeats`."""

    batch: int
    repeats: int
    p50: float
    p95: float
    p99: float

    @property
    def per_second(self) -> float:
        """Examples a second, by the median."""
        return 1000 * self.batch / self.p50


@dataclass(frozen=True)
class Timing:
    """What a prediction costs."""

    threads: int
    batches: tuple[BatchTime, ...]
    peak_bytes: int | None
    """Of memory that the process has held at most, libraries and data included; None where the system does not say."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "threads": self.threads,
            "peak_memory_bytes": self.peak_bytes,
            "batches": [
                {**asdict(each), "unit": "ms", "examples_per_second": each.per_second} for each in self.batches
            ],
        }

    def to_text(self) -> str:
        """A table and a line."""
        columns = [Column(title, True) for title in ("batch", "p50 ms", "p95 ms", "p99 ms", "examples/s", "timed")]
        rows = [
            (
                count(each.batch), *(decimal(value, 3) for value in (each.p50, each.p95, each.p99)),
                count(round(each.per_second)), count(each.repeats),
            )
            for each in self.batches
        ]  # fmt: skip
        memory = "" if self.peak_bytes is None else f"; at most {self.peak_bytes / 2**20:,.0f} MiB of memory in all"
        threads = f"{self.threads} thread" + ("s" if self.threads > 1 else "")
        return f"{plain_table(Table(tuple(columns), tuple(rows)))}on {threads}{memory}\n"


def time_predictions(loaded: LoadedRun, examples: Examples, threads: int) -> Timing:
    """Times predictions of examples of a split, of which the first are taken, again and again where they are few."""
    return Timing(threads, tuple(_timed(loaded, examples, size) for size in BATCHES), peak_memory())


def _timed(loaded: LoadedRun, examples: Examples, size: int) -> BatchTime:
    stored = examples.inputs[np.resize(examples.rows, size)]
    x = np.empty(stored.shape, np.float32)
    for _ in range(WARM_UP):
        _predict(loaded, stored, x)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < FEWEST or (len(times) < MOST and time.perf_counter() < end):
        started = time.perf_counter()
        _predict(loaded, stored, x)
        times.append(1000 * (time.perf_counter() - started))
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return BatchTime(size, len(times), float(p50), float(p95), float(p99))


def _predict(loaded: LoadedRun, stored: Array, x: Array) -> Array:
    y = loaded.outputs_of(stored, x)
    return loaded.probabilities(y) if loaded.classes is not None else loaded.values(y)
