"""`nnscratch explain CONFIG`: one training step told in formulas, shapes and numbers."""

from __future__ import annotations

import numpy as np

from nnscratch.config.advice import AGAINST_DIVERGENCE
from nnscratch.config.assembly import prepare
from nnscratch.config.config import Config
from nnscratch.errors import DivergenceError, UsageError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.teaching.explanation import Explanation
from nnscratch.teaching.recording import Recording
from nnscratch.training.trainer import Trainer

MUCH_MEMORY = 2e9
"""Bytes from which it is said before."""


def explain(config: Config, workplace: Workplace, display: Display, *, sample: int = 2, step: int = 1) -> Explanation:
    """Trains up to the step, takes it, and tells it; of arrays over the batch the first `sample` examples are shown.

    Raises UsageError when training is over before that step.
    """
    assembly = prepare(config, workplace, display)
    trainer = assembly.trainer(machine.choose_threads(workplace.threads), np.float64)
    batches = trainer.batches(assembly.splits.train)
    steps, epochs = len(batches), config.training.epochs
    if step > epochs * steps:
        raise UsageError(
            f"--step {step}: {config.name} trains for {epochs * steps:,} steps, {epochs} epochs of {steps:,} batches"
        )
    memory = _memory(trainer)
    if memory > MUCH_MEMORY:
        display.warn(
            f"all {config.training.batch_size:,} examples of the batch are kept in float64: about "
            f"{memory / 1e9:.2g} GB of memory; with training.batch_size=8 the same formulas take little"
        )
    epoch, index = divmod(step - 1, steps)
    try:
        trainer.run_until(epoch, index, assembly.splits.train, assembly.splits.validation)
        recording = Recording(trainer, sample)
        with np.errstate(all="ignore"):
            taken = trainer.step(batches, epoch, index, trainer.progress.losses, recording)
    except DivergenceError as error:
        raise DivergenceError(error.message, AGAINST_DIVERGENCE) from None
    sections = recording.sections(taken, step, epochs * steps)
    return Explanation(config.name, step, min(sample, len(taken.t)), len(taken.t), sections)


def _memory(trainer: Trainer) -> int:
    """The bytes it takes, about: training's own in twice its precision, and a copy of what every layer gives on."""
    held = Trainer.memory(trainer.network, trainer.recipe)
    vectors = sum(held.values()) - held["activations"]
    numbers = trainer.network.activation_size() * trainer.recipe.batch_size
    return 2 * vectors + 3 * np.dtype(np.float64).itemsize * numbers
