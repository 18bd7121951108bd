"""The formulas that `explain` computes of a component, without its numbers: from a step of a small network with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnscratch.component import Component, settings_of
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Shape
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, Flatten, Tanh
from nnscratch.nn.losses import CrossEntropy, Loss
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2
from nnscratch.teaching.recording import Recording
from nnscratch.training.averaging import Averaging
from nnscratch.training.examples import Examples
from nnscratch.training.optimizers import SGD, Optimizer
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import UNCHANGED
from nnscratch.training.trainer import Trainer

FLAT, IMAGE = (4,), (4, 4, 2)
GIVEN = {
    "units": 3,
    "channels": 2,
    "factor": 2.0,
    "layers": (Dense(4), Tanh()),
    "every": 1,
    "weight_decay": 0.01,
    "momentum": 0.9,
}
"""Settings that have to be given, or without which a part of the formula is missing."""


def worked_formulas(component: type[Component]) -> list[tuple[str, str]]:
    """Name and formula, in the order of computation; of a component that has no part in a step its `equations`."""
    kinds = (Layer, Loss, Optimizer, Averaging)
    if not issubclass(component, kinds):
        return list(component.equations.items())
    given = {field.name: GIVEN[field.name] for field in settings_of(component) if field.name in GIVEN}
    kind: Any = component
    example = kind(**given)
    if isinstance(example, Layer):
        try:
            return list(_told([example], IMAGE, (f"forward 0.{example.name}", f"backward 0.{example.name}")))
        except ShapeError:
            return list(_told([example], FLAT, (f"forward 0.{example.name}", f"backward 0.{example.name}")))
    if isinstance(example, Loss):
        return list(_told([], FLAT, ("loss",), loss=example))
    if isinstance(example, Optimizer):
        return list(_told([Dense(4, bias=False)], FLAT, ("update",), optimizer=example))
    assert isinstance(example, Averaging)
    return list(_told([], FLAT, ("average",), averaging=example))


def penalty_formulas() -> list[tuple[str, str]]:
    """The same of L2: the penalty, and what it adds to the gradient."""
    told = _told([], FLAT, ("loss", "update"), l2=L2(0.1))
    return [(name, formula) for name, formula in told if name in ("R", "g_penalised")]


def _told(
    layers: list[Layer],
    shape: Shape,
    parts: tuple[str, ...],
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    averaging: Averaging | None = None,
    l2: L2 | None = None,
) -> Iterator[tuple[str, str]]:
    """What the second step tells of these parts; each name once, without the place of the entry."""
    rng, N = np.random.default_rng(0), 8
    classes = np.arange(N) % 3
    loss = CrossEntropy() if loss is None else loss
    targets = classes if "classification" in loss.tasks else rng.standard_normal((N, 3))
    train = Examples.all_of(rng.standard_normal((N, *shape)), targets)
    network = Network([*layers, Flatten(), Dense(3, bias=False)], shape)
    network.initialize(RandomStreams(0), np.float64)
    recipe = Recipe(loss, SGD(0.1) if optimizer is None else optimizer, 2, 4, averaging=averaging, l2=l2 or L2())
    trainer = Trainer(network, recipe, UNCHANGED, RandomStreams(0))
    batches = trainer.batches(train)
    recording = Recording(trainer, 0, 1)
    taken = trainer.step(batches, 0, 1, [], recording)
    seen = set()
    for section in recording.sections(taken, 2, 4):
        if section.title in parts or section.phase in parts:
            for equation in section.equations:
                name = equation.name.partition("_{")[0]
                if name not in seen:
                    seen.add(name)
                    yield name, equation.formula
