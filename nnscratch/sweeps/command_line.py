"""`nnscratch sweep`: reads the file, checks it against the config and the data, and sets workers to it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnscratch.config.assembly import prepare
from nnscratch.config.names import EXPECTED, is_folder_name
from nnscratch.config.numbers import Number
from nnscratch.config.override import override
from nnscratch.distributed.launch import mpirun_command
from nnscratch.errors import ConfigError, Interrupted, UsageError, UserError, listed, without_password
from nnscratch.experiment.mirrors.wandb import require_mirrorable
from nnscratch.files import write_atomically
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.trouble import is_trouble_of_the_machine, reason
from nnscratch.host.workplace import Workplace
from nnscratch.report.formats import setting
from nnscratch.runs.starting import with_whole_path
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.board import Board
from nnscratch.sweeps.comparable import unlike_seeds
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.estimate import SweepEstimate, estimate
from nnscratch.sweeps.fitting import data_digest, overruled_by_the_command, require_accuracy
from nnscratch.sweeps.outcome import SweepSummary, conclude, draw
from nnscratch.sweeps.study import FINISHED, Study
from nnscratch.sweeps.sweep_file import copy_of, load_sweep
from nnscratch.sweeps.sweep_page import PAGE, SweepPage
from nnscratch.sweeps.wandb_engine import WandbSweep, sweep_on_wandb
from nnscratch.sweeps.worker import work, work_in_processes

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
    dry_run: bool = False
    """Whether it is only estimated."""
    ranks: int = 1
    """Processes that train one trial together."""

    def check(self) -> None:
        """Raises UsageError for a number or a name without a meaning."""
        if self.name is not None and not is_folder_name(self.name):
            raise UsageError(f"--name {self.name}: {EXPECTED}")
        Number(least=1, most=1000, whole=True).require("--workers", self.workers)
        Number(least=1, most=100_000, whole=True).require("--ranks-per-trial", self.ranks)
        if self.ranks > 1:
            mpirun_command(self.ranks)
        Number(above=0).require("--lease", self.lease_seconds)
        if self.count is not None:
            Number(least=1, whole=True).require("--count", self.count)
        if self.seed is not None:
            Number(least=0, whole=True).require("--seed", self.seed)
        if self.engine == "wandb":
            self._require_local()

    def _require_local(self) -> None:
        """Raises UsageError for what W&B, which chooses the trials and keeps them, could not follow."""
        standard = SweepOptions()
        without_meaning = {
            "--seed": (self.seed != standard.seed, "write seed=NUMBER beside the file for that of the trials"),
            "--workers": (self.workers != standard.workers, "start more agents: wandb agent SWEEP"),
            "--ranks-per-trial": (self.ranks != standard.ranks, "W&B's agents train each trial in one process"),
            "--storage": (self.storage != standard.storage, "W&B keeps the trials"),
            "--lease": (self.lease_seconds != standard.lease_seconds, "W&B keeps the trials"),
            "--extend": (self.extend, "W&B has a sweep of its own for every start"),
            "--plots": (self.trial_plots, "write --plots into the file's `command`"),
            "--wandb": (self.wandb != standard.wandb, "an agent's trials are always on W&B"),
        }
        for option, (is_given, instead) in without_meaning.items():
            if is_given:
                raise UsageError(f"{option} has no meaning with --engine wandb", f"leave it out; {instead}")


def sweep(
    file: Path, how: SweepOptions, workplace: Workplace, display: Display, overrides: Sequence[str] = ()
) -> SweepSummary | SweepEstimate | WandbSweep:
    """Runs a sweep to its end, or goes on with it: one name under one --runs-dir is one sweep.

    Asked to stop, it ends early with every trial saved. Raises UserError when it cannot be run.
    """
    how.check()
    definition = load_sweep(file, how.count, how.allow_plugins, overrides)
    definition = replace(definition, name=how.name or definition.name)
    for warning in definition.warnings:
        display.warn(warning)
    if how.dry_run:
        for note in (*definition.notes, *unlike_seeds(definition)):
            display.say(f"note: {note}")
        seed = definition.command.load().seed if how.seed is None else how.seed
        return estimate(definition, seed, how.workers, workplace, display)
    if how.engine == "wandb":
        if problems := overruled_by_the_command(definition):
            raise ConfigError(problems)
        _require_mirrorable(definition, "online")
        return sweep_on_wandb(definition, how.name, how.count, workplace, display)
    folder = workplace.runs_dir / "sweeps" / definition.name
    try:
        base = with_whole_path(definition.command.load(), workplace.runs_dir)
        _require_mirrorable(definition, how.wandb or base.wandb.mode)
        prepared = prepare(base, workplace, display)  # data that is missing is missed once, and fetched once
        require_accuracy(definition, prepared.dataset)
        assignment = Assignment(
            definition,
            base.seed if how.seed is None else how.seed,
            folder,
            how.storage,
            how.lease_seconds,
            how.allow_plugins,
            replace(
                workplace,
                threads=machine.choose_threads(workplace.threads),
                plots=how.trial_plots,
                download=False,
            ),
            how.wandb,
            how.ranks,
            data_digest(definition, prepared.dataset),
        )
        study = assignment.open_study(how.extend)
        write_atomically(folder / "sweep.yaml", copy_of(definition))
        _announce(study, folder, display)
        if workplace.plots:
            display.say(f"as it goes: {folder / PAGE}")
    except KeyboardInterrupt:
        raise _interrupted("interrupted before a trial was begun", definition, how, workplace, folder) from None
    return _run(study, assignment, how, workplace, display)


def _require_mirrorable(definition: SweepDefinition, mode: str) -> None:
    """Raises ConfigError, before anything is trained, for what W&B would refuse of every trial."""
    own = definition.project if definition.command.load().wandb.project is None else None
    changes = () if own is None else (override("wandb.project", own),)
    require_mirrorable(definition.command.load(changes), mode)


def _announce(study: Study, folder: Path, display: Display) -> None:
    definition, before = study.definition, study.trials()
    display.say(f"{definition.name}: {definition.method}, {study.total} trials of {definition.command.config}")
    for note in (*definition.notes, *unlike_seeds(definition)):
        display.say(f"note: {note}")
    for path, numbers in study.unlike.items():
        display.warn(
            f"{path} is {setting(definition.constants[path])} for all trials from now on, and was not for "
            f"{len(numbers)} of before (trial {listed(numbers, 8)}): the leaderboard, where it is a column, "
            "has unlike trials"
        )
    display.say(f"study in {study.label}, trials in {folder / 'trials'}")
    if before:
        done = sum(trial.status in FINISHED for trial in before)
        display.say(f"going on: {done} of {study.total} trials are done")


def _run(
    study: Study, assignment: Assignment, how: SweepOptions, workplace: Workplace, display: Display
) -> SweepSummary:
    """Works until the sweep is over, and concludes, however it ended."""
    folder = assignment.folder
    trouble: UserError | None = None
    page = SweepPage(study, folder, display) if workplace.plots else None
    with StopRequest() as stop:
        try:
            with Board(study, display, page.show if page is not None else None).shown():
                if how.workers == 1:
                    work(study, assignment, stop, display.warn)
                else:
                    work_in_processes(study, assignment, how.workers, stop, display.warn)
        except KeyboardInterrupt:  # the second one
            stop.ask("interrupted")
        except UserError as error:
            trouble = error
        except Exception as error:
            if not is_trouble_of_the_machine(error):
                raise
            trouble = UserError(reason(error), "mend that, and start the sweep again: it goes on where it was")
        if stop.wanted:
            trouble = _interrupted(
                f"interrupted; every trial is saved in {folder}", study.definition, how, workplace, folder
            )
        try:
            summary = conclude(study, folder, workplace)
        except Exception:
            if page is not None:
                page.end(None)
            if trouble is None:
                raise
            raise trouble from None  # what stops trials often stops the leaderboard, too
    if page is not None and trouble is None:
        trouble = _drawn(study, summary, stop, how, workplace, folder, display)
    summary = replace(summary, stopped=trouble)
    if page is not None:
        page.end(summary)
    return summary


def _drawn(
    study: Study,
    summary: SweepSummary,
    stop: StopRequest,
    how: SweepOptions,
    workplace: Workplace,
    folder: Path,
    display: Display,
) -> UserError | None:
    """Draws the plots of a sweep that is over; what is to be said when somebody interrupts that."""
    try:
        if stop.wanted:
            raise KeyboardInterrupt
        if summary.trials:
            draw(study, summary.trials, folder, display)
    except KeyboardInterrupt:
        said = f"interrupted before the plots were drawn; all else is in {folder}"
        return _interrupted(said, study.definition, how, workplace, folder)
    return None


def _interrupted(
    said: str, definition: SweepDefinition, how: SweepOptions, workplace: Workplace, folder: Path
) -> Interrupted:
    command = ["nnscratch", "sweep", str(definition.path), *definition.overrides]
    command += ["--name", folder.name, "--runs-dir", str(workplace.runs_dir)]
    command += workplace.words_to_repeat()
    given = {
        "--count": how.count,
        "--seed": how.seed,
        "--storage": None if how.storage is None else without_password(how.storage),
        "--lease": None if how.lease_seconds == LEASE_SECONDS else how.lease_seconds,
        "--workers": None if how.workers == 1 else how.workers,
        "--ranks-per-trial": None if how.ranks == 1 else how.ranks,
        "--threads": workplace.threads,
        "--wandb": how.wandb,
    }
    for option, value in given.items():
        command += [option, str(value)] if value is not None else []
    command += ["--plots"] if how.trial_plots else []
    command += [] if workplace.plots else ["--no-plots"]
    command += ["--allow-plugins"] if how.allow_plugins else []
    return Interrupted(said, f"go on with: {shlex.join(command)}")
