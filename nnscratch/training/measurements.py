"""What is measured of every layer while it learns: gradient norm and update ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers, cut
from nnscratch.nn.parameters import Parameters


class LayerMeasurements:
    """Norms per layer, from a sample of an epoch's steps: they cost a copy of the weights each time.

    gradient_norm/<layer> = |g|, update_ratio/<layer> = |change of theta| / |theta|, over all arrays of the layer.
    Healthy networks learn at an update ratio around 1e-3.
    """

    def __init__(self, parameters: Parameters, workers: Workers, per_epoch: int = 10) -> None:
        self.parameters = parameters
        self.workers = workers
        self.per_epoch = per_epoch
        """Of how many steps in an epoch it is measured at most."""
        names: dict[str, list[str]] = {}
        for name in self.parameters.named():
            names.setdefault(name.rpartition(".")[0], []).append(name)
        self._layers = names
        self._before = np.empty_like(self.parameters.theta)
        self._gradient_norms: dict[str, float] = {}
        self._norms_before: dict[str, float] = {}

    @staticmethod
    def size(parameters: Parameters) -> int:
        """How many numbers it holds: the weights before an update."""
        return parameters.size

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether step number `step` of an epoch, from 0, is one of the sample."""
        return step % -(-steps_per_epoch // self.per_epoch) == 0

    def before_update(self) -> None:
        """Takes the norms of gradient and weights, and remembers the weights."""
        theta, before = self.parameters.theta, self._before
        self._gradient_norms = self._norms(sum_of_squares, self.parameters.gradient)
        self._norms_before = self._norms(_squares_copied, theta, before)

    def after_update(self) -> dict[str, float]:
        """The values of this step by their logged names."""
        changes = self._norms(_squares_of_change, self.parameters.theta, self._before)
        return logged(self._gradient_norms, self._norms_before, changes)

    def _norms(self, squares: Callable[..., float], *vectors: Array) -> dict[str, float]:
        """Of every layer, the root of the sum of squares(*pieces of its part of the vectors)."""
        named = [self.parameters.named(vector) for vector in vectors]
        return {
            layer: float(np.sqrt(sum(self._sum(squares, [each[name].reshape(-1) for each in named]) for name in names)))
            for layer, names in self._layers.items()
        }

    def _sum(self, squares: Callable[..., float], arrays: Sequence[Array]) -> float:
        """Piece by piece on all cores; the pieces, and so the digits, do not depend on their number."""
        return sum(self.workers.by_rows(squares, arrays, cut(len(arrays[0]))))


def logged(
    gradients: Mapping[str, float], weights: Mapping[str, float], changes: Mapping[str, float]
) -> dict[str, float]:
    """From the norms by layer, the values of a step by their logged names."""
    values = {f"gradient_norm/{layer}": norm for layer, norm in gradients.items()}
    for layer, change in changes.items():
        values[f"update_ratio/{layer}"] = change / weights[layer] if weights[layer] else 0.0
    return values


def global_norm(gradient: Array) -> float:
    """|g| over the whole vector; nan or inf exactly when some entry is nan or inf."""
    return float(np.sqrt(sum_of_squares(gradient)))


def sum_of_squares(array: Array) -> float:
    """|array|^2, which may be beyond float32's range; nan or inf exactly when some entry is nan or inf."""
    # In one call: it waits for the memory, which two threads would not make faster.
    with np.errstate(over="ignore"):
        total = float(np.vdot(array, array))
    if not math.isfinite(total) and np.isfinite(array).all():
        return float(np.sum(np.square(array, dtype=np.float64)))  # the squares left float32's range, not the values
    return total


def _squares_copied(piece: Array, copy: Array) -> float:
    """|piece|^2; writes the piece to `copy`."""
    np.copyto(copy, piece)
    return sum_of_squares(copy)


def _squares_of_change(piece: Array, before: Array) -> float:
    """|piece - before|^2; writes the difference over `before`."""
    return sum_of_squares(np.subtract(piece, before, out=before))


def clip_by_norm(gradient: Array, norm: float, maximum: float) -> None:
    """g *= maximum / |g| when |g| is larger (Pascanu et al. 2013, algorithm 1)."""
    if norm > maximum:
        gradient *= maximum / norm


def clip_by_value(gradient: Array, maximum: float) -> None:
    """Every entry into [-maximum, maximum]."""
    np.clip(gradient, -maximum, maximum, out=gradient)
