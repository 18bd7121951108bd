"""`nnscratch explain CONFIG`: one training step told in formulas, shapes and numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnscratch.config.advice import against_divergence
from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.memory import available_memory
from nnscratch.errors import DivergenceError, UsageError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network
from nnscratch.report.samples import image_png
from nnscratch.runs.starting import prepare_start
from nnscratch.teaching.explanation import Example, Explanation
from nnscratch.teaching.recording import Recording
from nnscratch.training.recipe import Recipe
from nnscratch.training.trainer import Trainer

MUCH_MEMORY = 2e9
"""Bytes from which it is said before."""
SHARE_OF_MEMORY = 0.8
"""Of the memory there is, what may be taken."""


def explain(
    config: Config, workplace: Workplace, display: Display, *, sample: int = 2, step: int = 1, example: int = 0
) -> Explanation:
    """Trains up to the step, takes it, and tells it by the numbers of one `example` of its batch, from 0.

    Of arrays over the batch `sample` examples are shown, from that one on. Raises UsageError when training is over
    before that step, or its batch has no such example.
    """
    assembly, _ = prepare_start(config, workplace, display)
    recipe = _that_fits(assembly.network, assembly.recipe(), display)
    trainer = assembly.trainer(machine.choose_threads(workplace.threads), np.float64, recipe)
    batches = trainer.batches(assembly.splits.train)
    steps, epochs = len(batches), config.training.epochs
    if config.training.minutes is not None:
        display.warn(
            f"how many epochs fit into training.minutes is seen when it trains: told is a training of {epochs} epochs, "
            "as training.epochs says"
        )
    if step > epochs * steps:
        raise UsageError(
            f"--step {step}: {config.name} trains for {epochs * steps:,} steps, {epochs} epochs of {steps:,} batches"
        )
    epoch, index = divmod(step - 1, steps)
    size = batches.part(index).total
    if example >= size:
        raise UsageError(f"--example {example}: the batch of step {step} has {size} examples, 0 to {size - 1}")
    try:
        trainer.run_until(epoch, index, assembly.splits.train, assembly.splits.validation)
        recording = Recording(trainer, example, sample)
        with np.errstate(all="ignore"):
            taken = trainer.step(batches, epoch, index, trainer.progress.losses, recording)
    except DivergenceError as error:
        raise DivergenceError(error.message, against_divergence(config)) from None
    sections = recording.sections(taken, step, epochs * steps)
    shown = min(sample, size - example)
    assert taken.t is not None  # of a step with an onlooker
    of = _example(assembly.dataset, example, int(batches.rows(index)[example]), taken.t[example])
    return Explanation(config.name, step, shown, size, of, sections, recording.graph(), taken.loss)


def _example(dataset: Dataset, index: int, row: int, t: Array) -> Example:
    """The example by its target, of a mixed label by both, and as a picture if it is one."""
    if dataset.classes is None:
        names = dataset.target_names or tuple(f"y{place}" for place in range(len(t)))
        target = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, dataset.train_targets[row], strict=True))
    elif t.ndim:
        mixed = np.flatnonzero(t > 0.005)
        target = " and ".join(dataset.classes[k] + (f" ({t[k]:.0%})" if len(mixed) > 1 else "") for k in mixed)
    else:
        target = dataset.classes[int(t)]
    picture = image_png(dataset.train_inputs[row]) if dataset.train_inputs.ndim == 4 else None
    return Example(index, row, target, picture)


def _that_fits(network: Network, recipe: Recipe, display: Display) -> Recipe:
    """The recipe, with a smaller batch where there is no memory for its own; either is said, if it takes much.

    Raises UserError where there is none for a single example.
    """
    available = available_memory()
    whole, least = _memory(network, recipe, recipe.batch_size), _memory(network, recipe, 1)
    examples = recipe.batch_size
    if whole > SHARE_OF_MEMORY * available:
        examples = int((SHARE_OF_MEMORY * available - least) // (_memory(network, recipe, 2) - least)) + 1
    if examples < 1:
        raise UserError(
            f"one example takes about {least / 1e9:.2g} GB of memory in float64, and there are {available / 1e9:.2g}",
            "make the network smaller",
        )
    if examples < recipe.batch_size:
        display.warn(
            f"a batch of {recipe.batch_size:,} examples in float64 takes about {whole / 1e9:.2g} GB of memory, and "
            f"there are {available / 1e9:.2g}: told is a training with training.batch_size={examples}"
        )
    elif whole > MUCH_MEMORY:
        display.warn(
            f"all {examples:,} examples of the batch are kept in float64: about {whole / 1e9:.2g} GB of memory; "
            "with training.batch_size=8 the same formulas take little"
        )
    return replace(recipe, batch_size=examples)


def _memory(network: Network, recipe: Recipe, examples: int) -> int:
    """The bytes it takes, about: training's own in twice its precision, and a copy of what every layer gives on."""
    held = Trainer.memory(network, recipe)
    vectors = sum(held.values()) - held["activations"]
    return 2 * vectors + 3 * np.dtype(np.float64).itemsize * network.activation_size() * examples
