"""Mini-batches: rows of the data set gathered, scaled and, to learn from, shuffled and changed at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation.augmentation import Augmentation, Origins, change, move, moved_pixels
from nnscratch.training.examples import Examples
from nnscratch.training.read_ahead import BATCHES, ReadAhead
from nnscratch.training.scaling import Affine


class Batches:
    """The batches of a split in its own order, as (x, t) in buffers that the next batch overwrites."""

    def __init__(self, examples: Examples, affine: Affine, batch_size: int, dtype: npt.DTypeLike = np.float32) -> None:
        self.examples = examples
        self.affine = affine
        self.batch_size = batch_size
        self.dtype = dtype
        """Of x: the network's own."""
        self.steps = -(-len(examples) // batch_size)
        """Batches in an epoch; the last may be shorter."""
        self._buffers = Buffers()
        self._order = examples.rows
        self._ahead = ReadAhead(examples.inputs)
        weights = examples.relative_weights()
        self._weights = None if weights is None else weights.astype(dtype)

    def __len__(self) -> int:
        return self.steps

    def rows(self, index: int) -> Array:
        """The row numbers of batch `index` in the present order."""
        return self._order[index * self.batch_size : (index + 1) * self.batch_size]

    def load(self, index: int) -> tuple[Array, Array]:
        """x (n, ...) and t (n, ...) of batch `index`."""
        rows, examples = self.rows(index), self.examples
        self._ahead.ask(self.rows(index + BATCHES))
        return self._scaled(self._gather("stored", examples.inputs, rows)), self._gather("t", examples.targets, rows)

    def weights(self, index: int) -> Array | None:
        """w (n,) of batch `index`, of mean 1 over the split; None where all examples count the same."""
        return None if self._weights is None else self._weights[self.rows(index)]

    def _scaled(self, stored: Array) -> Array:
        return self.affine.apply(stored, self._buffers.get("x", stored.shape, self.dtype))

    def _gather(self, name: str, array: Array, rows: Array) -> Array:
        # The rows are known to exist; mode "raise" would gather into a hidden copy first.
        out = self._buffers.get(name, (len(rows), *array.shape[1:]), array.dtype)
        return np.take(array, rows, axis=0, out=out, mode="clip")

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Every batch in the present order."""
        return (self.load(index) for index in range(self.steps))


class TrainingBatches(Batches):
    """The batches to learn from: `batch(epoch, step)` is the same whenever it is asked for.

    Every epoch has its own random order, and every augmentation of every batch its own random numbers. `classes` is how
    many classes the labels can have, for augmentations that mix them.
    """

    def __init__(
        self,
        examples: Examples,
        affine: Affine,
        batch_size: int,
        streams: RandomStreams,
        augmentations: Sequence[Augmentation] = (),
        classes: int = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(examples, affine, batch_size, dtype)
        self.streams, self.augmentations, self.classes = streams, augmentations, classes
        self._epoch: int | None = None
        """The epoch whose order `_order` is."""

    def batch(self, epoch: int, step: int) -> tuple[Array, Array]:
        """x and t of that step, both numbers from 0; t may be mixed to a distribution over the classes (n, K)."""
        if epoch != self._epoch:
            self._order, self._epoch = self.order(epoch), epoch
        return self._augmented(epoch, step) if self.augmentations else self.load(step)

    def order(self, epoch: int) -> Array:
        """The row numbers in that epoch's order."""
        order = self.examples.rows.copy()
        self.streams.stream("shuffle", epoch).shuffle(order)
        return order

    def _augmented(self, epoch: int, step: int) -> tuple[Array, Array]:
        """Images (n, H, W, C), moved as bytes and changed as numbers."""
        rows, inputs = self.rows(step), self.examples.inputs
        self._ahead.ask(self.rows(step + BATCHES))
        drawn = [
            (augmentation, self.streams.stream(f"augmentation {number} {augmentation.name}", epoch, step))
            for number, augmentation in enumerate(self.augmentations)
        ]
        origins = Origins.unmoved(len(rows), *inputs.shape[1:3])
        if move(drawn, origins, epoch, rows):
            stored = moved_pixels(inputs, rows, origins, self._buffers)
        else:
            stored = self._gather("stored", inputs, rows)
        return change(drawn, self._scaled(stored), self._gather("t", self.examples.targets, rows), self.classes)
