"""Whether this process was started as one of several by mpirun or srun: told by the environment, without MPI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from nnscratch.errors import UsageError

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""How many processes: Open MPI's name, and that of MPICH, Intel MPI and their like."""
RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class Launch:
    """How many processes were started together, and which of them this is."""

    size: int
    rank: int


def launched(environment: Mapping[str, str]) -> Launch | None:
    """What a launcher of MPI says of this process; None when it was started alone.

    SLURM's number of tasks alone does not tell: sbatch sets it for a script that runs once. srun's step has that many
    processes, and when srun starts them for MPI (--mpi=pmix or pmi2) there is a variable of that, too.
    """
    size = _number(environment, SIZES)
    if size is None and any(name in environment for name in ("PMIX_RANK", "PMI_RANK", "PMI_FD")):
        size = _number(environment, ("SLURM_STEP_NUM_TASKS",))
    if size is None or size < 2:
        return None
    return Launch(size, _number(environment, RANKS) or 0)


def without_mpi4py(launch: Launch) -> UsageError:
    """The refusal to train the same thing several times at once."""
    return UsageError(
        f"started as {launch.size} processes by mpirun or srun, but mpi4py is not installed: each would train alone",
        "pip install 'nnscratch[mpi]' brings it and Open MPI; or start nnscratch without mpirun",
    )


def mpirun_command(ranks: int) -> list[str]:
    """The words before a command that start it as so many processes. Raises UsageError when there is no mpirun."""
    beside = Path(sys.executable).parent / "mpirun"
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    if mpirun is None or find_spec("mpi4py") is None:
        raise UsageError("there is no mpirun, or no mpi4py", "pip install 'nnscratch[mpi]' brings both")
    # Several of them on one machine know nothing of each other: none may take a core for itself.
    words = [mpirun, "--bind-to", "none", "-n", str(ranks)]
    return words if ranks <= (os.cpu_count() or 1) else [*words, "--oversubscribe"]


def _number(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    return next((int(environment[name]) for name in names if environment.get(name, "").isdecimal()), None)
