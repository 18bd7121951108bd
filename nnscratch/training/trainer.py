"""The training loop: step after step, epoch after epoch, and what each epoch came to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.batches import Batches, TrainingBatches
from nnscratch.training.divergence import diverged, named_vectors, not_finite
from nnscratch.training.evaluation import Score, evaluate
from nnscratch.training.examples import Examples
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.progress import EpochResult, Progress, StepResult
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import UNCHANGED, Affine, scale_targets
from nnscratch.training.step import StepTaken, TrainingStep


class Trainer:
    """Trains an initialised network. `run` yields a result per step and per epoch; the caller records and decides.

    All that changes lives in network.parameters, the optimizer's state, `average` and `progress`: saved and put back,
    they continue bit for bit.
    """

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        affine: Affine,
        streams: RandomStreams,
        workers: Workers | None = None,
        target_affine: Affine = UNCHANGED,
        communicator: Communicator = ALONE,
    ) -> None:
        self.network, self.recipe, self.streams = network, recipe, streams
        self.affine, self.target_affine, self.communicator = affine, target_affine, communicator
        for layer in network.walk():
            layer.expect(recipe.batch_size)
        self.step = TrainingStep(network, recipe, workers or Workers(), communicator)
        self.progress = Progress()

    @staticmethod
    def memory(network: Network, recipe: Recipe) -> dict[str, int]:
        """The bytes that training such a network will hold, by what for; activations about, all else exactly."""
        parameters, single = network.parameters, np.dtype(np.float32).itemsize
        vectors = parameters.values_size + parameters.size + TrainingStep.size(parameters, recipe)
        activations = network.training_size() * recipe.evaluation_batch_size
        return {
            "weights and gradients": single * vectors,
            "optimizer": single * recipe.optimizer.state_size(parameters),
            "activations": single * activations,
        }

    @property
    def average(self) -> Array | None:
        """theta and the running statistics, averaged over the steps; None without averaging."""
        return self.step.average

    def run(
        self,
        train: Examples,
        validation: Examples | None = None,
        questions: Callable[[], Sequence[bool]] = tuple,
    ) -> Iterator[StepResult | EpochResult]:
        """Trains from wherever `progress` is to the recipe's last epoch.

        Of what `questions` gives in every step, its result says what some process said yes to: the same for all.
        Raises DivergenceError, the weights still finite, when the loss, a gradient or the next weights are not.
        """
        try:
            yield from self._run(self.batches(train), validation, questions)
        finally:
            self.step.rest()

    def _run(
        self, batches: TrainingBatches, validation: Examples | None, questions: Callable[[], Sequence[bool]]
    ) -> Iterator[StepResult | EpochResult]:
        progress, steps = self.progress, batches.steps
        held_out = self._evaluation_batches(validation) if validation else None
        while progress.epoch < self.recipe.epochs:
            losses = progress.losses
            while progress.step < steps:
                started = time.perf_counter()
                with np.errstate(all="ignore"):  # what overflows is found by explicit checks, and named
                    taken = self.step(batches, progress.epoch, progress.step, losses, questions=questions())
                self._count(taken)
                progress.train_seconds += time.perf_counter() - started
                yield StepResult(progress.epoch + 1, progress.step, steps, taken.loss, taken.asked)
            with np.errstate(all="ignore"):
                values = self._epoch_values(batches, losses, held_out)
            progress.start_next_epoch()
            progress.history.append(values)
            yield EpochResult(progress.epoch, values)

    def run_until(self, epoch: int, step: int, train: Examples, validation: Examples | None = None) -> None:
        """Trains up to just before that step, both numbers from 0; it must lie ahead, within the recipe's epochs."""
        results = self.run(train, validation)
        while (self.progress.epoch, self.progress.step) != (epoch, step):
            next(results)

    def batches(self, train: Examples) -> TrainingBatches:
        """The batches of every epoch on those examples."""
        return TrainingBatches(
            scale_targets(train, self.target_affine),
            self.affine,
            self.recipe.batch_size,
            self.streams,
            self.recipe.augmentations,
            classes=self.network.output_shape[0],
            dtype=self.network.parameters.theta.dtype,
            communicator=self.communicator,
        )

    def score(self, examples: Examples, outputs: Array | None = None) -> Score:
        """Loss and accuracy on a split with the weights that count: the averaged ones when averaging.

        The raw outputs go into `outputs` (N, K) when it is given. Of a regression, loss and outputs are of the scaled
        targets: `target_affine.undo(outputs)` gives values in the targets' own units.
        """
        batches = self._evaluation_batches(examples)
        with self.weights_that_count(), np.errstate(all="ignore"):
            views = self.recipe.test_time_augmentation
            return evaluate(self.network, self.recipe.loss, batches, outputs, views, self.communicator)

    def weights_that_count(self) -> AbstractContextManager[None]:
        """Inside, the network holds the averaged weights when there are any; afterwards the trained ones again."""
        return self.step.averaged_weights()

    def settle(self, theta: Array, state: Array) -> None:
        """Puts those weights, and running statistics, in place of the trained and the averaged ones, for good.

        Processes that train together do so together.
        """
        self.communicator.wait()
        np.copyto(self.network.parameters.theta, theta)
        np.copyto(self.network.parameters.state, state)
        self.step.average = None

    def require_finite(self) -> None:
        """Raises DivergenceError when anything that a checkpoint would hold is not finite."""
        named = named_vectors(self.network.parameters, self.recipe.optimizer)
        place = not_finite(named if self.average is None else {**named, "the average of the weights": self.average})
        place = self.communicator.first_text(place)
        if place is not None:
            raise diverged(place, f"by epoch {self.progress.epoch + 1}, step {self.progress.step}")

    def _evaluation_batches(self, examples: Examples) -> Batches:
        scaled, size = scale_targets(examples, self.target_affine), self.recipe.evaluation_batch_size
        return Batches(scaled, self.affine, size, self.network.parameters.theta.dtype)

    def _count(self, taken: StepTaken) -> None:
        progress, examples = self.progress, taken.examples
        progress.step += 1
        progress.updates += 1
        progress.loss_sum += taken.loss * examples
        progress.correct += taken.correct
        progress.seen += examples
        progress.gradient_norm_sum += taken.gradient_norm
        if taken.measures is not None:
            progress.add_measures(taken.measures)

    def _epoch_values(self, batches: Batches, losses: list[float], held_out: Batches | None) -> dict[str, float]:
        """The row of the epoch that has just ended, in the order of its columns."""
        progress, recipe, steps = self.progress, self.recipe, batches.steps
        values: dict[str, float] = {"epoch": progress.epoch + 1, "train_loss": progress.loss_sum / progress.seen}
        if batches.examples.targets.ndim == 1:
            values["train_accuracy"] = progress.correct / progress.seen
        if held_out is not None:
            started = time.perf_counter()
            y = self._outputs_to_measure(held_out)
            with self.weights_that_count():
                score = evaluate(self.network, recipe.loss, held_out, y, communicator=self.communicator)
            if not math.isfinite(score.loss):
                raise diverged(f"the validation loss ({score.loss})", f"by the end of epoch {values['epoch']}")
            values["val_loss"] = score.loss
            if score.accuracy is not None:
                values["val_accuracy"] = score.accuracy
            if recipe.monitored is not None and y is not None:
                values[f"val_{recipe.monitored.name}"] = self._measured(recipe.monitored, held_out, y)
            values["val_seconds"] = time.perf_counter() - started
        factor = recipe.learning_rate_factor((progress.epoch + 1) * steps - 1, steps, losses)  # of the last update
        values["learning_rate"] = recipe.optimizer.main_rate * factor
        values["penalty"] = recipe.l2.penalty(self.network.parameters, recipe.batch_size)
        values["gradient_norm"] = progress.gradient_norm_sum / steps
        values |= {name: total / progress.measured for name, total in progress.measures.items()}
        values["train_seconds"] = progress.train_seconds
        values["samples_per_second"] = progress.seen / max(progress.train_seconds, 1e-9)
        return values

    def _outputs_to_measure(self, held_out: Batches) -> Array | None:
        """Where the outputs on the validation split go when a metric of them is wanted."""
        shape = (len(held_out.examples), *self.network.output_shape)
        return np.empty(shape, np.float32) if self.recipe.monitored is not None else None

    def _measured(self, metric: Metric, held_out: Batches, y: Array) -> float:
        """The metric of outputs y on the validation split; of a regression, in the targets' own units."""
        t = held_out.examples.targets[held_out.examples.rows]
        if metric.task == "classification":
            return metric.measure(t, self.recipe.loss.probabilities(y))
        return metric.measure(self.target_affine.undo(t), self.target_affine.undo(y))
