"""Mini-batches: rows of the data set gathered, scaled and, to learn from, shuffled and changed at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation.augmentation import Augmentation, Change, Origins, change, move, moved_pixels
from nnscratch.training.examples import Examples
from nnscratch.training.read_ahead import BATCHES, ReadAhead
from nnscratch.training.scaling import Affine


@dataclass(frozen=True)
class Part:
    """The rows of a batch that a process has: from `start` on, so many of all."""

    start: int
    count: int
    total: int

    @property
    def rows(self) -> slice:
        """These rows; the first of the batch in their place when there are none."""
        return slice(self.start, self.start + self.count) if self.count else slice(0, 1)


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
        self._ahead.ask(self.rows(index + BATCHES))
        return self._load(self.rows(index))

    def _load(self, rows: Array, out: Array | None = None) -> tuple[Array, Array]:
        stored = self._gather("stored", self.examples.inputs, rows)
        return self._scaled(stored, out), self._gather("t", self.examples.targets, rows)

    def weights(self, index: int) -> Array | None:
        """w (n,) of batch `index`, of mean 1 over the split; None where all examples count the same."""
        return None if self._weights is None else self._weights[self.rows(index)]

    def _scaled(self, stored: Array, out: Array | None = None) -> Array:
        return self.affine.apply(stored, self._buffers.get("x", stored.shape, self.dtype) if out is None else out)

    def _gather(self, name: str, array: Array, rows: Array) -> Array:
        # The rows are known to exist; mode "raise" would gather into a hidden copy first.
        out = self._buffers.get(name, (len(rows), *array.shape[1:]), array.dtype)
        return array.take(rows, 0, out, "clip")

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Every batch in the present order."""
        return (self.load(index) for index in range(self.steps))


class TrainingBatches(Batches):
    """The batches to learn from: `batch(epoch, step)` is the same whenever it is asked for.

    Every epoch has its own random order, and every augmentation of every batch its own random numbers. `classes` is how
    many classes the labels can have, for augmentations that mix them. Of a batch that processes share, each gets its
    rows; what is random is drawn for the whole batch, so that a row gets the same whoever it falls to.
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
        communicator: Communicator = ALONE,
    ) -> None:
        super().__init__(examples, affine, batch_size, dtype)
        self.streams, self.augmentations, self.classes = streams, augmentations, classes
        self.communicator = communicator
        self._epoch: int | None = None
        """The epoch whose order `_order` is."""

    def weights(self, index: int, part: Part | None = None) -> Array | None:
        """Those of this process's rows, or of another part."""
        weights = super().weights(index)
        return None if weights is None else weights[(part or self.part(index)).rows]

    def size(self, step: int) -> int:
        """How many rows the batch of that step has, of all processes."""
        return min(self.batch_size, len(self.examples) - step * self.batch_size)

    def part(self, step: int) -> Part:
        """Which rows of the batch of that step, from 0, are this process's."""
        total = self.size(step)
        own = self.communicator.share(total)
        return Part(own.start, own.stop - own.start, total)

    def batch(self, epoch: int, step: int, part: Part | None = None, out: Array | None = None) -> tuple[Array, Array]:
        """x and t of this process's rows in that step, or of another part; both numbers count from 0.

        t may be mixed to distributions (n, K). A process that has no rows gets one that does not count. x is `out`,
        where that is given and no augmentation makes another array.
        """
        if epoch != self._epoch:
            self._order, self._epoch = self.order(epoch), epoch
        own = (part or self.part(step)).rows
        self._ahead.ask(self.rows(step + BATCHES))
        if not self.augmentations:
            return self._load(self.rows(step)[own], out)
        return self._augmented(epoch, step, own)

    def labels(self, t: Array) -> Array:
        """Of targets that an augmentation mixed, the class with the largest share; others as they are."""
        mixed = t.ndim == 2 and self.examples.targets.ndim == 1
        return np.asarray(np.argmax(t, axis=1)) if mixed else t

    def order(self, epoch: int) -> Array:
        """The row numbers in that epoch's order."""
        order = self.examples.rows.copy()
        self.streams.stream("shuffle", epoch).shuffle(order)
        return order

    def _augmented(self, epoch: int, step: int, own: slice) -> tuple[Array, Array]:
        """Images (n, H, W, C), moved as bytes and changed as numbers.

        A change may look at other rows of the batch (mixup does) and draws its numbers for all of them: where there is
        one, everybody makes the whole batch and takes the own rows of it.
        """
        rows, inputs = self.rows(step), self.examples.inputs
        drawn = [
            (augmentation, self.streams.stream(f"augmentation {number} {augmentation.name}", epoch, step))
            for number, augmentation in enumerate(self.augmentations)
        ]
        origins = Origins.unmoved(len(rows), *inputs.shape[1:3])
        moved = move(drawn, origins, epoch, rows)
        changes = any(isinstance(each, Change) for each in self.augmentations)
        if not changes:
            rows, origins = rows[own], Origins(origins.down[own], origins.across[own])
        stored = moved_pixels(inputs, rows, origins, self._buffers) if moved else self._gather("stored", inputs, rows)
        x, t = change(drawn, self._scaled(stored), self._gather("t", self.examples.targets, rows), self.classes)
        return (x[own], t[own]) if changes else (x, t)
