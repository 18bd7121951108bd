"""Random numbers that are the same on every machine and with every version of NumPy."""

from __future__ import annotations

import numpy as np

from nnscratch.datasets.dataset import Array


class StableNumbers:
    """float32 numbers from the raw stream of PCG64, which NumPy promises never to change."""

    def __init__(self, *entropy: int) -> None:
        self.bits = np.random.PCG64(np.random.SeedSequence(entropy))

    def between(self, low: float, high: float, *shape: int) -> Array:
        """Uniform numbers from low to below high."""
        raw = self.bits.random_raw(int(np.prod(shape))) >> 40
        unit = raw.astype(np.float32) * np.float32(2.0**-24)
        return (unit * np.float32(high - low) + np.float32(low)).reshape(shape)

    def normal(self, *shape: int) -> Array:
        """Nearly normal numbers of mean 0 and variance 1: each the sum of twelve uniform ones, so within +-6."""
        return np.asarray(self.between(-0.5, 0.5, *shape, 12).sum(axis=-1))

    def order(self, count: int) -> Array:
        """The numbers below count in random order."""
        return np.asarray(np.argsort(self.bits.random_raw(count), kind="stable"))

    def bytes(self, count: int) -> Array:
        """Uniform bytes."""
        raw = self.bits.random_raw(-(-count // 8))
        return raw.astype("<u8", copy=False).view(np.uint8)[:count]
