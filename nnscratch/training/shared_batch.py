"""A batch that two processes go forward and back with, half of the rows each, or one with all of them at once."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.common_memory import common, common_numbers
from nnscratch.nn.compute.communicator import ALONE
from nnscratch.nn.compute.exchange import Exchange
from nnscratch.nn.compute.products import ALIGNED, product
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers.convolution import Conv
from nnscratch.nn.layers.dense import Dense
from nnscratch.nn.layers.normalization import BatchNorm, LayerNorm
from nnscratch.nn.layers.shape import Flatten
from nnscratch.nn.losses import value_and_gradient
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import ALL_ROWS
from nnscratch.training.batches import Part, TrainingBatches
from nnscratch.training.evaluation import count_correct
from nnscratch.training.gradient_blocks import Learned, Rows, Summands
from nnscratch.training.half_batch import CORRECT, FIRST_NORM, LOSS, First, HalfBatch
from nnscratch.training.measurements import sum_of_squares
from nnscratch.training.recipe import Recipe

PROCESSES = 2
WHOLE = PROCESSES
"""In place of the number of a half: all rows."""


class Place(NamedTuple):
    """Which batch: both numbers count from 0; of so many rows in all."""

    epoch: int
    step: int
    total: int


def learned_of(layer: Layer) -> list[Array]:
    """The gradients of all that a layer learns, where it is one that two processes can share; dW first."""
    match layer:
        case Dense(frozen=False):
            return [layer.dW, layer.db] if layer.bias else [layer.dW]
        case Conv():
            return [*([] if layer.frozen else [layer.dW]), *([layer.db] if layer.bias else [])]
        case BatchNorm():
            return [*([layer.dgamma] if layer.scale else []), *([layer.dbeta] if layer.shift else [])]
        case LayerNorm():
            return [layer.dgamma, layer.dbeta]
    return []


class SharedBatch:
    """What is known of a batch: x and dy of every layer, kept where both processes see them, and what each half tells.

    `batches` must be there before anything is loaded.
    """

    def __init__(self, network: Network, recipe: Recipe, workers: Workers) -> None:
        self.network, self.recipe, self.workers = network, recipe, workers
        self.batches: TrainingBatches | None = None
        self.learned = list(self._learned())
        of = {id(each.gradient): each.of for each in self.learned}
        weights = {id(each.gradient) for each in self.learned if each.gradient.ndim == 2}
        self._kept = {dW: each for dW, each in of.items() if isinstance(each, Rows) and dW in weights}
        self._summands = {gradient: each for gradient, each in of.items() if isinstance(each, Summands)}
        self._made = [each.gradient for each in self.learned if each.of is None]
        """Gradients that the layers make of all rows."""
        self.first = self._first()
        self._told = [common_numbers(FIRST_NORM + 2 * len(self._kept)) for _ in range(PROCESSES)]
        norms = [layer for layer in network.walk() if isinstance(layer, BatchNorm | LayerNorm)]
        self.exchange = Exchange(max((1 + 2 * layer.gamma.size for layer in norms), default=0))
        self._half_batches: dict[tuple[int, int], HalfBatch] = {}
        """By half, or WHOLE, and batch size."""
        self._operands: dict[tuple[int, int], tuple[Array, Array, Array]] = {}
        """x, W and x W of the first layer, by half and batch size."""

    def told(self, total: int) -> tuple[float, int, float]:
        """The batch's loss, how many were right, and what the gradient's norm is at most.

        By Cauchy and Schwarz |x^T dy| <= |x| |dy|, and |sum_n dy_n| <= sqrt(N) |dy|; what layers make is there already.
        Of a sum, |a + b|^2 <= 2 (|a|^2 + |b|^2).
        """
        mine, other = self._told
        bound = sum(map(sum_of_squares, self._made))
        bound += 2 * sum(sum_of_squares(each) for both in self._summands.values() for each in both)
        for at in range(FIRST_NORM, len(mine), 2):
            bound += (mine[at] + other[at] + total) * (mine[at + 1] + other[at + 1])
        return mine[LOSS] + other[LOSS], int(mine[CORRECT] + other[CORRECT]), math.sqrt(bound)

    def forward_and_back(self, half: int, place: Place) -> None:
        """With half of the rows, or with all: x and dy of every layer are there afterwards, and what the half tells."""
        assert self.batches is not None
        network, moment = self.network, self.network.moment
        rows = self._half_batch(half, place.total)
        x, t = self._loaded(rows, place)
        if self.first is not None:
            self._first_product(half, place.total)
        moment.step, moment.counts = place.epoch * self.batches.steps + place.step, True
        moment.first_row, moment.row_sums, moment.is_common = rows.part.start, rows, True
        if half == WHOLE:
            moment.parts = [each.rows for each in rows.halves]
            self._forget()
        else:
            moment.communicator = self.exchange
        if self._summands:
            halves = range(PROCESSES) if half == WHOLE else (half,)
            own = [each for each in halves if self._parts(place.total)[each].count]
            moment.summands = {gradient: [both[each] for each in own] for gradient, both in self._summands.items()}
        try:
            y = network.forward(x, training=True)
            network.backward(self._loss(half, y, t, place))
        finally:
            moment.first_row, moment.row_sums, moment.is_common = 0, None, False
            moment.communicator, moment.parts, moment.summands = ALONE, ALL_ROWS, {}

    def _loaded(self, rows: HalfBatch, place: Place) -> tuple[Array, Array]:
        """x and t of these rows, where the first layer is to find them."""
        assert self.batches is not None
        x, t = self.batches.batch(place.epoch, place.step, rows.part, rows.x)
        if rows.x is None or x is rows.x:
            return x, t
        np.copyto(rows.x, x)
        return rows.x, t

    def _first_product(self, half: int, total: int) -> None:
        """x W of all rows: each process works it out for half of the first layer's units, once x of all rows is there.

        So each spares half of what BLAS takes to arrange W.
        """
        if half != WHOLE:
            self.exchange.meet()
        for each in range(PROCESSES) if half == WHOLE else (half,):
            x, W, xW = self._first_operands(each, total)
            product(x, W, xW, self.workers)
        if half != WHOLE:
            self.exchange.meet()

    def _forget(self) -> None:
        """What was told: of all rows at once, not all of it is told anew."""
        for told in self._told:
            for at in range(len(told)):
                told[at] = 0.0
        for each in self._summands.values():
            for summand in each:
                summand.fill(0)

    def _loss(self, half: int, y: Array, t: Array, place: Place) -> Array:
        """dy of these rows; what the loss is of each half is told."""
        assert self.batches is not None
        rows = self._half_batch(half, place.total)
        if half == WHOLE:
            dy = np.empty_like(y)
            for number, part in enumerate(self._parts(place.total)):
                if part.count:
                    dy[part.rows] = self._loss(number, y[part.rows], t[part.rows], place)
            return dy
        rows.told[CORRECT] = count_correct(y, self.batches.labels(t))
        value, dy = value_and_gradient(self.recipe.loss, y, t, self.batches.weights(place.step, rows.part))
        share = rows.part.count / place.total
        dy *= share
        rows.told[LOSS] = float(value) * share
        return dy

    @staticmethod
    @cache
    def _parts(total: int) -> tuple[Part, Part]:
        """Both halves of so many rows."""
        middle = total // PROCESSES
        return Part(0, middle, total), Part(middle, total - middle, total)

    def _half_batch(self, half: int, total: int) -> HalfBatch:
        """Its rows of a batch of so many."""
        found = self._half_batches.get((half, total))
        if found is None:
            parts, told = self._parts(total), self._told[half % PROCESSES]
            if half == WHOLE:
                some = [part for part in parts if part.count]
                found = HalfBatch(Part(0, total, total), self._kept, self.first, told, some)
            else:
                found = HalfBatch(parts[half], self._kept, self.first, told)
            self._half_batches[half, total] = found
        return found

    def _first_operands(self, half: int, total: int) -> tuple[Array, Array, Array]:
        found = self._operands.get((half, total))
        if found is None:
            assert self.first is not None
            x, W, xW, _ = self.first
            middle = ALIGNED * round(W.shape[1] / PROCESSES / ALIGNED)
            units = slice(middle, None) if half else slice(middle)
            found = self._operands[half, total] = x[:total], W[:, units], xW[:total, units]
        return found

    def _learned(self) -> list[Learned]:
        """All arrays that are learned: of dense layers with memory for the rows of a whole batch; of convolutions, with
        few weights beside these, for the sums over either half."""
        paths = self.network.parameters.paths
        learned = []
        for layer in self.network.walk():
            gradients = learned_of(layer)
            of: Rows | Summands | None = None
            if gradients and isinstance(layer, Dense):
                of = Rows(*map(self._common, gradients[0].shape))
            for each in gradients:
                if isinstance(layer, Conv):
                    of = Summands(*(common(each.size, each.dtype).reshape(each.shape) for _ in range(PROCESSES)))
                learned.append(Learned(paths.index(layer.path), each, of))
        return learned

    def _first(self) -> First | None:
        """The dense layer that is given the batch as it is, if there is one."""
        for layer in self.network.layers:
            if isinstance(layer, Dense):
                D, K = layer.W.shape
                rows = self._kept.get(id(layer.dW))
                x = self._common(D) if rows is None else rows.x
                return First(x, layer.W, self._common(K), self.network.input_shape)
            if not isinstance(layer, Flatten):
                return None
        return None

    def _common(self, width: int) -> Array:
        """(N, width) for the rows of a whole batch, in memory that both processes have."""
        size = self.recipe.batch_size
        return common(size * width, self.network.parameters.theta.dtype).reshape(size, width)
