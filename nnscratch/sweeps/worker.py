"""Workers: take trials from the study until none is left; one in this process, or several in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from nnscratch.errors import Interrupted, UserError
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.storage import open_storage
from nnscratch.sweeps.study import MOST_DEATHS, Study
from nnscratch.sweeps.trial import patiently, run_trial

PAUSE = 0.5


@dataclass(frozen=True)
class Assignment:
    """What a worker must know; it can be sent to another process."""

    definition: SweepDefinition
    seed: int
    folder: Path
    storage: str | None
    lease_seconds: float
    allow_plugins: bool
    workplace: Workplace
    wandb: str | None = None
    """The mode of the trials' mirrors on W&B, in place of their configs'."""

    def open_study(self, extend: bool = False) -> Study:
        """The study with the trials to take from."""
        shared = open_storage(self.storage, self.folder, self.definition.name)
        return Study(shared, self.definition, self.seed, self.lease_seconds, extend)


def work(study: Study, assignment: Assignment, stop: StopRequest) -> None:
    """Trains one trial after the other until the sweep is over or a stop is wanted.

    What others are training is waited for: when one of them dies, its trial is taken up here.
    """
    while not stop.wanted:
        trial = patiently(study.claim, stop)
        if trial is not None:
            run_trial(study, trial, assignment.folder, assignment.workplace, assignment.wandb, stop)
        elif study.is_over(patiently(study.trials, stop)):
            return
        else:
            time.sleep(PAUSE)


def work_in_processes(assignment: Assignment, workers: int, stop: StopRequest) -> None:
    """As `work`, by several processes that share the threads out. Raises UserError when they cannot work."""
    threads = max(1, (assignment.workplace.threads or 1) // workers)
    own = replace(assignment, workplace=replace(assignment.workplace, threads=threads))
    context = multiprocessing.get_context("spawn")

    def start() -> BaseProcess:
        process = context.Process(target=_process, args=(own, os.getpid()))
        process.start()
        return process

    processes = [start() for _ in range(workers)]
    deaths = 0
    asked = False
    try:
        while any(process.is_alive() for process in processes):
            if stop.wanted and not asked:
                asked = True
                _terminate(processes)
            time.sleep(PAUSE / 5)
            for index, process in enumerate(processes):
                if process.exitcode is not None and process.exitcode < 0 and not stop.wanted:
                    deaths += 1  # killed from outside, or out of memory: the study counts a trial's deaths, too
                    if deaths <= MOST_DEATHS * workers:
                        processes[index] = start()
    except BaseException:
        _terminate(processes)
        raise
    finally:
        for process in processes:
            process.join()
    if any(process.exitcode not in (0, 130) for process in processes):
        raise UserError("a worker failed; what it said is above", "start the sweep again to go on")


def _terminate(processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()  # SIGTERM: the training saves and ends


def _process(assignment: Assignment, parent: int) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with StopRequest() as stop:
            threading.Thread(target=_watch_parent, args=(parent, stop), daemon=True).start()
            if assignment.allow_plugins:
                import_plugins(assignment.definition.command.config)
            work(assignment.open_study(), assignment, stop)
        sys.exit(130 if stop.wanted else 0)
    except (Interrupted, KeyboardInterrupt):
        sys.exit(130)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


def _watch_parent(parent: int, stop: StopRequest) -> None:
    """A worker whose sweep was killed ends, too; its trial is free for the next start."""
    while os.getppid() == parent:
        time.sleep(PAUSE)
    stop.ask("interrupted")
