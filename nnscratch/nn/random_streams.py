"""One random stream per purpose: adding dropout must not reshuffle the data, and resuming needs no saved generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class RandomStreams:
    """Independent generators derived from (seed, purpose, counters), such as ("shuffle", epoch)."""

    seed: int

    def stream(self, purpose: str, *counters: int) -> np.random.Generator:
        """The generator of that purpose at that point; asking again gives the same numbers again."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(crc32(purpose.encode()), *counters)))


@dataclass
class Moment:
    """Which streams and which step it is, shared by the layers of a network that draw random numbers."""

    streams: RandomStreams = field(default_factory=lambda: RandomStreams(0))
    step: int = 0
