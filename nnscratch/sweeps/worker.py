"""Workers: take trials from the study until none is left; one in this process, or several in processes of their own."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from nnscratch.config.config import Tell
from nnscratch.experiment import crew
from nnscratch.host.interruption import StopRequest
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.study import Study
from nnscratch.sweeps.trial import run_trial
from nnscratch.sweeps.trouble import Patience


def work(study: Study, assignment: Assignment, stop: StopRequest, tell: Tell) -> None:
    """Trains one trial after the other until the sweep is over or a stop is wanted.

    What others are training is waited for: when one of them dies, its trial is taken up here. Raises UserError when
    this machine cannot go on.
    """
    patience = Patience(stop, tell)
    while not stop.wanted:
        trial = patience(study.claim)
        if trial is not None:
            run_trial(study, trial, assignment, patience)
        elif study.is_over(patience(study.trials)):
            return
        else:
            time.sleep(crew.PAUSE)


def work_in_processes(study: Study, assignment: Assignment, workers: int, stop: StopRequest, tell: Tell) -> None:
    """As `work`, by several processes that share the threads out, until all have ended. `study` is looked at alone."""
    threads = max(1, (assignment.workplace.threads or 1) // workers)
    own = replace(assignment, workplace=replace(assignment.workplace, threads=threads))
    crew.work_in_processes(_Share(own), workers, stop, tell, study.progress)


@dataclass(frozen=True)
class _Share:
    """What each of the processes does."""

    assignment: Assignment
    again = "start the sweep again"

    @property
    def folder(self) -> Path:
        return self.assignment.folder

    def __call__(self, stop: StopRequest, tell: Tell) -> None:
        if self.assignment.allow_plugins:
            import_plugins(self.assignment.definition.command.config)
        work(self.assignment.open_study(), self.assignment, stop, tell)
