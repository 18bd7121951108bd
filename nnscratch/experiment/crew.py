"""Several processes at one job that they share out among themselves: started, heard, replaced when killed, ended."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from nnscratch.config.config import Tell
from nnscratch.errors import UserError
from nnscratch.files import write_atomically
from nnscratch.host.interruption import StopRequest
from nnscratch.host.python_process import working_directory_left_out
from nnscratch.host.trouble import is_trouble_of_the_machine, reason, traceback_of

PAUSE = 0.1
MOST_DEATHS = 10
"""A training whose process dies every time must not keep the others from ending."""


class Job(Protocol):
    """What each process does, to the end: takes a piece of the work that no other has, and again, until none is left.

    It can be sent to another process.
    """

    @property
    def folder(self) -> Path:
        """Where the traceback of what nobody expected is kept."""

    @property
    def again(self) -> str:
        """How to go on after an error: `start the sweep again`."""

    def __call__(self, stop: StopRequest, tell: Tell) -> None:
        """Raises UserError when this machine cannot go on."""


def work_in_processes(job: Job, workers: int, stop: StopRequest, tell: Tell, progress: Callable[[], int]) -> None:
    """Has that many processes at the job, until all have ended. `progress` is a number that grows while they get on.

    Raises UserError when one of them cannot go on.
    """
    crew: list[_Worker] = []
    errors: list[tuple[str, str | None]] = []
    deaths = _Deaths(progress, MOST_DEATHS * workers)
    asked = False
    try:
        crew += (_Worker.start(job) for _ in range(workers))
        while any(worker.process.is_alive() for worker in crew):
            if stop.wanted and not asked:
                asked = True
                for worker in crew:
                    worker.process.terminate()  # SIGTERM: the training saves and ends
            time.sleep(PAUSE)
            for index, worker in enumerate(crew):
                worker.hear(tell, errors)
                if worker.was_killed and not stop.wanted and not deaths.are_too_many():
                    crew[index] = _Worker.start(job)
    except KeyboardInterrupt:  # the second one
        stop.ask("interrupted")
        for worker in crew:
            worker.process.kill()
    except BaseException:  # one that cannot be started: the others save and end
        for worker in crew:
            worker.process.terminate()
        raise
    finally:
        for worker in crew:
            worker.process.join()
            worker.hear(tell, errors)
    if stop.wanted:
        return
    if errors:
        raise UserError(*errors[0])
    if any(worker.was_killed for worker in crew):
        raise UserError("workers are killed again and again before they get on", f"{job.again} to go on")
    if any(worker.process.exitcode for worker in crew):
        raise UserError("a worker ended without a word", f"{job.again} to go on")


@dataclass
class _Deaths:
    """Counts workers that died without the work getting on since the one before."""

    progress: Callable[[], int]
    most: int
    count: int = 0
    seen: int = -1

    def are_too_many(self) -> bool:
        """With the one that was just found dead."""
        with suppress(Exception):  # a storage that is away
            progress = self.progress()
            if progress > self.seen:
                self.count, self.seen = 0, progress
        self.count += 1
        return self.count > self.most


@dataclass
class _Worker:
    """A worker process, and what it says."""

    process: BaseProcess
    voice: Connection

    @classmethod
    def start(cls, job: Job) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_live, args=(job, theirs))
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


def _live(job: Job, voice: Connection) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def say(kind: str, message: str, hint: str | None = None) -> None:
        with suppress(OSError):  # the parent is gone
            voice.send((kind, message, hint))

    with StopRequest(("SIGTERM", "SIGHUP")) as stop:
        try:
            threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
            job(stop, lambda text: say("warning", text))
        except UserError as error:
            say("error", error.message, error.hint)
            sys.exit(1)
        except Exception as error:
            hint = f"mend that, and {job.again}"
            if not is_trouble_of_the_machine(error):
                hint = f"this is a fault in nnscratch; its traceback is in {_keep_traceback(error, job.folder)}"
            say("error", f"{type(error).__name__} in a worker: {reason(error)}", hint)
            sys.exit(1)


def _keep_traceback(error: Exception, folder: Path) -> Path:
    path = folder / "worker-error.txt"
    with suppress(OSError):
        write_atomically(path, traceback_of(error))
    return path


def _watch_parent(stop: StopRequest) -> None:
    """A worker whose parent was killed ends, too; its work is free for the next start."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    stop.ask("interrupted")
