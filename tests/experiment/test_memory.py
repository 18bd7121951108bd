"""Training holds the dataset once, as bytes, and little else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, resource, sys
import nnscratch
from nnscratch import cli
from nnscratch.experiment import config, train  # what a training imports
def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()
before = resident()
cli.main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({'growth': peak - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc")
def test_training_cifar10_needs_at_most_1_3_times_its_dataset_weights_and_buffers(
    root: Path, data_dir: Path, tmp_path: Path
) -> None:
    if not (data_dir / "cifar-10-batches-bin").is_dir():
        pytest.skip(f"needs cifar-10-batches-bin in {data_dir}")
    config = str(root / "configs" / "cifar_best.yaml")
    command = ["train", config, "--data-dir", str(data_dir), "--threads", "1", "--json"]
    train = [*command, "--epochs", "1", "--no-plots", "--runs-dir", str(tmp_path)]
    # Both in fresh processes: ru_maxrss never falls, not even across fork and exec of a large parent.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    lines = _run([sys.executable, "-c", PROGRAM, *train], environment)
    plan = _run([sys.executable, "-m", "nnscratch", *command, "--dry-run"], environment)
    expected = sum(json.loads(plan[0])["memory"].values())
    assert json.loads(lines[-1])["growth"] < 1.3 * expected


def _run(command: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [line for line in done.stdout.splitlines() if line.startswith("{")]
