"""Training on a set three times as large as the memory allowed, beside the same training with the set in memory.

    python tests/benchmarks/larger_than_memory.py [--megabytes 600] [--units 512 256] [--rounds 3]

Random 32x32 images in an NPZ file; the network is 3072-UNITS-2, one thread, an epoch of batches of 128. In turns, each
in a process of its own: all in memory, and mapped, in a control group that gets a third of the set's bytes, of which
the process itself takes a part; the set is dropped from the file cache before. Needs Linux and a control group that may
be made (root, or a delegated one). Compared is the time of training; the loss must be equal.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

GROUPS = {Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes", Path("/sys/fs/cgroup"): "memory.max"}
"""Where memory is limited, in version 1 and 2, and the file that does it."""


@contextmanager
def limited(size: int) -> Iterator[Path]:
    """A control group with so many bytes, as the file that takes a process in."""
    parent, limit = next(
        (each for each in GROUPS.items() if (each[0] / "memory.stat").exists()), next(iter(GROUPS.items()))
    )
    group = parent / f"nnscratch_benchmark_{os.getpid()}"
    group.mkdir()
    try:
        (group / limit).write_text(str(size))
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def write_set(file: Path, megabytes: int) -> None:
    """Random images; those of class 1 have a darker band."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (megabytes * 1_000_000 // 3072, 32, 32, 3), dtype=np.uint8)
    y = rng.integers(0, 2, len(x))
    x[y == 1, 8:12] //= 2
    np.savez(file, x=x, y=y)


def train(folder: Path, name: str, in_memory: bool, group: Path | None = None) -> tuple[float, float]:
    """Seconds of training an epoch, and its loss."""
    words = ["nnscratch", "train", "set.yaml", f"name={name}", f"data.in_memory={str(in_memory).lower()}"]
    words += ["--threads", "1", "--no-plots"]
    for cached in folder.glob("data/cache/*.rows"):
        with cached.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    enter = f"echo $$ > {group} && " if group is not None else ""
    command = f'{enter}exec "$@"'
    subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-m", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    with (folder / "runs" / name / "metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    return float(row["train_seconds"]), float(row["train_loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--units", type=int, nargs="+", default=[512, 256])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runs = Path(__file__).resolve().parents[2] / "runs"  # on a disk, which a temporary folder need not be
    with tempfile.TemporaryDirectory(dir=runs) as name, limited(options.megabytes * 1_000_000 // 3) as group:
        folder = Path(name).absolute()
        write_set(folder / "set.npz", options.megabytes)
        config = {
            "name": "set",
            "data": {"dataset": "npz", "path": "set.npz"},
            "model": {"hidden_layers": options.units},
            "training": {"epochs": 1, "batch_size": 128},
        }
        (folder / "set.yaml").write_text(json.dumps(config))
        train(folder, "first", in_memory=False)  # decodes into the cache
        ratios = []
        for number in range(options.rounds):
            here, loss = train(folder, f"memory_{number}", in_memory=True)
            mapped, same = train(folder, f"mapped_{number}", in_memory=False, group=group)
            assert loss == same, f"loss {loss} in memory, {same} mapped"
            ratios.append(here / mapped)
            print(f"in memory {here:.2f} s, mapped {mapped:.2f} s: {ratios[-1]:.2f}x as fast", flush=True)
    print(f"median {statistics.median(ratios):.2f}x")


if __name__ == "__main__":
    main()
