"""What training is made of, apart from the network and the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.regularization import L2
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.averaging import Averaging
from nnscratch.training.examples import Examples
from nnscratch.training.measurements import clip_by_norm, clip_by_value
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.schedules import ConstantRate, Schedule
from nnscratch.training.test_time_augmentation import Kind


@dataclass(frozen=True)
class Recipe:
    """What training is made of, apart from the network and the data. Loss and optimizer serve one training each."""

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
    monitored: Metric | None = None
    """Computed on the validation split after every epoch, beside loss and accuracy."""
    test_time_augmentation: Kind = "none"
    """For the test; validation after every epoch looks at each image once."""

    @property
    def evaluation_batch_size(self) -> int:
        """Examples at a time when nothing is learned; the same everywhere, so that figures agree to the last digit."""
        return evaluation_batch_size(self.batch_size)

    def clip(self, gradient: Array, norm: float) -> None:
        """Clips in place, by norm and then by value, as far as wanted; `norm` is |gradient|."""
        if self.clip_norm is not None:
            clip_by_norm(gradient, norm, self.clip_norm)
        if self.clip_value is not None:
            clip_by_value(gradient, self.clip_value)

    def learning_rate_factor(self, number: int, steps_per_epoch: int, losses: Sequence[float]) -> float:
        """The schedule's factor for update `number`, from 0; losses are those of the epochs before."""
        return self.schedule.checked(number, self.epochs * steps_per_epoch, steps_per_epoch, losses)


def evaluation_batch_size(batch_size: int) -> int:
    """Examples at a time when nothing is learned, in a training with batches of that size."""
    return max(batch_size, 256)


def prepare_loss(loss: Loss, examples: Examples, outputs: int) -> None:
    """Shows the loss the targets that it is to be of, with their weights where they have any."""
    targets, weights = examples.targets[examples.rows], examples.own_weights()
    loss.prepare(targets, outputs) if weights is None else loss.prepare(targets, outputs, weights)
