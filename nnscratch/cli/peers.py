"""The other processes of a command that mpirun started: joined at its beginning, and told how it ended.

Rank 0 speaks, writes and decides; the others take part, with their output led to nowhere.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypedDict

from nnscratch.distributed.launch import Launch, launched, without_mpi4py
from nnscratch.errors import DivergenceError, Interrupted, UsageError, UserError

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from nnscratch.distributed.lifeline import Failure, Lifeline
    from nnscratch.distributed.mpi import Processes
    from nnscratch.experiment.loss_of_peers import LossOfPeers
    from nnscratch.host.workplace import Workplace
    from nnscratch.nn.compute.communicator import Communicator


class Together(TypedDict, total=False):
    """What a training is given when several processes share it."""

    communicator: Communicator
    observers: Sequence[LossOfPeers]


TOGETHER = ("train", "evaluate", "predict")
"""The commands that processes share out."""
ALONE = ("plot", "export", "serve", "init", "runs replay", "runs card", "runs compare", "runs mirror")
"""Those that write what there is one of: several processes would each do the whole, into the same files.

What only looks may be done by each, and downloads wait for each other; a sweep has processes of its own.
"""
BRINGS_BOTH = "`pip install 'nnscratch[mpi]'` brings mpi4py with a mpirun of its kind"
END = 600.0
"""Seconds that rank 0 may take to save and end; that it is gone is noticed at once."""
SPEAKING = 2.0
"""Seconds that rank 1 has for telling that rank 0 is gone: once mpirun sees another process end, it kills them all."""


def peers_of(arguments: Sequence[str]) -> Peers | None:
    """The processes that share this command; None when it was started alone. Raises UsageError without mpi4py."""
    launch = launched(os.environ)
    alone = next((each for each in ALONE if each.split() == list(arguments[: len(each.split())])), None)
    if launch is None or not arguments or (arguments[0] not in TOGETHER and alone is None):
        return None
    if launch.rank:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (to the end of the process)
    else:
        _see_the_launchers_terminal()
    if find_spec("mpi4py") is not None and alone is None:
        return Peers(launch)
    if launch.rank:
        time.sleep(SPEAKING)  # for the one that speaks
    raise without_mpi4py(launch) if alone is None else _no_shares(f"what `nnscratch {alone}` does")


def communicator_of(context: typer.Context) -> Communicator:
    """What the processes of this command tell each other by; of one alone, nothing."""
    from nnscratch.nn.compute.communicator import ALONE

    peers: Peers | None = context.obj
    return ALONE if peers is None else peers.communicator


def threads_of(context: typer.Context, threads: int | None) -> int | None:
    """How many threads to use: as asked for, else this process's share; None leaves it to the command."""
    peers: Peers | None = context.obj
    return threads if threads is not None or peers is None else peers.threads()


def share_of(context: typer.Context, workplace: Workplace, resumed: Path | None = None) -> tuple[Workplace, Together]:
    """This process's part in a training: its threads, whether it draws, and what joins it with the others.

    Of a run that as many processes go on with as trained it, the threads are left to the run: so it repeats to the
    last bit.
    """
    peers: Peers | None = context.obj
    if peers is None:
        return workplace, {}
    leads, threads = peers.communicator.rank == 0, threads_of(context, workplace.threads)
    if workplace.threads is None and resumed is not None and _ranks_of(resumed) == peers.communicator.size:
        threads = None
    shared = replace(workplace, threads=threads, plots=workplace.plots and leads)
    return shared, {"communicator": peers.communicator, "observers": [peers.loss]}


def _ranks_of(run: Path) -> int | None:
    """How many processes trained a run, or the one of a checkpoint file, and say with how many threads they did."""
    from nnscratch.runs.directory import RunDirectory
    from nnscratch.runs.names import folder_of

    machine = RunDirectory(folder_of(run)).read_meta().machine
    return machine.ranks if machine.threads is not None else None


def refuse_several(context: typer.Context, what: str) -> None:
    """Raises UsageError when mpirun started several processes for what they cannot share out."""
    if context.obj is not None:
        raise _no_shares(what)


def _no_shares(what: str) -> UsageError:
    return UsageError(f"{what} cannot be shared out by mpirun or srun", "start it as one process")


