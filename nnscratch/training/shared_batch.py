"""A batch that two processes go forward and back with, half of the rows each, or one with all of them at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.partner import common, common_numbers
from nnscratch.nn.compute.products import ALIGNED, product
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layers.dense import Dense
from nnscratch.nn.layers.shape import Flatten
from nnscratch.nn.losses import value_and_gradient
from nnscratch.nn.network import Network
from nnscratch.training.batches import Part, TrainingBatches
from nnscratch.training.evaluation import count_correct
from nnscratch.training.gradient_blocks import Rows
from nnscratch.training.half_batch import CORRECT, FIRST_NORM, LOSS, HalfBatch
from nnscratch.training.recipe import Recipe

PROCESSES = 2
WHOLE = PROCESSES
"""In place of the number of a half: all rows."""


class Place(NamedTuple):
    """Which batch: both numbers count from 0; of so many rows in all."""

    epoch: int
    step: int
    total: int


class SharedBatch:
    """What is known of a batch: x and dy of every layer, kept where both processes see them, and what each half tells.

    `batches` must be there before anything is loaded.
    """

    def __init__(self, network: Network, layers: list[Dense], recipe: Recipe, workers: Workers) -> None:
        self.network, self.recipe, self.workers = network, recipe, workers
        size, dtype = recipe.batch_size, network.parameters.theta.dtype
        self.kept = [
            Rows(common(size * D, dtype).reshape(size, D), common(size * K, dtype).reshape(size, K))
            for D, K in (layer.W.shape for layer in layers)
        ]
        self.first = _first(network)
        self.batches: TrainingBatches | None = None
        self._products = common(size * layers[0].W.shape[1], dtype).reshape(size, -1)
        """x W of the first layer."""
        self._told = [common_numbers(FIRST_NORM + 2 * len(layers)) for _ in range(PROCESSES)]
        numbered = enumerate(zip(layers, self.kept, strict=True))
        self._layers = {id(layer.dW): (number, rows) for number, (layer, rows) in numbered}
        self._half_batches: dict[tuple[int, int], HalfBatch] = {}
        """By half, or WHOLE, and batch size."""
        self._operands: dict[tuple[int, int], tuple[Array, Array, Array]] = {}
        """x, W and x W of the first layer, by half and batch size."""
        self._loaded: dict[int, tuple[Array, Array]] = {}
        """x and t of the halves, and of all rows, that this process loaded in this step."""

    def begin(self) -> None:
        """What was loaded belongs to the step before."""
        self._loaded.clear()

    def told(self, total: int) -> tuple[float, int, float]:
        """The batch's loss, how many were right, and what the gradient's norm is at most.

        By Cauchy and Schwarz |x^T dy| <= |x| |dy|, and |sum_n dy_n| <= sqrt(N) |dy|.
        """
        mine, other = self._told
        bound = 0.0
        for at in range(FIRST_NORM, len(mine), 2):
            bound += (mine[at] + other[at] + total) * (mine[at + 1] + other[at + 1])
        return mine[LOSS] + other[LOSS], int(mine[CORRECT] + other[CORRECT]), math.sqrt(bound)

    def load(self, half: int, place: Place) -> None:
        """x and t of half of the rows."""
        assert self.batches is not None
        rows = self._half_batch(half, place.total)
        if not rows.part.count:
            return
        x, t = self.batches.batch(place.epoch, place.step, rows.part, rows.x)
        if rows.x is not None and x is not rows.x:
            np.copyto(rows.x, x)
            x = rows.x
        self._loaded[half] = x, t

    def load_all(self, place: Place) -> None:
        """x and t of all rows, and so of both halves."""
        self.load(WHOLE, place)
        x, t = self._loaded[WHOLE]
        for half in range(PROCESSES):
            own = self._half_batch(half, place.total).part.rows
            self._loaded[half] = x[own], t[own]

    def first_product(self, half: int, total: int) -> None:
        """x W of all rows, for half of the first layer's units."""
        x, W, xW = self._first_operands(half, total)
        product(x, W, xW, self.workers)

    def forward_and_back(self, half: int, place: Place) -> None:
        """With half of the rows, or with all: x and dy of every layer are there afterwards, and what the half tells."""
        assert self.batches is not None
        network, total = self.network, place.total
        rows = self._half_batch(half, total)
        for each in range(PROCESSES):
            if half in (each, WHOLE):
                self._half_batch(each, total).has_none()
        if not rows.part.count:
            return
        if half not in self._loaded:  # the other process loaded it, and was late since
            self.load(half, place)
        x, t = self._loaded[half]
        moment = network.moment
        moment.step, moment.first_row = place.epoch * self.batches.steps + place.step, rows.part.start
        moment.counts, moment.row_sums = True, rows
        try:
            y = network.forward(x, training=True)
            network.backward(self._loss(half, y, t, place))
        finally:
            moment.row_sums, moment.first_row = None, 0

    def _loss(self, half: int, y: Array, t: Array, place: Place) -> Array:
        """dy of these rows; what the loss is of each half is told."""
        assert self.batches is not None
        rows = self._half_batch(half, place.total)
        if half == WHOLE:
            dy = np.empty_like(y)
            for each in range(PROCESSES):
                part = self._half_batch(each, place.total).part
                if part.count:
                    dy[part.rows] = self._loss(each, y[part.rows], t[part.rows], place)
            return dy
        value, dy = value_and_gradient(self.recipe.loss, y, t, self.batches.weights(place.step, rows.part))
        share = rows.part.count / place.total
        dy *= share
        rows.told[LOSS], rows.told[CORRECT] = float(value) * share, count_correct(y, self.batches.labels(t))
        return dy

    def _half_batch(self, half: int, total: int) -> HalfBatch:
        """Its rows of a batch of so many."""
        found = self._half_batches.get((half, total))
        if found is None:
            middle = total // PROCESSES
            halves = Part(0, middle, total), Part(middle, total - middle, total)
            part, parts = (Part(0, total, total), halves) if half == WHOLE else (halves[half], ())
            rest = self.first, self._products, self._told[half % PROCESSES], parts
            found = HalfBatch(part, self.network.input_shape, self._layers, *rest)
            self._half_batches[half, total] = found
        return found

    def _first_operands(self, half: int, total: int) -> tuple[Array, Array, Array]:
        found = self._operands.get((half, total))
        if found is None:
            assert self.first is not None
            W = self.first.W
            middle = ALIGNED * round(W.shape[1] / PROCESSES / ALIGNED)
            units = slice(middle, None) if half else slice(middle)
            found = self._operands[half, total] = self.kept[0].x[:total], W[:, units], self._products[:total, units]
        return found


def _first(network: Network) -> Dense | None:
    """The dense layer that is given the batch as it is, if there is one."""
    for layer in network.layers:
        if isinstance(layer, Dense):
            return layer
        if not isinstance(layer, Flatten):
            return None
    return None
