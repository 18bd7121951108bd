"""A training step follows from (epoch, step) and from what steps change: nothing else is kept between them."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import BatchNorm, Dense, Dropout, Flatten, ReLU
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation.changes import Mixup
from nnscratch.training.augmentation.movements import Translate
from nnscratch.training.averaging import Averaging, ExponentialMovingAverage, Lookahead
from nnscratch.training.examples import Examples
from nnscratch.training.muon import Muon
from nnscratch.training.optimizers import SGD, Adam, Lion, Optimizer
from nnscratch.training.progress import StepResult
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import Unit
from nnscratch.training.schedules import Cosine
from nnscratch.training.trainer import Trainer

TRAINED, BATCH = 50, 16  # four batches, the last of two


def examples() -> Examples:
    rng = np.random.default_rng(0)
    return Examples.all_of(rng.integers(0, 256, (TRAINED, 4, 4, 1), np.uint8), np.arange(TRAINED) % 4)


def trainer(
    optimizer: Optimizer | None = None, averaging: Averaging | None = None, width: int = 8, dtype: type = np.float32
) -> Trainer:
    network = Network([Flatten(), Dense(width), BatchNorm(), ReLU(), Dropout(0.3), Dense(4)], (4, 4, 1))
    streams = RandomStreams(3)
    network.initialize(streams, dtype)
    recipe = Recipe(
        CrossEntropy(),
        optimizer or Adam(learning_rate=0.01),
        epochs=3,
        batch_size=BATCH,
        schedule=Cosine(warmup_epochs=1),
        augmentations=(Translate(1), Mixup(0.5)),
        averaging=averaging,
    )
    return Trainer(network, recipe, Unit().fit(examples()), streams)


def kept(learner: Trainer) -> list[Array]:
    """All that a step starts from."""
    vectors = [learner.network.parameters.values, *learner.recipe.optimizer.state.values()]
    return [*vectors, *([] if learner.average is None else [learner.average])]


@pytest.mark.parametrize("averaging", [None, Lookahead(every=1), ExponentialMovingAverage()])
def test_from_the_same_state_a_step_is_the_same_whatever_was_asked_before(averaging: Averaging | None) -> None:
    first, second = trainer(averaging=averaging), trainer(averaging=averaging)
    train = examples()
    first.run_until(1, 3, train)
    for mine, theirs in zip(kept(second), kept(first), strict=True):
        np.copyto(mine, theirs)
    second.recipe.optimizer.t = first.recipe.optimizer.t
    batches = second.batches(train)
    for place in ((0, 0), (2, 1), (1, 0)):
        batches.batch(*place)
    done = [each.step(each.batches(train), 1, 3, [1.0]) for each in (first, second)]
    assert done[0].loss == done[1].loss
    assert done[0].t is not None
    assert len(done[0].t) == TRAINED % BATCH
    for mine, theirs in zip(kept(second), kept(first), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_running_until_a_step_and_going_on_is_running_on() -> None:
    stopped, unstopped = trainer(), trainer()
    train = examples()
    losses = [each.loss for each in unstopped.run(train) if isinstance(each, StepResult)]
    stopped.run_until(1, 2, train)
    assert (stopped.progress.epoch, stopped.progress.step, stopped.progress.updates) == (1, 2, 6)
    assert [each.loss for each in stopped.run(train) if isinstance(each, StepResult)] == losses[6:]
    np.testing.assert_array_equal(stopped.network.parameters.values, unstopped.network.parameters.values)


@dataclass
class Onlooking:
    """Goes the network's way, and keeps what it sees."""

    network: Network
    seen: list[str] = field(default_factory=list)

    def forward(self, x: Array, training: bool) -> Array:
        self.seen.append(f"forward {len(x)}")
        return self.network.forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        self.seen.append("backward")
        return self.network.backward(dy)

    def updated(self, factor: float, l2: float) -> None:
        self.seen.append(f"updated {factor:g}")
        self.theta = self.network.parameters.theta.copy()


def test_an_onlooker_changes_nothing_and_sees_theta_before_it_is_averaged() -> None:
    alone, watched = (trainer(averaging=Lookahead(every=1, decay=0.5, power=0)) for _ in range(2))
    train = examples()
    onlooker = Onlooking(watched.network)
    alone.step(alone.batches(train), 0, 1, [])
    watched.step(watched.batches(train), 0, 1, [], onlooker)
    assert onlooker.seen == ["forward 16", "backward", "updated 0.4"]
    np.testing.assert_array_equal(alone.network.parameters.values, watched.network.parameters.values)
    assert watched.average is not None
    np.testing.assert_array_equal(watched.network.parameters.values, watched.average)
    assert not np.array_equal(onlooker.theta, watched.network.parameters.theta)


@pytest.mark.parametrize(
    ("optimizer", "averaging"),
    [(SGD(), None), (Adam(), None), (Lion(), Lookahead()), (Muon(), ExponentialMovingAverage())],
    ids=["sgd", "adam", "lion, lookahead", "muon, moving average"],
)
def test_a_trainer_allocates_what_it_said_it_would(optimizer: Optimizer, averaging: Averaging | None) -> None:
    train, width = examples(), 20_000
    network = Network([Flatten(), Dense(width), BatchNorm(), ReLU(), Dense(4)], (4, 4, 1))
    recipe = Recipe(CrossEntropy(), optimizer, 1, BATCH, averaging=averaging)
    planned = Trainer.memory(network, recipe)
    tracemalloc.start()
    try:
        network.initialize(RandomStreams(0))
        learner = Trainer(network, recipe, Unit().fit(train), RandomStreams(0))
        arrays = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)])
    finally:
        tracemalloc.stop()
    held = sum(trace.size for trace in arrays.traces)
    assert learner.network.parameters.size > 20 * width
    assert held == pytest.approx(planned["weights and gradients"] + planned["optimizer"], abs=10_000)


def test_the_activations_of_a_batch_take_about_what_was_said() -> None:
    rng = np.random.default_rng(0)
    train = Examples.all_of(rng.random((4096, 10), np.float32), np.arange(4096) % 4)
    network = Network([Dense(1000), BatchNorm(), ReLU(), Dense(1000), ReLU(), Dense(4)], (10,))
    recipe = Recipe(CrossEntropy(), SGD(), 1, 4096)
    planned = Trainer.memory(network, recipe)["activations"]
    network.initialize(RandomStreams(0))
    learner = Trainer(network, recipe, Unit().fit(train), RandomStreams(0))
    tracemalloc.start()
    try:
        list(learner.run(train))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held == pytest.approx(planned, rel=0.15)
