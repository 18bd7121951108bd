"""One training by several processes over MPI: updates a second against one process, and the parts of an update.

    python tests/benchmarks/distributed.py [cifar] [fashion] [cifar_mlp] [cifar_cnn_small] [--data-dir data]

Two processes of one thread take turns with one process of two threads, on the same cores. Then the parts of an update
are timed (compute, reduce-scatter, update, all-gather, sums, waiting), and the model of docs/distributed.md

    T(P) = C(b / P) + U / P + 2 4 n (P - 1) / (P B) + (2 (P - 1) + m log2 P) a

is fitted to parts (C and U to one process, latency a and bandwidth B to exchanges of several sizes), compared with what
was measured at P = 1, 2, 4, and asked for more machines. Needs the extra `mpi`; more processes than cores say nothing
of speed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
CONFIGS = {
    "cifar": "reference/cifar_notebook",
    "fashion": "reference/fashion_notebook",
    "cifar_mlp": "cifar_mlp",
    "cifar_cnn_small": "cifar_cnn_small",
}
NETWORKS = {"10 Gbit/s": (30e-6, 10e9 / 8), "100 Gbit/s": (3e-6, 100e9 / 8)}
"""Latency in seconds and bandwidth in bytes a second of a usual network of that name."""
TARGET = 0.95


def trainer_of(case: str, data_dir: Path, threads: int, communicator: Any, batch: int | None = None) -> tuple[Any, Any]:
    """The training of that config, of its first 5,000 examples, and their batches."""
    from nnscratch.config.assembly import prepare
    from nnscratch.config.config import load_config
    from nnscratch.host.display import Display
    from nnscratch.host.workplace import Workplace

    changes = ["data.limit=5000"] + ([f"training.batch_size={batch}"] if batch else [])
    config = load_config(HERE.parents[2] / "configs" / f"{CONFIGS[case]}.yaml", changes)
    assembly = prepare(config, Workplace(data_dir), Display(quiet=True))
    trainer = assembly.trainer(threads, communicator=communicator)
    return trainer, trainer.batches(assembly.splits.train)


def seconds_of_updates(trainer: Any, batches: Any, updates: int) -> float:
    """The median of so many whole batches."""
    times = []
    whole = max(1, len(batches.examples) // batches.batch_size)
    for number in range(updates + 2):
        started = time.perf_counter()
        trainer.step(batches, number // whole, number % whole, [])
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


def timed_communicator() -> Any:
    """A Communicator that notes where its time goes; whoever waits for another does so before the exchange."""
    from nnscratch.distributed.mpi import Processes

    class Timed(Processes):
        def __init__(self) -> None:
            super().__init__()
            self.seconds = dict.fromkeys(("waiting", "sums", "reduce-scatter", "all-gather"), 0.0)

        @contextmanager
        def noted(self, part: str) -> Iterator[None]:
            started = time.perf_counter()
            self._all.Barrier()
            met = time.perf_counter()
            yield
            self.seconds["waiting"] += met - started
            self.seconds[part] += time.perf_counter() - met

        def wait(self) -> None:
            with self.noted("waiting"):
                super().wait()

        def stack(self, values: Any) -> Any:
            with self.noted("sums"):
                return super().stack(values)

        def reduce_scatter(self, vector: Any, borders: Sequence[int]) -> None:
            with self.noted("reduce-scatter"):
                super().reduce_scatter(vector, borders)

        def all_gather(self, vector: Any, borders: Sequence[int]) -> None:
            with self.noted("all-gather"):
                super().all_gather(vector, borders)

    return Timed()


def parts_of_an_update(trainer: Any, batches: Any, updates: int, exchanged: dict[str, float]) -> dict[str, float]:
    """Milliseconds of every part, a mean over so many updates; `exchanged` is filled by a timed communicator."""
    optimizer, spent = trainer.recipe.optimizer, [0.0]
    step: Callable[..., None] = optimizer.step

    def timed_step(*given: float) -> None:
        started = time.perf_counter()
        step(*given)
        spent[0] += time.perf_counter() - started

    optimizer.step = timed_step
    seconds_of_updates(trainer, batches, 1)
    exchanged.update(dict.fromkeys(exchanged, 0.0))
    spent[0], started = 0.0, time.perf_counter()
    for number in range(updates):
        trainer.step(batches, 0, number % batches.steps, [])
    whole = time.perf_counter() - started
    optimizer.step = step
    parts = {"update": spent[0], **exchanged}
    parts = {"compute": whole - sum(parts.values()), **parts, "whole": whole}
    return {name: 1e3 * seconds / updates for name, seconds in parts.items()}


def exchanges(communicator: Any) -> dict[str, float]:
    """Latency and bandwidth of a reduce-scatter and an all-gather: a line through the medians of several sizes."""
    import numpy as np

    sizes, times = [1 << power for power in range(8, 21, 2)], []
    for size in sizes:
        vector = communicator.zeros(size, np.float32)
        borders = [size * rank // communicator.size for rank in range(communicator.size + 1)]
        several = []
        for _ in range(30):
            communicator.sum(np.zeros(1))
            started = time.perf_counter()
            communicator.reduce_scatter(vector, borders)
            communicator.all_gather(vector, borders)
            several.append(time.perf_counter() - started)
        times.append(statistics.median(several))
    moved = [2 * 4 * size * (communicator.size - 1) / communicator.size for size in sizes]
    # Each size counts alike: relative errors are made small.
    weights = 1 / np.array(times)
    design = np.stack([np.ones(len(sizes)), np.array(moved)], axis=1) * weights[:, None]
    fixed, per_byte = np.linalg.lstsq(design, np.ones(len(sizes)), rcond=None)[0]
    messages = 2 * (communicator.size - 1)
    return {"latency": max(fixed, 1e-7) / messages, "bandwidth": 1 / max(per_byte, 1e-13)}


def take_part(case: str, data_dir: Path, threads: int, updates: int) -> None:
    """What every process of a job does; rank 0 prints what was measured."""
    from nnscratch.nn.compute.communicator import ALONE

    several = "OMPI_COMM_WORLD_SIZE" in os.environ and int(os.environ["OMPI_COMM_WORLD_SIZE"]) > 1
    communicator = timed_communicator() if several else ALONE
    trainer, batches = trainer_of(case, data_dir, threads, communicator)
    parts = parts_of_an_update(trainer, batches, updates, communicator.seconds if several else {})
    if several:
        type(communicator).noted = lambda self, part: _nothing()
    told: dict[str, Any] = {"seconds": seconds_of_updates(trainer, batches, updates), "parts": parts}
    if several:
        told |= exchanges(communicator)
    if communicator.rank == 0:
        print("MEASURED", json.dumps(told))


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def measured(case: str, data_dir: Path, ranks: int, threads: int, updates: int) -> dict[str, Any]:
    """What so many processes of so many threads tell."""
    command = [sys.executable, str(HERE), case, "--take-part", "--data-dir", str(data_dir)]
    command += ["--threads", str(threads), "--updates", str(updates)]
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if ranks > 1:
        beside = Path(sys.executable).parent / "mpirun"
        mpirun = str(beside) if beside.exists() else shutil.which("mpirun") or "mpirun"
        too_many = ["--oversubscribe"] if ranks > (os.cpu_count() or 1) else []
        command = [mpirun, *too_many, "-n", str(ranks), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.rpartition("MEASURED ")[2])
    return result


def model(
    ranks: int, compute: Callable[[int], float], update: float, numbers: int, sums: int, network: tuple[float, float]
) -> float:
    """T(P) in seconds."""
    latency, bandwidth = network
    exchange = 2 * 4 * numbers * (ranks - 1) / ranks / bandwidth
    return compute(ranks) + update / ranks + exchange + (2 * (ranks - 1) + sums * math.log2(ranks)) * latency


def compare(case: str, data_dir: Path, rounds: int, updates: int) -> bool:
    """Prints the figures of one config; whether two processes are as fast as they must be."""
    from nnscratch.nn.compute.communicator import ALONE

    alone, two = [], []
    for _ in range(rounds):
        alone.append(measured(case, data_dir, 1, 2, updates))
        two.append(measured(case, data_dir, 2, 1, updates))
    ratio = statistics.median(one["seconds"] / other["seconds"] for one, other in zip(alone, two, strict=True))
    shown = [1e3 * statistics.median(each["seconds"] for each in several) for several in (alone, two)]
    print(f"{case}: an update: one process of two threads {shown[0]:.3f} ms, two of one thread {shown[1]:.3f} ms:")
    print(f"  {ratio:.2f}x; to reach: {TARGET}x")
    for name in two[0]["parts"]:
        print(f"  {name:>14} {statistics.median(each['parts'][name] for each in two):9.3f} ms")

    one = measured(case, data_dir, 1, 1, updates)
    trainer, batches = trainer_of(case, data_dir, 1, ALONE)
    numbers, layers = trainer.network.parameters.trainable_size, trainer.network.walk()
    sums, whole = 1 + 2 * sum(layer.name == "batch_norm" for layer in layers), batches.batch_size
    update = 1e-3 * one["parts"]["update"]
    of_share: dict[int, float] = {1: one["seconds"] - update}

    def compute(ranks: int) -> float:
        rows = -(-whole // ranks)
        if ranks not in of_share:
            smaller, its_batches = trainer_of(case, data_dir, 1, ALONE, rows)
            parts = parts_of_an_update(smaller, its_batches, updates, {})
            of_share[ranks] = 1e-3 * parts["compute"]
        return of_share[ranks]

    here = (statistics.median(each["latency"] for each in two), statistics.median(each["bandwidth"] for each in two))
    print(f"  here: latency {1e6 * here[0]:.1f} us, bandwidth {8e-9 * here[1]:.1f} Gbit/s, {numbers:,} numbers")
    cores = os.cpu_count() or 1
    four = measured(case, data_dir, 4, 1, updates)["seconds"]
    for ranks, seconds in ((1, one["seconds"]), (2, shown[1] / 1e3), (4, four)):
        said = 1e3 * model(ranks, compute, update, numbers, sums, here)
        note = "" if ranks <= cores else f" on {cores} cores, which cannot agree"
        print(f"  P = {ranks}: the model says {said:.3f} ms, measured {1e3 * seconds:.3f} ms{note}")
    for name, network in NETWORKS.items():
        times = {ranks: model(ranks, compute, update, numbers, sums, network) for ranks in (8, 16, 32, 64, 128, 256)}
        gains = ", ".join(f"{ranks}: {one['seconds'] / seconds:.1f}x" for ranks, seconds in times.items())
        print(f"  {name}: {gains}")
    return ratio >= TARGET


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*CONFIGS, []])
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("NNSCRATCH_DATA_DIR", "data")))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--take-part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.take_part:
        take_part(options.case[0], options.data_dir, options.threads, options.updates)
        return
    reached = [compare(case, options.data_dir, options.rounds, options.updates) for case in options.case or CONFIGS]
    sys.exit(0 if all(reached) else 1)


if __name__ == "__main__":
    main()