class Peers:
    """What this process and the others have in common, from the moment on that somebody asks for it."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._joined: tuple[Processes, Lifeline] | None = None

    @property
    def communicator(self) -> Processes:
        return self._join()[0]

    def _join(self) -> tuple[Processes, Lifeline]:
        if self._joined is None:
            try:
                from nnscratch.distributed.mpi import Processes
            except (ImportError, RuntimeError) as error:
                said = str(error).splitlines()[0]
                raise UsageError(f"mpi4py does not find an MPI library: {said}", BRINGS_BOTH) from None
            from nnscratch.experiment.loss_of_peers import LossOfPeers

            communicator = Processes()
            if communicator.size != self.launch.size:
                raise UserError(
                    f"{self.launch.size} processes were started, but mpi4py's MPI finds {communicator.size} of them: "
                    "it is not the MPI of that mpirun or srun",
                    BRINGS_BOTH,
                )
            self.loss = LossOfPeers()
            self._joined = communicator, _lifeline(communicator, self._lost)
            self._joined[1].watch()
        return self._joined

    def threads(self) -> int:
        """How many threads this process may use: its share of the cores that it has in common with others."""
        from nnscratch import cpu

        communicator, lifeline = self._join()
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        place = json.dumps([lifeline.host, cores])
        return max(1, cpu.usable_threads() // communicator.texts(place).count(place))

    def leave(self) -> None:
        """Says goodbye, when all is done."""
        if self._joined is not None:
            self._joined[1].say_goodbye()

    def end(self, error: UserError) -> int:
        """Lets the others know that an error ends this process, and what it is; the code to exit with."""
        try:
            communicator, lifeline = self._join()
        except UserError:  # there are no others to be told
            return error.exit_code
        if communicator.rank == 0:
            lifeline.say_goodbye()
            if not lifeline.wait_for_others(2.0):
                communicator.abort(error.exit_code)  # they wait for this process, and would for ever
            return error.exit_code
        if _is_everybodys(error):
            lifeline.say_goodbye()
        else:
            lifeline.fail(error)
        return 0 if lifeline.wait_for_others(END) else error.exit_code

    def _lost(self, failure: Failure) -> None:
        """In the lifeline's thread, while the main thread waits for who will not come."""
        from nnscratch.host.display import print_error

        communicator, lifeline = self._join()
        if communicator.rank < 2:
            sys.stderr = sys.__stderr__  # a moving bar may have it
        if communicator.rank == 0:
            hints = filter(None, [failure.hint, self.loss.note(str(failure))])
            print_error(str(UserError(str(failure), "; ".join(hints) or None)))
            lifeline.say_goodbye()
            communicator.abort(failure.exit_code)
        elif communicator.rank == 1:
            print_error(str(UserError(str(failure), self.loss.note(str(failure)))))
        else:
            time.sleep(SPEAKING)
        os._exit(failure.exit_code)


def _lifeline(communicator: Processes, lost: Callable[[Failure], None]) -> Lifeline:
    """The lines to the others; without them the job ends, since nobody could be told anything."""
    from nnscratch.distributed.lifeline import Lifeline
    from nnscratch.host.display import print_error

    try:
        return Lifeline(communicator, lost)
    except OSError as error:
        sys.stderr = sys.__stderr__
        print_error(f"rank {communicator.rank} and rank 0 cannot reach each other by TCP: {error}")
        communicator.abort(1)
        raise


class _Redirected(io.TextIOWrapper):
    """A pseudo-terminal of mpirun's, which goes on to a file or a pipe."""

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        """Leaves the buffer open when this wrapper is forgotten: it is that of another one, too."""
        self.flush()


def _see_the_launchers_terminal() -> None:
    """mpirun gives its processes a terminal even when its own output is led elsewhere: no bar is to move there."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            target = os.readlink(f"/proc/{os.getppid()}/fd/{number}")
        except OSError:
            continue
        if not target.startswith(("/dev/pts/", "/dev/tty")):
            stream = _Redirected(getattr(sys, name).buffer, "utf-8", "backslashreplace", line_buffering=True)
            setattr(sys, name, stream)


def _is_everybodys(error: UserError) -> bool:
    """Whether all processes end by it, at the same point: those that a step, or all together, decide on."""
    if isinstance(error, Interrupted):  # one that was made of a KeyboardInterrupt is this process's alone
        return error.__traceback__ is not None and not isinstance(error.__context__, KeyboardInterrupt)
    return isinstance(error, DivergenceError)
