"""Training holds the dataset once, as bytes, and little else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
import nnscratch
from nnscratch import cli
from nnscratch.experiment import train  # what a training imports
def status(name):
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))
before = status('VmRSS')
cli.main(sys.argv[1:])
print(json.dumps({'growth': status('VmHWM') - before}))  # not ru_maxrss: that remembers the parent's too
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from /proc")
def test_training_cifar10_needs_at_most_1_3_times_its_dataset_weights_and_buffers(
    root: Path, public_data: Callable[[str], Path], tmp_path: Path
) -> None:
    data_dir = public_data("cifar-10-batches-bin").parent
    config = str(root / "configs" / "cifar_best.yaml")
    # A short epoch: what is held does not depend on how the images are split.
    command = ["train", config, "data.validation=0.9", "--data-dir", str(data_dir), "--threads", "1", "--json"]
    train = [*command, "--epochs", "1", "--no-plots", "--runs-dir", str(tmp_path)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    lines = _run([sys.executable, "-c", PROGRAM, *train], environment)
    plan = _run([sys.executable, "-m", "nnscratch", *command, "--dry-run"], environment)
    expected = sum(json.loads(plan[0])["memory"].values())
    assert json.loads(lines[-1])["growth"] < 1.3 * expected


def _run(command: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [line for line in done.stdout.splitlines() if line.startswith("{")]
