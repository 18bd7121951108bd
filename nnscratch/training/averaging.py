"""Averages of the weights along the way, which often do better than the last weights themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.buffers import Array
from nnscratch.nn.component import Component, setting


@dataclass(frozen=True)
class Averaging(Component):
    """Keeps a second vector `average`; validation, the best checkpoint and the test use it instead of theta."""

    kind: ClassVar[str] = "averaging"

    def update(self, average: Array, theta: Array, step: int, scratch: Array) -> None:
        """Changes average (and theta, where the method says so) after optimizer step number `step`, from 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class ExponentialMovingAverage(Averaging):
    """a += (1 - d) (theta - a),  d = min(decay, (1 + step) / (10 + step)), so that the start is soon forgotten

    (Polyak & Juditsky 1992; the warm-up is TensorFlow's ExponentialMovingAverage.)
    """

    name: ClassVar[str] = "ema"
    short: ClassVar[str | None] = "decay"

    decay: float = setting(0.999, "share of the average that each step keeps", ge=0, lt=1)

    def update(self, average: Array, theta: Array, step: int, scratch: Array) -> None:
        d = min(self.decay, (1 + step) / (10 + step))
        np.subtract(theta, average, out=scratch)
        scratch *= 1 - d
        average += scratch
