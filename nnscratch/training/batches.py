"""Mini-batches: rows of uint8 gathered and scaled into one float32 buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation.augmentation import Augmentation, Origins, change, move, moved_pixels
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Affine


class Batches:
    """The batches of a split, as (x, t) in buffers that the next batch overwrites.

    `classes` is the number of classes, for augmentations that mix labels; left out: one more than the largest label.
    """

    def __init__(self, examples: Examples, affine: Affine, batch_size: int, classes: int | None = None) -> None:
        self.examples = examples
        self.affine = affine
        self.batch_size = batch_size
        self._classes = classes
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
        return self._scaled(self._gather("stored", self.examples.inputs, rows)), self._targets(rows)

    def augmented(
        self, index: int, augmentations: Sequence[Augmentation], streams: RandomStreams, epoch: int
    ) -> tuple[Array, Array]:
        """The same after every augmentation, each with its own stream of this epoch and batch.

        x are images (n, H, W, C); t may become a distribution over the classes (n, K).
        """
        rows, inputs = self.rows(index), self.examples.inputs
        drawn = [
            (augmentation, streams.stream(f"augmentation {number} {augmentation.name}", epoch, index))
            for number, augmentation in enumerate(augmentations)
        ]
        origins = Origins.unmoved(len(rows), *inputs.shape[1:3])
        if move(drawn, origins, epoch, rows):
            stored = moved_pixels(inputs, rows, origins, self._buffers)
        else:
            stored = self._gather("stored", inputs, rows)
        return change(drawn, self._scaled(stored), self._targets(rows), self.classes)

    @property
    def classes(self) -> int:
        """How many classes the labels can have."""
        if self._classes is None:
            self._classes = int(self.examples.targets.max()) + 1
        return self._classes

    def _scaled(self, stored: Array) -> Array:
        return self.affine.apply(stored, self._buffers.get("x", stored.shape))

    def _targets(self, rows: Array) -> Array:
        return self._gather("t", self.examples.targets, rows)

    def _gather(self, name: str, array: Array, rows: Array) -> Array:
        # The rows are known to exist; mode "raise" would gather into a hidden copy first.
        out = self._buffers.get(name, (len(rows), *array.shape[1:]), array.dtype)
        return np.take(array, rows, axis=0, out=out, mode="clip")

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Every batch in the present order."""
        return (self.load(index) for index in range(len(self)))
