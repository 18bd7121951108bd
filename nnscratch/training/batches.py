"""Mini-batches: rows of uint8 gathered and scaled into one float32 buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nnscratch.nn.buffers import Array, Buffers
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation import Augmentation
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Affine


class Batches:
    """The batches of a split, as (x, t) in buffers that the next batch overwrites."""

    def __init__(self, examples: Examples, affine: Affine, batch_size: int) -> None:
        self.examples = examples
        self.affine = affine
        self.batch_size = batch_size
        self._buffers = Buffers()
        self._order = examples.rows.copy()

    def __len__(self) -> int:
        """Batches in an epoch; the last may be shorter."""
        return -(-len(self.examples) // self.batch_size)

    def shuffle(self, rng: np.random.Generator) -> None:
        """Puts the split's rows into a new random order, the same for the same stream."""
        self._order[:] = self.examples.rows
        rng.shuffle(self._order)

    def rows(self, index: int) -> Array:
        """The row numbers of batch `index` in the present order."""
        return self._order[index * self.batch_size : (index + 1) * self.batch_size]

    def load(self, index: int) -> tuple[Array, Array]:
        """x (n, ...) float32 and t (n, ...) of batch `index`."""
        rows = self.rows(index)
        inputs, targets = self.examples.inputs, self.examples.targets
        shape = (len(rows), *inputs.shape[1:])
        # The rows are known to exist; mode "raise" would gather into a hidden copy first.
        stored = np.take(inputs, rows, axis=0, out=self._buffers.get("stored", shape, inputs.dtype), mode="clip")
        t_shape = (len(rows), *targets.shape[1:])
        t = np.take(targets, rows, axis=0, out=self._buffers.get("t", t_shape, targets.dtype), mode="clip")
        return self.affine.apply(stored, self._buffers.get("x", shape)), t

    def augmented(
        self, index: int, augmentations: Sequence[Augmentation], streams: RandomStreams, epoch: int
    ) -> tuple[Array, Array]:
        """The same after every augmentation, each with its own stream of this epoch and batch."""
        x, t = self.load(index)
        for number, augmentation in enumerate(augmentations):
            rng = streams.stream(f"augmentation {number} {augmentation.name}", epoch, index)
            x = augmentation.apply(x, epoch, self.rows(index), rng)
        return x, t

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Every batch in the present order."""
        return (self.load(index) for index in range(len(self)))
