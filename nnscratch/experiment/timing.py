"""How long an epoch takes, from the first updates of a training that is thrown away, and how many fit into a time."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np

from nnscratch.config.assembly import Assembly
from nnscratch.config.config import Config, Tell, schedule_notes
from nnscratch.errors import DivergenceError
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.report.formats import count, duration
from nnscratch.training.examples import Examples

MOST_SECONDS = 2.0
SHARE = 0.05
"""How much of a time budget the measurement itself may take, as far as two updates allow."""
SCORED = 2048


def seconds_per_epoch(assembly: Assembly, threads: int, seconds: float, communicator: Communicator = ALONE) -> float:
    """An epoch's updates and its look at the validation split, measured for about so long.

    The training that is measured is another one than the run's, which so begins untouched. Processes that measure it
    together go by the clock of rank 0.
    """
    recipe = replace(assembly.recipe(), test_time_augmentation="none")  # no epoch's validation uses it
    trainer = assembly.trainer(threads, recipe=recipe, communicator=communicator)
    batches = trainer.batches(assembly.splits.train)
    with np.errstate(all="ignore"):
        trainer.step(batches, 0, 0, [])  # makes the buffers
    taken, started = 0, time.perf_counter()

    def goes_on() -> bool:
        return bool(communicator.stack(np.array(time.perf_counter() - started < seconds))[0])

    with suppress(DivergenceError), np.errstate(all="ignore"):  # many updates at the first learning rate may
        while not taken or goes_on():
            taken += 1
            trainer.step(batches, 0, taken % len(batches), [])
    total = (time.perf_counter() - started) / taken * len(batches)
    validation = assembly.splits.validation
    if validation is not None:
        some = Examples(validation.inputs, validation.targets, validation.rows[:SCORED])
        trainer.score(some)  # makes the buffers, as the first update did
        started = time.perf_counter()
        trainer.score(some)
        total += (time.perf_counter() - started) / len(some) * len(validation)
    return float(communicator.stack(np.array(total))[0])


def fit_epochs(assembly: Assembly, threads: int, tell: Tell, communicator: Communicator = ALONE) -> Config:
    """The config with the number of epochs that fits into its `training.minutes`, which it says, in place of those.

    From there on the training is one like any other: the same config trains the same weights again.
    """
    config = assembly.config
    if config.training.minutes is None:
        return config
    budget = 60 * config.training.minutes
    each = seconds_per_epoch(assembly, threads, min(MOST_SECONDS, SHARE * budget), communicator)
    epochs = max(1, int(budget / each))
    fits = f"{count(epochs)} epochs" if epochs > 1 else "1 epoch"
    tell(f"an epoch takes about {duration(each)}: {fits} in {duration(budget)}, which training.epochs now says")
    if each > budget:
        tell(f"one epoch is the least there is: it takes longer than the {duration(budget)} that it was given")
    training = config.training.model_copy(update={"epochs": epochs, "minutes": None})
    fixed = config.model_copy(update={"training": training})
    for note in schedule_notes(fixed):
        tell(note)
    return fixed
