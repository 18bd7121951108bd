"""The training loop: batches through the network, the loss, back again, and one update after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from nnscratch.errors import DivergenceError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.averaging import Averaging
from nnscratch.training.batches import Batches
from nnscratch.training.divergence import LARGE, guarded_step, locate, named_vectors, not_finite
from nnscratch.training.evaluation import Score, count_correct, evaluate
from nnscratch.training.examples import Examples
from nnscratch.training.measurements import LayerMeasurements, clip_by_norm, clip_by_value, global_norm
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.progress import EpochResult, Progress, StepResult
from nnscratch.training.scaling import UNCHANGED, Affine, scale_targets
from nnscratch.training.schedules import ConstantRate, Schedule
from nnscratch.training.test_time_augmentation import Kind


@dataclass
class Recipe:
    """What training is made of, apart from the network and the data."""

    loss: Loss
    optimizer: Optimizer
    epochs: int
    batch_size: int
    l2: L2 = field(default_factory=L2)
    schedule: Schedule = field(default_factory=ConstantRate)
    augmentations: Sequence[Augmentation] = ()
    averaging: Averaging | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    test_time_augmentation: Kind = "none"
    """For the test; validation after every epoch looks at each image once."""

    @property
    def evaluation_batch_size(self) -> int:
        """Examples at a time when nothing is learned; the same everywhere, so that figures agree to the last digit."""
        return max(self.batch_size, 256)

    def clip(self, gradient: Array, norm: float | None = None) -> None:
        """Clips in place, by norm and then by value, as far as wanted; `norm` is |gradient|, where it is known."""
        if self.clip_norm is not None:
            clip_by_norm(gradient, global_norm(gradient) if norm is None else norm, self.clip_norm)
        if self.clip_value is not None:
            clip_by_value(gradient, self.clip_value)


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
    ) -> None:
        self.network, self.recipe, self.affine, self.streams = network, recipe, affine, streams
        self.target_affine = target_affine
        self.workers = workers or Workers()
        self.progress = Progress()
        self._losses: list[float] = []
        recipe.optimizer.bind(network.parameters, self.workers)
        self._gradient = network.parameters.gradient[: network.parameters.trainable_size]
        self.measurements = LayerMeasurements(network)
        values = network.parameters.values
        self.average: Array | None = values.copy() if recipe.averaging else None
        self._scratch = np.empty_like(values) if recipe.averaging else None
        self._state_before = np.empty_like(network.parameters.state)

    def run(self, train: Examples, validation: Examples | None = None) -> Iterator[StepResult | EpochResult]:
        """Trains from wherever `progress` is to the recipe's last epoch.

        Raises DivergenceError, the weights still finite, when the loss, a gradient or the next weights are not.
        """
        recipe, progress = self.recipe, self.progress
        train = scale_targets(train, self.target_affine)
        validation = scale_targets(validation, self.target_affine) if validation else None
        batches = Batches(train, self.affine, recipe.batch_size, self.network.output_shape[0])
        held_out = Batches(validation, self.affine, recipe.evaluation_batch_size) if validation else None
        steps = len(batches)
        while progress.epoch < recipe.epochs:
            batches.shuffle(self.streams.stream("shuffle", progress.epoch))
            while progress.step < steps:
                started = time.perf_counter()
                with np.errstate(all="ignore"):  # what overflows is found by explicit checks, and named
                    loss = self._step(batches, steps)
                progress.step += 1
                progress.updates += 1
                progress.train_seconds += time.perf_counter() - started
                yield StepResult(progress.epoch + 1, progress.step, steps, loss)
            with np.errstate(all="ignore"):
                values = self._epoch_values(steps, train, held_out)
            progress.start_next_epoch()
            progress.history.append(values)
            yield EpochResult(progress.epoch, values)

    def score(self, examples: Examples, outputs: Array | None = None) -> Score:
        """Loss and accuracy on a split with the weights that count: the averaged ones when averaging.

        The raw outputs go into `outputs` (N, K) when it is given. Of a regression, loss and outputs are of the scaled
        targets: `target_affine.undo(outputs)` gives values in the targets' own units.
        """
        examples = scale_targets(examples, self.target_affine)
        with self.weights_that_count(), np.errstate(all="ignore"):
            batches = Batches(examples, self.affine, self.recipe.evaluation_batch_size)
            return evaluate(self.network, self.recipe.loss, batches, outputs, self.recipe.test_time_augmentation)

    @contextmanager
    def weights_that_count(self) -> Iterator[None]:
        """Inside, the network holds the averaged weights when there are any; afterwards the trained ones again."""
        if self.average is None or self._scratch is None:
            yield
            return
        values = self.network.parameters.values
        np.copyto(self._scratch, values)
        np.copyto(values, self.average)
        try:
            yield
        finally:
            np.copyto(values, self._scratch)

    def learning_rate_factor(self, steps_per_epoch: int) -> float:
        """The schedule's factor for the next update."""
        progress, recipe = self.progress, self.recipe
        history = progress.history
        if len(self._losses) != len(history):  # kept, because a step of a small network takes half a millisecond
            self._losses = [row.get("val_loss", row["train_loss"]) for row in history]
        step = progress.epoch * steps_per_epoch + progress.step
        return recipe.schedule(step, recipe.epochs * steps_per_epoch, steps_per_epoch, self._losses)

    def require_finite(self) -> None:
        """Raises DivergenceError when anything that a checkpoint would hold is not finite."""
        named = named_vectors(self.network.parameters, self.recipe.optimizer)
        place = not_finite(named if self.average is None else {**named, "the average of the weights": self.average})
        if place is not None:
            raise self._divergence(place, f"by epoch {self.progress.epoch + 1}, step {self.progress.step}")

    def _step(self, batches: Batches, steps: int) -> float:
        """One update: y = f(x), loss and dy, gradients, theta."""
        network, recipe, progress = self.network, self.recipe, self.progress
        network.moment.step = progress.updates
        # Running statistics see a batch before its loss is known.
        np.copyto(self._state_before, network.parameters.state)
        if recipe.augmentations:
            x, t = batches.augmented(progress.step, recipe.augmentations, self.streams, progress.epoch)
        else:
            x, t = batches.load(progress.step)
        y = network.forward(x, training=True)
        loss, dy = recipe.loss(y, t)
        mixed_labels = t.ndim == 2 and batches.examples.targets.ndim == 1
        correct = count_correct(y, np.argmax(t, axis=1) if mixed_labels else t)
        if not math.isfinite(loss):
            raise self._diverged(x, t)
        network.backward(dy)
        gradient = self._gradient
        norm = global_norm(gradient)
        if not math.isfinite(norm):
            raise self._diverged(x, t)

        measured = self.measurements.is_due(progress.step, steps)
        if measured:
            self.measurements.before_update()
        recipe.clip(gradient, norm)
        self._update(loss, norm, self.learning_rate_factor(steps), recipe.l2.coefficient(len(t)))
        if recipe.averaging and self.average is not None and self._scratch is not None:
            done, total = progress.updates + 1, recipe.epochs * steps
            recipe.averaging.update(self.average, network.parameters.values, done, total, self._scratch)
        if measured:
            progress.add_measures(self.measurements.after_update())

        progress.loss_sum += loss * len(t)
        progress.correct += correct
        progress.seen += len(t)
        progress.gradient_norm_sum += norm
        return loss

    def _update(self, loss: float, norm: float, factor: float, l2: float) -> None:
        """theta's step: checked and taken back if need be when it is the first, or something is large."""
        optimizer, parameters = self.recipe.optimizer, self.network.parameters
        if self.progress.updates and max(loss, norm, optimizer.learning_rate * factor, l2) < LARGE:
            optimizer.step(factor, l2)
            return
        place = guarded_step(optimizer, parameters, factor, l2)
        if place is not None:
            np.copyto(parameters.state, self._state_before)
            raise self._divergence(f"{place} after the update", self._present_step())

    def _diverged(self, x: Array, t: Array) -> DivergenceError:
        """The error that names the first array that is not finite, found by repeating the step."""
        state = self.network.parameters.state
        np.copyto(state, self._state_before)
        place = locate(self.network, self.recipe.loss, x.copy(), t)
        np.copyto(state, self._state_before)
        return self._divergence(place, self._present_step())

    def _present_step(self) -> str:
        return f"in epoch {self.progress.epoch + 1}, step {self.progress.step + 1}"

    def _divergence(self, place: str, when: str) -> DivergenceError:
        return DivergenceError(
            f"training diverged {when}: {place} is the first that is not finite; the step was not taken",
            "try a smaller optimizer.learning_rate, training.clip_norm=1, or data.scaling=standardize",
        )

    def _epoch_values(self, steps: int, train: Examples, held_out: Batches | None) -> dict[str, float]:
        """The row of the epoch that has just ended, in the order of its columns."""
        progress, recipe, parameters = self.progress, self.recipe, self.network.parameters
        values: dict[str, float] = {"epoch": progress.epoch + 1, "train_loss": progress.loss_sum / progress.seen}
        classification = train.targets.ndim == 1
        if classification:
            values["train_accuracy"] = progress.correct / progress.seen
        if held_out is not None:
            started = time.perf_counter()
            with self.weights_that_count():
                score = evaluate(self.network, recipe.loss, held_out)
            if not math.isfinite(score.loss):
                raise self._divergence(f"the validation loss ({score.loss})", f"by the end of epoch {values['epoch']}")
            values["val_loss"] = score.loss
            if score.accuracy is not None:
                values["val_accuracy"] = score.accuracy
            values["val_seconds"] = time.perf_counter() - started
        progress.step -= 1  # the rate of the epoch's last update, not of the next one
        values["learning_rate"] = recipe.optimizer.learning_rate * self.learning_rate_factor(steps)
        progress.step += 1
        values["penalty"] = recipe.l2.penalty(parameters, recipe.batch_size)
        values["gradient_norm"] = progress.gradient_norm_sum / steps
        values |= {name: total / progress.measured for name, total in progress.measures.items()}
        values["train_seconds"] = progress.train_seconds
        values["samples_per_second"] = progress.seen / max(progress.train_seconds, 1e-9)
        return values
