"""A training step in two halves, each for a process of its own.

    x of one half of the batch's rows
    x W of all rows, for one half of the first layer's units
    y = f(x), L and dy of one half of the rows          x and dy of every layer go into memory that both processes have
    dW = x^T dy, db = sum_n dy over all rows, and theta = optimizer(theta, dtheta + lambda W), for some blocks of theta

So the processes meet four times in a step, exchange rows in place of gradients, which of a small batch are more
numbers, and need no sum over processes: a gradient is the one that a single process would get, but for rounding.
Of a convolution, whose dW has fewer numbers, each half has its own sum over its rows, and dW is the sum of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.common_memory import common, common_numbers
from nnscratch.nn.compute.partner import Partner, Pieces, is_possible
from nnscratch.nn.compute.products import SMALL
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layers.convolution import Conv
from nnscratch.nn.layers.dense import Dense
from nnscratch.nn.layers.normalization import BatchNorm
from nnscratch.nn.network import Network
from nnscratch.training.averaging import Averaging
from nnscratch.training.batches import TrainingBatches
from nnscratch.training.gradient_blocks import blocks_of
from nnscratch.training.measurements import logged, sum_of_squares
from nnscratch.training.recipe import Recipe
from nnscratch.training.shared_batch import PROCESSES, WHOLE, Place, SharedBatch, learned_of

ROWS, LEARN, GRADIENT, UPDATE = range(4)


def are_worth_it(network: Network, recipe: Recipe, workers: Workers) -> bool:
    """Whether two processes take steps of this training sooner than two threads, and can take them at all.

    All that is learned must be of dense layers, convolutions and normalisation, all else row by row, and everything in
    it ours: a plugin may keep something to itself, which the other process would not know.
    """
    parameters = network.parameters
    parts = [*network.walk(), recipe.loss, recipe.optimizer, *recipe.augmentations]
    parts += [recipe.averaging] if recipe.averaging else []
    learned = sum(each.size for layer in network.walk() for each in learned_of(layer))
    frozen = sum(
        layer.W.size
        for layer in network.walk()
        if (isinstance(layer, Conv) or (isinstance(layer, Dense) and not layer.bias)) and layer.frozen
    )
    state = sum(2 * layer.running_mean.size for layer in network.walk() if isinstance(layer, BatchNorm))
    return (
        is_possible()
        and workers.threads == PROCESSES
        and sum(summary.flops for summary in network.summaries) * recipe.batch_size >= SMALL
        and parameters.trainable_size == learned > 0
        and parameters.values_size == learned + frozen + state
        and all(type(part).__module__.startswith("nnscratch.") for part in parts)
    )


class Halves:
    """The two processes at one training; of each step this one asks for `rows`, and then for `learn`, or the others.

    `average` is kept, too, where there is one.
    """

    def __init__(self, network: Network, recipe: Recipe, workers: Workers) -> None:
        self.network, self.recipe, self.workers = network, recipe, workers
        parameters = network.parameters
        dtype = parameters.theta.dtype
        network.move(common(parameters.values_size, dtype), common(parameters.size, dtype))
        recipe.optimizer.bind(parameters, workers, zeros=common)
        self.average = common(parameters.values_size, dtype) if recipe.averaging else None
        self.batch = SharedBatch(network, recipe, workers)
        self.blocks = blocks_of(self.batch.learned, parameters, recipe.optimizer)
        layers = len(parameters.paths)
        self.squares = common_numbers(len(self.blocks))
        """|gradient|^2 of each block."""
        self.norms = common(len(self.blocks) * 3 * layers, np.float64).reshape(-1, 3, layers)
        """Of each block, where it was asked for, |gradient|^2, |theta|^2 and |change of theta|^2 by layer."""
        self.pieces = Pieces()
        """Numbers of the blocks."""
        longest = max(block.theta.size for block in self.blocks)
        self._scratch = np.empty(max(longest, parameters.state.size), dtype)
        self._before = np.empty(longest, dtype)
        self._tasks: tuple[Callable[[Halves, int, Sequence[float]], None], ...] = (
            Halves._rows,
            Halves._learn,
            Halves._gradient,
            Halves._update,
        )
        self._partner: Partner | None = None
        self._is_at_hand = False

    def rows(self, batches: TrainingBatches, epoch: int, step: int) -> tuple[float, int, float]:
        """Forward and back: the batch's loss, how many were right, and what the gradient's norm is at most.

        Raises ProcessKilled when the other process was.
        """
        batch = self.batch
        if batch.batches is not batches:
            self.end()
            batch.batches = batches  # of which the other process gets a copy
            self._partner = self._started()
        elif self._partner is not None and not self._partner.is_alive:
            self._partner = self._started()
        place = Place(epoch, step, batches.size(step))
        self._is_at_hand = place.total >= PROCESSES  # who is late is done without until the step is over
        if self._has_partner():
            self._hand_over(ROWS, *place)
        else:
            batch.forward_and_back(WHOLE, place)
        return batch.told(place.total)

    def learn(self, number: int, total: int, factor: float, l2: float, measured: bool) -> float:
        """After `rows`, the gradient, the optimizer's step and averaging, at once: |gradient|^2. It clips no norm.

        It is step `number` of the training, with so many rows in all. Measured, `measures` are there afterwards.
        """
        self._run_blocks(LEARN, number, total, self.recipe.optimizer.t + 1, factor, l2, measured)
        if self.recipe.averaging is not None and self.network.parameters.state.size:
            state = slice(self.network.parameters.size, None)
            self._update_average(self.recipe.averaging, state, self.network.parameters.values[state], number)
        return sum(self.squares)

    def measures(self) -> dict[str, float]:
        """The values of the last step that was measured, by their logged names."""
        squares, parameters = self.norms.sum(axis=0), self.network.parameters
        for name, array in parameters.named().items():
            if name not in parameters.trainable_names:  # of no block
                squares[1, parameters.paths.index(name.rpartition(".")[0])] += sum_of_squares(array)
        norms = np.sqrt(squares).tolist()
        return logged(*(dict(zip(self.network.parameters.paths, each, strict=True)) for each in norms))

    def gradient(self, total: int) -> float:
        """After `rows`, so many in all, the gradient, which `parameters` then has: |gradient|^2."""
        self._run_blocks(GRADIENT, total)
        return sum(self.squares)

    def update(self, factor: float, l2: float, norm: float) -> None:
        """After `gradient`: clips it, of that norm, and takes the optimizer's step."""
        self._run_blocks(UPDATE, self.recipe.optimizer.t + 1, factor, l2, norm)

    def end(self) -> None:
        """Ends the other process; the next step begins a new one."""
        if self._partner is not None:
            self._partner.end()

    def _started(self) -> Partner | None:
        try:
            return Partner([partial(task, self) for task in self._tasks], self._begin, self.batch.exchange)
        except OSError:  # no more processes, or no memory for one: this one does it all
            return None

    def _has_partner(self) -> bool:
        """Whether the other process does its half of this step."""
        self._is_at_hand = self._is_at_hand and self._partner is not None and self._partner.is_at_hand
        return self._is_at_hand

    def _run(self, index: int, *numbers: float) -> None:
        if self._has_partner():
            self._hand_over(index, *numbers)
        else:
            for half in range(PROCESSES):
                self._tasks[index](self, half, numbers)

    def _hand_over(self, index: int, *numbers: float) -> None:
        assert self._partner is not None
        self._partner.run(index, partial(self._tasks[index], self), numbers)

    def _run_blocks(self, index: int, *numbers: float) -> None:
        self.pieces.fill(len(self.blocks))
        self._run(index, *numbers)

    def _begin(self) -> None:
        """In the other process, before anything else."""
        np.seterr(all="ignore")
        self.workers.threads = 1
        self._is_at_hand = True

    def _rows(self, half: int, numbers: Sequence[float]) -> None:
        """Forward and back with half of the rows."""
        self.batch.forward_and_back(half, Place(*map(int, numbers)))

    def _taken_by(self, half: int) -> Iterator[int]:
        """The numbers of the blocks that this half gets."""
        return self.pieces.taken_by(half) if self._is_at_hand else self.pieces.taken_alone()

    def _learn(self, half: int, numbers: Sequence[float]) -> None:
        """Block by block, the gradient over all rows, and the update."""
        number, total, t, factor, l2, measured = numbers
        recipe = self.recipe
        recipe.optimizer.t = int(t)
        for index in self._taken_by(half):
            block, norms = self.blocks[index], self.norms[index]
            self.squares[index] = block.work_out(int(total), False, self.workers)
            theta, size = block.theta, block.theta.size
            before = self._before[:size]
            if measured:
                norms[...] = 0
                block.measure(norms[0], [each.passing for each in block.sums])
                block.measure(norms[1], block.of_sums(theta))
                np.copyto(before, theta)
            for _, chunk in block.chunks:
                recipe.clip(chunk.g, 0.0)
                recipe.optimizer.change(chunk, factor, l2)
            if recipe.averaging is not None:
                self._update_average(recipe.averaging, block.place, theta, int(number))
            if measured:
                block.measure(norms[2], block.of_sums(np.subtract(theta, before, out=before)))

    def _update_average(self, averaging: Averaging, place: slice, values: Array, number: int) -> None:
        """That of the values there."""
        assert self.average is not None
        assert self.batch.batches is not None
        steps, scratch = self.recipe.epochs * self.batch.batches.steps, self._scratch[: values.size]
        averaging.change(self.average[place], values, number + 1, steps, scratch)

    def _gradient(self, half: int, numbers: Sequence[float]) -> None:
        """Block by block, the gradient over all rows."""
        for index in self._taken_by(half):
            self.squares[index] = self.blocks[index].work_out(int(numbers[0]), True, self.workers)

    def _update(self, half: int, numbers: Sequence[float]) -> None:
        """Block by block, the update."""
        t, factor, l2, norm = numbers
        optimizer = self.recipe.optimizer
        optimizer.t = int(t)
        for index in self._taken_by(half):
            for chunk, _ in self.blocks[index].chunks:
                self.recipe.clip(chunk.g, norm)
                optimizer.change(chunk, factor, l2)
