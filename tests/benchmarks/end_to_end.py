"""Whole trainings of three epochs on the real data, from start-up to test accuracy: nnscratch against PyTorch.

    python tests/benchmarks/end_to_end.py [cifar] [fashion] [--data-dir data] [--rounds 5]

Both read the same files, hold out the same share, train the same network with Adam and L2, validate after every epoch
and test at the end; neither draws plots. The two take turns; the ratio is the median over the rounds.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import nnscratch

HERE = Path(__file__).parent
MUSTS = {"cifar": 1.6, "fashion": 1.1}
WITH_PYTORCH = find_spec("torch") is not None


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare(name: str, data_dir: Path, rounds: int) -> bool:
    """Prints both medians; whether nnscratch is as much faster as it must be. Without PyTorch nothing is required."""
    config = HERE.parent.parent / "configs" / "reference" / f"{name}_notebook.yaml"
    theirs = [sys.executable, str(HERE / "pytorch_training.py"), name, str(data_dir), "3"]
    ours_times, their_times = [], []
    for turn in range(rounds + 1):
        with tempfile.TemporaryDirectory() as runs:
            ours = [sys.executable, "-m", "nnscratch", "train", str(config), "--epochs", "3", "--no-plots", "--quiet"]
            mine = seconds([*ours, "--data-dir", str(data_dir), "--runs-dir", runs])
        other = seconds(theirs) if WITH_PYTORCH else math.nan
        if turn:  # the first warms the file cache
            ours_times.append(mine)
            their_times.append(other)
    line = f"{name}: 3 epochs from start to test: nnscratch {statistics.median(ours_times):.2f} s"
    if not WITH_PYTORCH:
        print(line)
        return True
    ratio = statistics.median(b / a for a, b in zip(ours_times, their_times, strict=True))
    print(f"{line}, PyTorch {statistics.median(their_times):.2f} s, {ratio:.2f}x; to reach: {MUSTS[name]}x")
    return ratio >= MUSTS[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*MUSTS, []])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not WITH_PYTORCH:
        print("left out: PyTorch is not installed (pip install '.[benchmarks]')", file=sys.stderr)
    reached = [compare(name, options.data_dir, options.rounds) for name in options.case or MUSTS]
    avx512 = nnscratch.cpu.cpu_flags() >= nnscratch.cpu.AVX512_FLAGS
    if not avx512:
        print("This CPU has no AVX-512: the figures are printed, not required.")
    sys.exit(0 if all(reached) or not avx512 else 1)


if __name__ == "__main__":
    main()
