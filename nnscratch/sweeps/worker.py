"""Workers: take trials from the study until none is left; one in this process, or several in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from nnscratch.config.config import Tell
from nnscratch.errors import UserError
from nnscratch.host.interruption import StopRequest
from nnscratch.host.python_process import working_directory_left_out
from nnscratch.report.files import write_atomically
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.study import MOST_DEATHS, Study
from nnscratch.sweeps.trial import run_trial
from nnscratch.sweeps.trouble import Patience, is_trouble_of_the_machine, reason

PAUSE = 0.5


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
            time.sleep(PAUSE)


def work_in_processes(study: Study, assignment: Assignment, workers: int, stop: StopRequest, tell: Tell) -> None:
    """As `work`, by several processes that share the threads out, until all have ended. `study` is looked at alone."""
    threads = max(1, (assignment.workplace.threads or 1) // workers)
    own = replace(assignment, workplace=replace(assignment.workplace, threads=threads))
    crew = [_Worker.start(own) for _ in range(workers)]
    errors: list[tuple[str, str | None]] = []
    deaths = _Deaths(study, MOST_DEATHS * workers)
    asked = False
    try:
        while any(worker.process.is_alive() for worker in crew):
            if stop.wanted and not asked:
                asked = True
                for worker in crew:
                    worker.process.terminate()  # SIGTERM: the training saves and ends
            time.sleep(PAUSE / 5)
            for index, worker in enumerate(crew):
                worker.hear(tell, errors)
                if worker.was_killed and not stop.wanted and not deaths.are_too_many():
                    crew[index] = _Worker.start(own)
    except KeyboardInterrupt:  # the second one
        stop.ask("interrupted")
        for worker in crew:
            worker.process.kill()
    finally:
        for worker in crew:
            worker.process.join()
            worker.hear(tell, errors)
    if stop.wanted:
        return
    if errors:
        raise UserError(*errors[0])
    if any(worker.was_killed for worker in crew):
        raise UserError("workers are killed again and again before they get on", "start the sweep again to go on")
    if any(worker.process.exitcode for worker in crew):
        raise UserError("a worker ended without a word", "start the sweep again to go on")


@dataclass
class _Deaths:
    """Counts workers that died without any trial of the study getting on since the one before."""

    study: Study
    most: int
    count: int = 0
    progress: int = -1

    def are_too_many(self) -> bool:
        """With the one that was just found dead."""
        with suppress(Exception):  # the storage is away
            progress = self.study.progress()
            if progress > self.progress:
                self.count, self.progress = 0, progress
        self.count += 1
        return self.count > self.most


@dataclass
class _Worker:
    """A worker process, and what it says."""

    process: BaseProcess
    voice: Connection

    @classmethod
    def start(cls, assignment: Assignment) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_live, args=(assignment, os.getpid(), theirs))
        with working_directory_left_out():
            resource_tracker.ensure_running()  # which would let interrupts through again
            with _interrupts_held_back():
                process.start()
        theirs.close()
        return cls(process, ours)

    @property
    def was_killed(self) -> bool:
        return self.process.exitcode is not None and self.process.exitcode < 0

    def hear(self, tell: Tell, errors: list[tuple[str, str | None]]) -> None:
        """Passes on what it has said; a reason to end is kept, once however many workers have it."""
        with suppress(EOFError, OSError):
            while self.voice.poll():
                kind, message, hint = self.voice.recv()
                if kind == "warning":
                    tell(message)
                elif (message, hint) not in errors:
                    errors.append((message, hint))


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process started inside never sees Ctrl-C, from its first moment on: this one does, and asks it to stop."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _live(assignment: Assignment, parent: int, voice: Connection) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def say(kind: str, message: str, hint: str | None = None) -> None:
        with suppress(OSError):  # the parent is gone
            voice.send((kind, message, hint))

    with StopRequest(("SIGTERM", "SIGHUP")) as stop:
        try:
            threading.Thread(target=_watch_parent, args=(parent, stop), daemon=True).start()
            if assignment.allow_plugins:
                import_plugins(assignment.definition.command.config)
            work(assignment.open_study(), assignment, stop, lambda text: say("warning", text))
        except UserError as error:
            say("error", error.message, error.hint)
            sys.exit(1)
        except Exception as error:
            hint = "mend that, and start the sweep again"
            if not is_trouble_of_the_machine(error):
                hint = f"this is a fault in nnscratch; its traceback is in {_keep_traceback(error, assignment)}"
            say("error", f"{type(error).__name__} in a worker: {reason(error)}", hint)
            sys.exit(1)


def _keep_traceback(error: Exception, assignment: Assignment) -> Path:
    path = assignment.folder / "worker-error.txt"
    with suppress(OSError):
        write_atomically(path, "".join(traceback.format_exception(error)).encode())
    return path


def _watch_parent(parent: int, stop: StopRequest) -> None:
    """A worker whose sweep was killed ends, too; its trial is free for the next start."""
    while os.getppid() == parent:
        time.sleep(PAUSE)
    stop.ask("interrupted")
