"""A fixed factor, for outputs that should start small or large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Layer


@dataclass(eq=False)
class Scale(Layer):
    """y = factor x,  dx = factor dy. The factor is not trained.

    Derivation: dy/dx = factor.
    """

    name: ClassVar[str] = "scale"
    equations: ClassVar[Mapping[str, str]] = {"y": "factor * x", "dx": "factor * dy"}
    short: ClassVar[str | None] = "factor"
    backward_needs_input: ClassVar[bool] = False
    works_in_place: ClassVar[bool] = True

    factor: float = setting(help="what every number is multiplied by")

    def forward(self, x: Array, training: bool) -> Array:
        return self.forward_by(self._scaled, x)

    def backward(self, dy: Array) -> Array | None:
        return self.backward_by(self._scaled, dy)

    def _scaled(self, numbers: Array, out: Array) -> None:
        np.multiply(numbers, self.factor, out=out)
