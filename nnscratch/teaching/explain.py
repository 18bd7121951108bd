"""`nnscratch explain CONFIG`: one training step told in formulas, shapes and numbers."""

from __future__ import annotations

import numpy as np

from nnscratch.config.advice import AGAINST_DIVERGENCE
from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import DivergenceError, UsageError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.samples import image_png
from nnscratch.runs.starting import prepare_start
from nnscratch.teaching.explanation import Example, Explanation
from nnscratch.teaching.recording import Recording
from nnscratch.training.trainer import Trainer

MUCH_MEMORY = 2e9
"""Bytes from which it is said before."""


def explain(
    config: Config, workplace: Workplace, display: Display, *, sample: int = 2, step: int = 1, example: int = 0
) -> Explanation:
    """Trains up to the step, takes it, and tells it by the numbers of one `example` of its batch, from 0.

    Of arrays over the batch `sample` examples are shown, from that one on. Raises UsageError when training is over
    before that step, or its batch has no such example.
    """
    assembly, _ = prepare_start(config, workplace, display)
    trainer = assembly.trainer(machine.choose_threads(workplace.threads), np.float64)
    batches = trainer.batches(assembly.splits.train)
    steps, epochs = len(batches), config.training.epochs
    if step > epochs * steps:
        raise UsageError(
            f"--step {step}: {config.name} trains for {epochs * steps:,} steps, {epochs} epochs of {steps:,} batches"
        )
    epoch, index = divmod(step - 1, steps)
    size = batches.part(index).total
    if example >= size:
        raise UsageError(f"--example {example}: the batch of step {step} has {size} examples, 0 to {size - 1}")
    memory = _memory(trainer)
    if memory > MUCH_MEMORY:
        display.warn(
            f"all {config.training.batch_size:,} examples of the batch are kept in float64: about "
            f"{memory / 1e9:.2g} GB of memory; with training.batch_size=8 the same formulas take little"
        )
    try:
        trainer.run_until(epoch, index, assembly.splits.train, assembly.splits.validation)
        recording = Recording(trainer, example, sample)
        with np.errstate(all="ignore"):
            taken = trainer.step(batches, epoch, index, trainer.progress.losses, recording)
    except DivergenceError as error:
        raise DivergenceError(error.message, AGAINST_DIVERGENCE) from None
    sections = recording.sections(taken, step, epochs * steps)
    shown = min(sample, size - example)
    of = _example(assembly.dataset, example, int(batches.rows(index)[example]), taken.t[example])
    return Explanation(config.name, step, shown, size, of, sections, recording.graph(), taken.loss)


def _example(dataset: Dataset, index: int, row: int, t: Array) -> Example:
    """The example by its target, of a mixed label by both, and as a picture if it is one."""
    if dataset.classes is None:
        names = dataset.target_names or tuple(f"y{place}" for place in range(len(t)))
        target = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, dataset.train_targets[row], strict=True))
    elif t.ndim:
        target = " and ".join(f"{t[label]:.0%} {dataset.classes[label]}" for label in np.flatnonzero(t > 0.005))
    else:
        target = dataset.classes[int(t)]
    picture = image_png(dataset.train_inputs[row]) if dataset.train_inputs.ndim == 4 else None
    return Example(index, row, target, picture)


def _memory(trainer: Trainer) -> int:
    """The bytes it takes, about: training's own in twice its precision, and a copy of what every layer gives on."""
    held = Trainer.memory(trainer.network, trainer.recipe)
    vectors = sum(held.values()) - held["activations"]
    numbers = trainer.network.activation_size() * trainer.recipe.batch_size
    return 2 * vectors + 3 * np.dtype(np.float64).itemsize * numbers
