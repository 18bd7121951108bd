"""`nnscratch sweep`: reads the file, checks it against the config and the data, and sets workers to it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from nnscratch.config.assembly import prepare
from nnscratch.config.names import EXPECTED, is_folder_name
from nnscratch.config.numbers import Number
from nnscratch.errors import Interrupted, UsageError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.report.files import write_atomically
from nnscratch.sweeps.board import Board
from nnscratch.sweeps.outcome import SweepSummary, conclude
from nnscratch.sweeps.study import FINISHED
from nnscratch.sweeps.sweep_file import load_sweep
from nnscratch.sweeps.wandb_engine import WandbSweep, sweep_on_wandb
from nnscratch.sweeps.worker import Assignment, work, work_in_processes

LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run: nothing of what it looks for."""

    name: str | None = None
    count: int | None = None
    seed: int | None = None
    workers: int = 1
    storage: str | None = None
    lease_seconds: float = LEASE_SECONDS
    engine: str = "local"
    trial_plots: bool = False
    """Plots and a report for every trial, besides those of the sweep."""
    extend: bool = False
    """Whether trials of before are kept when the search has changed."""
    allow_plugins: bool = False
    """Whether the user lets the config's Python files run."""
    wandb: str | None = None
    """The mode of the trials' mirrors on W&B, in place of their configs'."""

    def check(self) -> None:
        """Raises UsageError for a number without a meaning."""
        Number(least=1, most=1000, whole=True).require("--workers", self.workers)
        Number(above=0).require("--lease", self.lease_seconds)
        if self.count is not None:
            Number(least=1, whole=True).require("--count", self.count)
        if self.seed is not None:
            Number(least=0, whole=True).require("--seed", self.seed)


def sweep(file: Path, how: SweepOptions, workplace: Workplace, display: Display) -> SweepSummary | WandbSweep:
    """Runs a sweep to its end, or goes on with it: one name under one --runs-dir is one sweep.

    Asked to stop, it ends early with every trial saved. Raises UserError when it cannot be run.
    """
    how.check()
    if how.name is not None and not is_folder_name(how.name):
        raise UsageError(f"--name {how.name}: {EXPECTED}")
    definition = load_sweep(file, how.count, how.allow_plugins)
    definition = replace(definition, name=how.name or definition.name)
    for warning in definition.warnings:
        display.warn(warning)
    if how.engine == "wandb":
        return sweep_on_wandb(definition, how.count, display)
    threads = machine.choose_threads(workplace.threads)
    base = definition.command.load()
    prepare(base, workplace, display)  # data that is missing is missed once, and fetched once

    folder = workplace.runs_dir / "sweeps" / definition.name
    seed = base.seed if how.seed is None else how.seed
    assignment = Assignment(
        definition,
        seed,
        folder,
        how.storage,
        how.lease_seconds,
        how.allow_plugins,
        replace(workplace, threads=threads, plots=how.trial_plots, download=False),
        how.wandb,
    )
    study = assignment.open_study(how.extend)
    write_atomically(folder / "sweep.yaml", file.read_bytes())
    display.say(f"{definition.name}: {definition.method}, {study.total} trials of {definition.command.config}")
    for note in definition.notes:
        display.say(f"note: {note}")
    display.say(f"study in {study.label}, trials in {folder / 'trials'}")
    before = study.trials()
    done = sum(trial.status in FINISHED for trial in before)
    if before:
        display.say(f"going on: {done} of {study.total} trials are done")
    with StopRequest() as stop, Board(study, display):
        if how.workers == 1:
            work(study, assignment, stop)
        else:
            work_in_processes(assignment, how.workers, stop)
    summary = conclude(study, folder, workplace, display, workplace.plots and not stop.wanted)
    return replace(summary, interrupted=_interrupted(file, how, workplace, folder)) if stop.wanted else summary


def _interrupted(file: Path, how: SweepOptions, workplace: Workplace, folder: Path) -> Interrupted:
    command = ["nnscratch", "sweep", str(file), "--name", folder.name, "--runs-dir", str(workplace.runs_dir)]
    command += workplace.words_to_repeat()
    given = {
        "--count": how.count,
        "--seed": how.seed,
        "--storage": None if how.storage is None else machine.without_password(how.storage),
        "--lease": None if how.lease_seconds == LEASE_SECONDS else how.lease_seconds,
        "--workers": None if how.workers == 1 else how.workers,
        "--threads": workplace.threads,
        "--wandb": how.wandb,
    }
    for option, value in given.items():
        command += [option, str(value)] if value is not None else []
    command += ["--plots"] if how.trial_plots else []
    command += [] if workplace.plots else ["--no-plots"]
    command += ["--allow-plugins"] if how.allow_plugins else []
    return Interrupted(f"interrupted; every trial is saved in {folder}", f"go on with: {shlex.join(command)}")
