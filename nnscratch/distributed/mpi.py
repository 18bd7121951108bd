"""The Communicator of processes that MPI started: mpi4py is imported here, and only here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from mpi4py import MPI

from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.compute.communicator import Communicator


class Processes(Communicator):
    """All processes of this MPI job. What MPI finds wrong is raised as MPI.Exception.

    A sum is not MPI's own, whose order is the implementation's business: everybody is sent the parts (all to all, as
    many bytes as a reduce-scatter takes at least), and adds them up in the order of the ranks. So a training repeats
    itself to the last bit, whatever the network between the machines does.
    """

    def __init__(self) -> None:
        self._all = MPI.COMM_WORLD.Dup()
        self._all.Set_errhandler(MPI.ERRORS_RETURN)
        self.rank, self.size = self._all.Get_rank(), self._all.Get_size()
        self._buffers = Buffers()

    def stack(self, values: Array) -> Array:
        together = np.empty((self.size, *values.shape), values.dtype)
        self._all.Allgather(np.ascontiguousarray(values), together)
        return together

    def reduce_scatter(self, vector: Array, borders: Sequence[int]) -> None:
        counts, starts = _parts(borders)
        own = vector[borders[self.rank] : borders[self.rank + 1]]
        parts = self._buffers.get("parts", (self.size - 1, own.size), vector.dtype)
        counts[self.rank] = 0  # what stays here is not copied
        received = [0 if rank == self.rank else own.size for rank in range(self.size)]
        self._all.Alltoallv([vector, (counts, starts)], [parts, received])
        in_order = [*parts[: self.rank], own, *parts[self.rank :]]
        total = in_order[0]
        for rank, part in enumerate(in_order[1:], start=1):
            total = np.add(total, part, out=own if rank == self.size - 1 else parts[0])

    def all_gather(self, vector: Array, borders: Sequence[int]) -> None:
        self._all.Allgatherv(MPI.IN_PLACE, [vector, _parts(borders)])

    def abort(self, code: int) -> None:
        """Ends all processes of the job at once."""
        self._all.Abort(code)


def _parts(borders: Sequence[int]) -> tuple[list[int], list[int]]:
    """How long the parts are, and where they start."""
    return [stop - start for start, stop in pairwise(borders)], list(borders[:-1])
