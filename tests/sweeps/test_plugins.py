"""Sweeps over a layer of one's own: a trial that was cut off goes on, and the best config can be trained."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnscratch.cli import main
from nnscratch.config.config import load_config
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.sweeps.trial import _is_run_of

WriteSweep = Callable[..., Path]
StartSweep = Callable[..., subprocess.Popen[str]]
FinishSweep = Callable[..., dict[str, Any]]

LAYER = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.layers.activations import Activation


@dataclass(eq=False)
class SweptTanh(Activation):
    """y = tanh(steep x),  dx = dy steep (1 - y^2)."""

    name: ClassVar[str] = "swept_tanh"
    short: ClassVar[str | None] = "steep"
    backward_needs_output: ClassVar[bool] = True

    steep: float = setting(2.0, "slope at 0", gt=0)

    def forward(self, x, training):
        self.y = np.tanh(self.steep * x)
        return self.y

    def backward(self, dy):
        return dy * self.steep * (1 - self.y**2)
'''


@pytest.fixture
def write_plugin_sweep(write_sweep: WriteSweep) -> WriteSweep:
    """write_plugin_sweep(folder, epochs, **changes): the file of a sweep whose config names a plugin beside it."""

    def write(folder: Path, epochs: int, **changes: Any) -> Path:
        (folder / "swept_tanh.py").write_text(LAYER)
        config = {
            "plugins": ["swept_tanh.py"],
            "model": {"layers": ["flatten", {"dense": 8}, {"swept_tanh": 1.5}, "dense"]},
            "training": {"epochs": epochs, "batch_size": 20, "checkpoint_every": 1},
        }
        parameters = {"optimizer.learning_rate": {"values": [0.01, 0.001]}}
        return write_sweep(folder, config, method="grid", run_cap=None, parameters=parameters, **changes)

    return write


def test_a_killed_trial_with_a_plugin_goes_on_where_it_was(
    write_plugin_sweep: WriteSweep, start_sweep: StartSweep, finish_sweep: FinishSweep, tmp_path: Path
) -> None:
    file = write_plugin_sweep(tmp_path, 40)
    trials = tmp_path / "runs" / "sweeps" / "tiny" / "trials"
    metrics = trials / "trial-0000" / "metrics.jsonl"
    victim = start_sweep(file, tmp_path / "runs", "--allow-plugins")
    end = time.monotonic() + 60
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    victim.kill()
    victim.communicate()
    result = finish_sweep(start_sweep(file, tmp_path / "runs", "--allow-plugins"))
    assert [trial["status"] for trial in result["trials"]] == ["completed", "completed"]
    assert sorted(path.name for path in trials.iterdir()) == ["trial-0000", "trial-0001"]
    assert "resumed after epoch" in (trials / "trial-0000" / "logs" / "train.log").read_text()


def test_a_run_with_another_plugin_of_the_same_name_is_not_the_trials(
    write_plugin_sweep: WriteSweep, tmp_path: Path
) -> None:
    write_plugin_sweep(tmp_path, 0)
    base, run = tmp_path / "base.yaml", tmp_path / "runs" / "base"
    main(["train", str(base), "--allow-plugins", "--runs-dir", str(run.parent), "--threads", "1", "--quiet"])
    assert _is_run_of(run, load_config(base), tmp_path)
    with (tmp_path / "swept_tanh.py").open("a") as plugin:
        plugin.write("# another version\n")
    import_plugins(base)
    assert not _is_run_of(run, load_config(base), tmp_path)


def test_the_printed_command_trains_the_best_config_without_the_plugins_first_place(
    write_plugin_sweep: WriteSweep, tmp_path: Path
) -> None:
    base = tmp_path / "first place"
    base.mkdir()
    file = write_plugin_sweep(base, 1)
    (tmp_path / "my data").mkdir()
    command = ["nnscratch", "sweep", str(file), "--runs-dir", "my runs", "--data-dir", "my data", "--threads", "1",
               "--no-plots", "--allow-plugins"]  # fmt: skip

    def run(words: list[str]) -> str:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = re.search("train it again: (.*)", run(command))
    assert printed is not None
    words = shlex.split(printed[1])
    assert words == ["nnscratch", "train", "my runs/sweeps/tiny/best.yaml", "--data-dir", "my data", "--allow-plugins"]
    shutil.rmtree(base)
    run([*words, "--no-plots"])
    assert (tmp_path / "runs" / "tiny-best" / "plugins" / "swept_tanh.py").read_text() == LAYER
