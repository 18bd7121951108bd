"""The one or two features of a dataset as a line or a plane: a grid over it, and what a network makes of every point.

Nothing of it exists for data of more features: the functions give None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.layers.dense import Dense
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Affine

MARGIN = 0.08
MOST_OUTPUTS = 10
"""Classes or numbers: more can be told apart in no picture."""
ON_LINE, ON_PLANE = 240, 80
"""Points of the grid to a side in a film; a picture has FINER times as many."""
FINER = 3
ROWS = 1024


@dataclass(frozen=True)
class Space:
    """The features as axes, each from a little below its smallest training value to a little above its largest."""

    axes: tuple[Array, ...]
    """Of each feature, the grid's values."""

    @classmethod
    def of(cls, train: Examples, outputs: int, finer: int = 1) -> Space | None:
        """The space of one or two features and few outputs; None of anything else."""
        if not has_few_features(train) or outputs > MOST_OUTPUTS:
            return None
        size = finer * (ON_LINE if train.inputs.shape[1] == 1 else ON_PLANE)
        values = train.inputs[train.rows].astype(np.float64)
        low, high = values.min(axis=0), values.max(axis=0)
        margin = MARGIN * np.where(high > low, high - low, 1.0)
        return cls(tuple(np.linspace(low[d] - margin[d], high[d] + margin[d], size) for d in range(len(low))))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid: (G,) or (G, G), the second feature first, as rows of a picture."""
        return tuple(len(axis) for axis in reversed(self.axes))

    @property
    def grid(self) -> Array:
        """Every point of it (G or G * G, D) float32."""
        columns = [each.ravel() for each in np.meshgrid(*self.axes)]
        return np.column_stack(columns).astype(np.float32)

    def outputs(self, network: Network, affine: Affine) -> Array:
        """The network's raw outputs (*shape, K) float32 at every point."""
        x = self.grid
        y = np.empty((len(x), *network.output_shape), np.float32)
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            y[rows] = network.forward(_scaled(affine, x[rows]), training=False)
        return y.reshape(*self.shape, -1)

    def hidden(self, network: Network, affine: Affine) -> tuple[Array, Array] | None:
        """Of every unit of the first hidden layer W x + b and, after its activation, y: two (*shape, units) arrays.

        None when the network does not begin with a dense layer and an activation.
        """
        kinds = [index for index, layer in enumerate(network.layers) if isinstance(layer, Dense)]
        ends = [index for index, layer in enumerate(network.layers) if isinstance(layer, Activation)]
        if len(kinds) < 2 or not ends or not kinds[0] < ends[0] < kinds[1]:
            return None
        x, sums, y = self.grid, [], []
        for start in range(0, len(x), ROWS):
            z = _scaled(affine, x[start : start + ROWS])
            for index, layer in enumerate(network.layers[: ends[0] + 1]):
                z = layer.forward(z, training=False)
                if index == kinds[0]:
                    sums.append(z.copy())  # what comes after may write over it
            y.append(z.copy())
        made = (np.concatenate(parts).reshape(*self.shape, -1) for parts in (sums, y))
        before, after = made
        return before, after


def has_few_features(train: Examples) -> bool:
    """Whether they can be points of a line or a plane."""
    return train.inputs.ndim == 2 and train.inputs.shape[1] in (1, 2)


def _scaled(affine: Affine, stored: Array) -> Array:
    return affine.apply(stored, np.empty_like(stored))


def kept_outputs(loss: Loss, y: Array, *, labels: bool) -> Array:
    """The outputs (..., K) as a film keeps them: of a classifier its probabilities, uint8; else as they are."""
    if not labels:
        return y
    p = loss.probabilities(y.reshape(-1, y.shape[-1]))
    return np.asarray(np.rint(255 * p).astype(np.uint8)).reshape(y.shape)
