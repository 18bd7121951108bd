"""What is measured of every layer while it learns: gradient norm and update ratio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.parameters import Parameters


class LayerMeasurements:
    """Norms per layer, from a sample of an epoch's steps: they cost a copy of the weights each time.

    gradient_norm/<layer> = |g|, update_ratio/<layer> = |change of theta| / |theta|, over all arrays of the layer.
    Healthy networks learn at an update ratio around 1e-3.
    """

    def __init__(self, parameters: Parameters, per_epoch: int = 10) -> None:
        self.parameters = parameters
        self.per_epoch = per_epoch
        names: dict[str, list[str]] = {}
        for name in self.parameters.named():
            names.setdefault(name.rpartition(".")[0], []).append(name)
        self._layers = names
        self._before = np.empty_like(self.parameters.theta)
        self._gradient_norms: dict[str, float] = {}

    @staticmethod
    def size(parameters: Parameters) -> int:
        """How many numbers it holds: the weights before an update."""
        return parameters.size

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether step number `step` of an epoch, from 0, is one of the sample."""
        return step % max(1, steps_per_epoch // self.per_epoch) == 0

    def before_update(self) -> None:
        """Takes the gradient norms and remembers the weights."""
        self._gradient_norms = self._norms(self.parameters.gradient)
        np.copyto(self._before, self.parameters.theta)

    def after_update(self) -> dict[str, float]:
        """The values of this step by their logged names."""
        weights = self._norms(self._before)
        np.subtract(self.parameters.theta, self._before, out=self._before)
        changes = self._norms(self._before)
        values = {f"gradient_norm/{layer}": norm for layer, norm in self._gradient_norms.items()}
        for layer, change in changes.items():
            values[f"update_ratio/{layer}"] = change / weights[layer] if weights[layer] else 0.0
        return values

    def _norms(self, vector: Array) -> dict[str, float]:
        arrays: Mapping[str, Array] = self.parameters.named(vector)
        return {
            layer: float(np.sqrt(sum(sum_of_squares(arrays[name]) for name in names)))
            for layer, names in self._layers.items()
        }


def global_norm(gradient: Array) -> float:
    """|g| over the whole vector; nan or inf exactly when some entry is nan or inf."""
    # One BLAS call: its threads are still awake from the backward pass, ours would have to be woken.
    return float(np.sqrt(sum_of_squares(gradient)))


def sum_of_squares(array: Array) -> float:
    """|array|^2, which may be beyond float32's range; nan or inf exactly when some entry is nan or inf."""
    with np.errstate(over="ignore"):
        total = float(np.vdot(array, array))
    if not np.isfinite(total) and np.isfinite(array).all():
        return float(np.sum(np.square(array, dtype=np.float64)))  # the squares left float32's range, not the values
    return total


def clip_by_norm(gradient: Array, norm: float, maximum: float) -> None:
    """g *= maximum / |g| when |g| is larger (Pascanu et al. 2013, algorithm 1)."""
    if norm > maximum:
        gradient *= maximum / norm


def clip_by_value(gradient: Array, maximum: float) -> None:
    """Every entry into [-maximum, maximum]."""
    np.clip(gradient, -maximum, maximum, out=gradient)
