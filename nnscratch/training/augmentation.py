"""Random changes of training images that keep what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.buffers import Array
from nnscratch.nn.component import Component


@dataclass(frozen=True)
class Augmentation(Component):
    """A random change of a batch of images x (N, H, W, C), in place where it can be."""

    kind: ClassVar[str] = "augmentation"

    def apply(self, x: Array, epoch: int, rows: Array, rng: np.random.Generator) -> Array:
        """The changed batch; rows are the examples' numbers, rng the stream of this step and augmentation."""
        raise NotImplementedError
