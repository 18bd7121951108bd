"""The Communicator of processes that MPI started: mpi4py is imported here, and only here."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from nnscratch.distributed.shared_memory import shared_vectors
from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.compute.communicator import Communicator


class Processes(Communicator):
    """All processes of this MPI job. What MPI finds wrong is raised as MPI.Exception.

    A sum is not MPI's own, whose order is the implementation's business: everybody is sent the parts (all to all, as
    many bytes as a reduce-scatter takes at least), and adds them up in the order of the ranks. So a training repeats
    itself to the last bit, whatever the network between the machines does. On one machine nothing is sent: the parts
    are read where the others have them, of vectors that `zeros` gave.
    """

    def __init__(self) -> None:
        self._all = MPI.COMM_WORLD.Dup()
        self._all.Set_errhandler(MPI.ERRORS_RETURN)
        self.rank, self.size = self._all.Get_rank(), self._all.Get_size()
        self._buffers = Buffers()
        self._shared: list[tuple[weakref.ref[Array], list[Array]]] = []
        """Vectors that `zeros` gave, for as long as somebody here has them, and those of the others."""
        self._common: list[weakref.ref[Array]] = []
        """Vectors that `common` gave, likewise."""

    def stack(self, values: Array) -> Array:
        together = np.empty((self.size, *values.shape), values.dtype)
        self._all.Allgather(np.ascontiguousarray(values), together)
        return together

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Array:
        vectors = shared_vectors(self, size, dtype)
        if vectors is None:
            return super().zeros(size, dtype)
        own = vectors.pop(self.rank)
        self._shared = [each for each in self._shared if each[0]() is not None]
        self._shared.append((weakref.ref(own), vectors))
        return own

    def common(self, size: int, dtype: npt.DTypeLike) -> Array | None:
        vectors = shared_vectors(self, size, dtype)
        if vectors is None:
            return None
        self._common = [each for each in self._common if each() is not None]
        self._common.append(weakref.ref(vectors[0]))
        self._all.Barrier()  # rank 0 has written its token and wiped it
        return vectors[0]

    def wait(self) -> None:
        self._all.Barrier()

    def reduce_scatter(self, vector: Array, borders: Sequence[int]) -> None:
        part = slice(*borders[self.rank : self.rank + 2])
        own, near = vector[part], self._near(vector)
        if near is not None:
            self._all.Barrier()
            self._add([each[part] for each in near], own)
            self._all.Barrier()
            return
        counts, starts = _parts(borders)
        parts = self._buffers.get("parts", (self.size - 1, own.size), vector.dtype)
        counts[self.rank] = 0  # what stays here is not copied
        received = [0 if rank == self.rank else own.size for rank in range(self.size)]
        self._all.Alltoallv([vector, (counts, starts)], [parts, received])
        self._add([*parts[: self.rank], own, *parts[self.rank :]], own)

    def all_gather(self, vector: Array, borders: Sequence[int]) -> None:
        if any(_offset(vector, each()) is not None for each in self._common):
            self._all.Barrier()
            return
        near = self._near(vector)
        if near is None:
            self._all.Allgatherv(MPI.IN_PLACE, [vector, _parts(borders)])
            return
        self._all.Barrier()
        for rank, (start, stop) in enumerate(pairwise(borders)):
            if rank != self.rank:
                np.copyto(vector[start:stop], near[rank][start:stop])
        self._all.Barrier()

    def _near(self, vector: Array) -> list[Array] | None:
        """Everybody's vector, where `zeros` gave what it is of and all can read it."""
        for reference, others in self._shared:
            own = reference()
            start = _offset(vector, own)
            if own is not None and start is not None:
                whole = [*others[: self.rank], own, *others[self.rank :]]
                return [each[start : start + vector.size] for each in whole]
        return None

    def _add(self, parts: Sequence[Array], total: Array) -> None:
        """total = parts[0] + parts[1] + ..., in that order; total may be one of them."""
        sums = self._buffers.get("sums", total.shape, total.dtype) if self.size > 2 else total
        found = parts[0]
        for number, part in enumerate(parts[1:], start=2):
            found = np.add(found, part, out=total if number == self.size else sums)

    def abort(self, code: int) -> None:
        """Ends all processes of the job at once."""
        self._all.Abort(code)


def _parts(borders: Sequence[int]) -> tuple[list[int], list[int]]:
    """How long the parts are, and where they start."""
    return [stop - start for start, stop in pairwise(borders)], list(borders[:-1])


def _offset(vector: Array, memory: Array | None) -> int | None:
    """Where the vector starts in that memory; None when it is not of it."""
    if memory is None:
        return None
    start = (vector.ctypes.data - memory.ctypes.data) // memory.itemsize
    return start if 0 <= start < memory.size else None
