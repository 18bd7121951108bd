"""A trial that mpirun trains with several processes: started, watched by the run's own files, and stopped from here."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from nnscratch.config.assembly import prepare
from nnscratch.config.config import Config
from nnscratch.distributed.launch import mpirun_command
from nnscratch.errors import DivergenceError, Interrupted, UserError
from nnscratch.host.display import LogDisplay
from nnscratch.host.interruption import TAKEN_OVER, StopRequest
from nnscratch.host.python_process import module_command
from nnscratch.host.workplace import Workplace
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.header import header_of
from nnscratch.runs.names import numbered
from nnscratch.sweeps.trial_observer import TrialObserver, chance_level
from nnscratch.training.progress import EpochResult

PAUSE = 0.2
"""Seconds between two looks at the run."""


@dataclass(frozen=True)
class Ranks:
    """How one trial is trained by several processes."""

    number: int
    workplace: Workplace
    allow_plugins: bool
    wandb: str | None

    def train(
        self, config: Config, words: Sequence[str], observer: TrialObserver, stop: StopRequest, path: Path | None
    ) -> None:
        """Trains the config, which `train` makes of these words, or goes on with the run at that path.

        Raises DivergenceError, Interrupted, or UserError with what the processes said.
        """
        assembly = prepare(config, self.workplace, LogDisplay())  # a config that cannot be trained is told here
        new = (each for each in numbered(self.workplace.runs_dir, config.name) if not each.exists())
        run = RunDirectory(path or next(new))
        updates = _updates(run)
        observer.begin_run(run, config.training.epochs, run.read_history(), updates, chance_level(assembly.splits))
        told = len(run.read_history())
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = None if stop.wanted else self._start(words if path is None else ["--resume", str(path)], said)
            try:
                while process is not None and process.poll() is None:
                    time.sleep(PAUSE)
                    told = _tell(run, told, observer)
                    if stop.wanted:
                        # Another process goes on with what was taken over: nothing more is to be written.
                        _stop(process, at_once=stop.reason == TAKEN_OVER)
            except BaseException:
                if process is not None:
                    _stop(process, at_once=True)
                raise
            _tell(run, told, observer)
            said.seek(0)
            self._conclude(run, process.returncode if process is not None else None, said.read(), stop)

    def _start(self, words: Sequence[str], said: IO[str]) -> subprocess.Popen[str]:
        place, threads = self.workplace, max(1, (self.workplace.threads or 1) // self.number)
        command = ["train", *words, "--runs-dir", str(place.runs_dir), "--data-dir", str(place.data_dir)]
        command += ["--threads", str(threads), "--quiet", "--plots" if place.plots else "--no-plots"]
        command += ["--allow-plugins"] if self.allow_plugins else []
        command += ["--wandb", self.wandb] if self.wandb is not None else []
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        line = [*mpirun_command(self.number), *module_command("nnscratch", *command)]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            line, stdin=nothing, stdout=nothing, stderr=said, encoding="utf-8", env=environment, start_new_session=True
        )

    def _conclude(self, run: RunDirectory, code: int | None, said: str, stop: StopRequest) -> None:
        """Raises what the way it ended means, unless it is completed."""
        meta = run.read_meta()
        if code == 0:
            return
        if stop.wanted and meta.status in ("interrupted", "running", "unknown"):
            if stop.reason == "pruned" and meta.status == "interrupted":
                run.write_meta(replace(meta, status="pruned"))
            raise Interrupted(stop.reason or "interrupted")
        if meta.status == "diverged":
            raise DivergenceError(meta.error or "diverged")
        errors = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
        raise UserError(meta.error or next(iter(errors), f"mpirun ended with exit code {code}"))


def _stop(process: subprocess.Popen[str], at_once: bool) -> None:
    """With everything saved; or at once: mpirun passes SIGTERM on and kills a moment later."""
    process.send_signal(signal.SIGTERM if at_once else signal.SIGUSR1)
    process.wait()


def _updates(run: RunDirectory) -> int:
    """How far the run's checkpoint is."""
    if not run.last.exists():
        return 0
    progress = header_of(load_checkpoint(run.last), run.last).progress or {}
    return int(progress.get("updates", 0))


def _tell(run: RunDirectory, told: int, observer: TrialObserver) -> int:
    """Tells the epochs that are new; how many are told by now."""
    rows = run.read_history()
    for row in rows[told:]:
        observer.epoch(EpochResult(int(row["epoch"]), row), False)
    return max(told, len(rows))
