"""One random stream per purpose: adding dropout must not reshuffle the data, and resuming needs no saved generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.compute.row_products import RowSums


@dataclass(frozen=True)
class RandomStreams:
    """Independent generators derived from (seed, purpose, counters), such as ("shuffle", epoch)."""

    seed: int

    def stream(self, purpose: str, *counters: int) -> np.random.Generator:
        """The generator of that purpose at that point; asking again gives the same numbers again."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(crc32(purpose.encode()), *counters)))


ALL_ROWS = (slice(None),)


@dataclass
class Moment:
    """Which streams, which step, and which rows of the step's batch, shared by the layers of a network.

    Of a batch that several processes share, a layer sees those from `first_row` on. Random numbers belong to the row
    of the whole batch, and statistics are those of the whole batch.
    """

    streams: RandomStreams = field(default_factory=lambda: RandomStreams(0))
    step: int = 0
    communicator: Communicator = ALONE
    row_sums: RowSums | None = None
    """Of processes that share the batch, and may leave gradients of weights to the end of the step."""
    first_row: int = 0
    counts: bool = True
    """Not for a process that the batch has no row for: it is lent another's, so that it takes part in the sums."""
    parts: Sequence[slice] = ALL_ROWS
    """Rows that are summed up by themselves: a process that stands in for another does so for the rows of each."""
    is_common: bool = False
    """Whether the processes write to one gradient and one state: the gradient's sums over the rows of all, and running
    statistics only the first of them."""

    summands: Mapping[int, Sequence[Array]] = field(default_factory=dict)
    """Of gradients, by their identity, where the sum over the rows of each part goes, to be added up later."""

    def sums_of(self, gradient: Array) -> Sequence[Array]:
        """Where the sum over the rows of each part goes: into the gradient itself, where it is not kept apart."""
        return self.summands.get(id(gradient)) or (gradient,)

    def of_all(self, of_parts: Array) -> Array:
        """What is of each part of this process's rows, of each part of all processes'."""
        return self.communicator.stack(of_parts).reshape(-1, *of_parts.shape[1:])
