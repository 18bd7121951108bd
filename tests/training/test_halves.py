"""Two processes take the same steps as one, to the last digit whoever does which half, and leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import DivergenceError, UserError
from nnscratch.host import machine
from nnscratch.nn.compute import partner
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.partner import Partner
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import GELU, BatchNorm, Conv, Dense, Dropout, Flatten, LayerNorm, MaxPool, ReLU, Residual
from nnscratch.nn.losses import CrossEntropy, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2
from nnscratch.training import halves
from nnscratch.training.augmentation.changes import Mixup
from nnscratch.training.augmentation.movements import Flip
from nnscratch.training.averaging import ExponentialMovingAverage, Lookahead
from nnscratch.training.examples import Examples
from nnscratch.training.gradient_blocks import BIASES, Learned, Rows, blocks_of
from nnscratch.training.muon import Muon
from nnscratch.training.optimizers import SGD, Adam, AdamW, Lion, RMSProp
from nnscratch.training.progress import StepResult
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import Unit
from nnscratch.training.schedules import ConstantRate, Cosine
from nnscratch.training.trainer import Trainer

pytestmark = [
    pytest.mark.skipif(not partner.is_possible(), reason="this system cannot fork, or is no x86"),
    pytest.mark.usefixtures("every_core"),
]

TRAINED, BATCH = 161, 32  # six batches, the last of one row: one half has none


@pytest.fixture(autouse=True)
def small_networks_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "SMALL", 0)


def layers() -> list[Layer]:
    return [Flatten(), Dense(48), ReLU(), Dropout(0.3), Dense(24), GELU(), Dense(4, bias=False)]


def normalized() -> list[Layer]:
    """Layers whose sums go over all rows, one that learns nothing, and one whose sums nobody before it needs."""
    first = Dense(40, bias=False, frozen=True)
    others = [BatchNorm(shift_learning_rate=2), ReLU(), Dropout(0.2), Dense(24, bias=False), BatchNorm(scale=False)]
    return [Flatten(), first, *others, GELU(), Dense(4)]


def convolutional() -> list[Layer]:
    """Each method of convolution, with what people put between; the first learns its bias alone."""
    first = [Conv(8, frozen=True), GELU(), Conv(8, bias=False), MaxPool(2), BatchNorm(), GELU(), Conv(8, groups=8)]
    block = Residual((Conv(8, 1), BatchNorm(scale=False), ReLU()))
    return [*first, block, Conv(12, stride=2), Dropout(0.2), LayerNorm(), Flatten(), Dense(16), ReLU(), Dense(4)]


def normalized_by_row() -> list[Layer]:
    return [Flatten(), Dense(40), LayerNorm(), ReLU(), Dropout(0.2), Dense(24), LayerNorm(), GELU(), Dense(4)]


def examples(weighted: bool = False) -> Examples:
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (TRAINED, 6, 6, 1), np.uint8)
    weights = rng.uniform(0.5, 2, TRAINED) if weighted else None
    return Examples.all_of(inputs, np.arange(TRAINED) % 4, weights=weights)


def trainer(made: list[Layer] | None = None, threads: int = 2, **recipe: Any) -> Trainer:
    network = Network(made or recipe.pop("layers", layers)(), (6, 6, 1), outputs=4)
    streams = RandomStreams(3)
    network.initialize(streams, recipe.pop("dtype", np.float32))
    workers = machine.share_threads(network, threads)
    optimizer = recipe.pop("optimizer", Adam)(0.01)
    loss = recipe.pop("loss", CrossEntropy)()
    chosen = {"epochs": 2, "batch_size": BATCH, "l2": L2(0.001), "schedule": Cosine(), **recipe}
    return Trainer(network, Recipe(loss, optimizer, **chosen), Unit().fit(examples()), streams, workers)


Trained = tuple[list[Array], list[object]]


def trained(learner: Trainer, train: Examples | None = None) -> Trained:
    """All numbers at the end, and what was told on the way."""
    told: list[object] = []
    for result in learner.run(train or examples()):
        if isinstance(result, StepResult):
            told.append(result.loss)
        else:
            told.append({name: value for name, value in result.values.items() if "second" not in name})
    vectors = [learner.network.parameters.values, *learner.recipe.optimizer.state.values()]
    return [each.copy() for each in [*vectors, *([] if learner.average is None else [learner.average])]], told


def share_out(monkeypatch: pytest.MonkeyPatch, is_at_hand: Callable[[], bool]) -> None:
    monkeypatch.setattr(Partner, "is_at_hand", property(lambda self: is_at_hand()))


RECIPES: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw": {"optimizer": AdamW},
    "sgd": {"optimizer": SGD},
    "rmsprop": {"optimizer": RMSProp},
    "lion": {"optimizer": Lion},
    "moving average": {"averaging": ExponentialMovingAverage(0.9)},
    "lookahead": {"averaging": Lookahead(every=2)},
    "clipped by norm": {"clip_norm": 0.3},
    "clipped by value": {"clip_value": 0.002},
    "flipped": {"augmentations": (Flip(),)},
    "mixed": {"augmentations": (Mixup(0.5),)},
    "float64": {"dtype": np.float64},
    "one batch": {"batch_size": 1000},
    "batch norm": {"layers": normalized},
    "batch norm, averaged": {"layers": normalized, "averaging": ExponentialMovingAverage(0.9), "optimizer": AdamW},
    "batch norm, clipped": {"layers": normalized, "clip_norm": 0.3},
    "batch norm in float64": {"layers": normalized, "dtype": np.float64},
    "muon": {"optimizer": Muon},
    "muon, clipped": {"optimizer": Muon, "clip_norm": 0.3, "layers": normalized},
    "convolutions": {"layers": convolutional},
    "convolutions, muon": {"layers": convolutional, "optimizer": Muon, "averaging": Lookahead(every=2)},
    "convolutions, clipped": {"layers": convolutional, "clip_norm": 0.3, "optimizer": SGD},
    "convolutions in float64": {"layers": convolutional, "dtype": np.float64},
    "convolutions, moved": {"layers": convolutional, "augmentations": (Flip(), Mixup(0.5))},
    "layer norm": {"layers": normalized_by_row},
    "layer norm, averaged": {
        "layers": normalized_by_row,
        "averaging": ExponentialMovingAverage(0.9),
        "optimizer": Lion,
    },
    "layer norm, clipped": {"layers": normalized_by_row, "clip_norm": 0.3},
    "layer norm of pixels": {"layers": lambda: [LayerNorm(), Flatten(), Dense(16), LayerNorm(), Dense(4)]},
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_whoever_does_which_half_every_digit_is_the_same(
    recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    share_out(monkeypatch, lambda: True)
    together = trained(trainer(**recipe))
    share_out(monkeypatch, lambda: False)
    alone = trained(trainer(**recipe))
    steps = count()
    share_out(monkeypatch, lambda: next(steps) % 3 > 0)
    by_turns = trained(trainer(**recipe))
    draws = np.random.default_rng(0)
    share_out(monkeypatch, lambda: bool(draws.random() < 0.8))
    at_random = trained(trainer(**recipe))
    for others in alone, by_turns, at_random:
        assert others[1] == together[1]
        for mine, theirs in zip(others[0], together[0], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("is_at_hand", "rows"), [(True, BATCH // 2), (False, BATCH)])
def test_a_process_goes_forward_once_in_a_step_with_its_half_or_when_it_is_alone_with_all_rows(
    is_at_hand: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_out(monkeypatch, lambda: is_at_hand)
    seen: list[int] = []
    forward = Network.forward

    def counted(self: Network, x: Array, training: bool) -> Array:
        seen.append(len(x))
        return forward(self, x, training)

    monkeypatch.setattr(Network, "forward", counted)
    learner = trainer()
    learner.step(learner.batches(examples()), 0, 0, [])
    learner.step.rest()
    assert seen == [rows]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_two_processes_learn_what_one_does_but_for_rounding(recipe: dict[str, Any]) -> None:
    precise = {**recipe, "dtype": np.float64}
    two, one = trainer(**precise), trainer(threads=1, **precise)
    assert two.step.halves is not None
    assert one.step.halves is None
    (arrays, told), (wanted, wanted_told) = trained(two), trained(one)
    for found, right in zip(arrays, wanted, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-9)
    assert told == [
        {name: pytest.approx(value, rel=1e-6) for name, value in each.items()}
        if isinstance(each, dict)
        else pytest.approx(each, rel=1e-9)
        for each in wanted_told
    ]


@pytest.mark.parametrize(
    "made",
    [
        [Flatten(), Dropout(0.2), Dense(16), ReLU(), Dense(4)],
        [Flatten(), Dense(4)],
        [Flatten(), Dense(16), Dense(16), Dense(4)],
    ],
    ids=["begins with dropout", "one layer", "no activations"],
)
def test_networks_of_other_forms_learn_the_same(made: list[Layer]) -> None:
    two, one = trainer(made), trainer([type(each)(**vars_of(each)) for each in made], threads=1)
    assert two.step.halves is not None
    for found, right in zip(trained(two)[0], trained(one)[0], strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-5)


def vars_of(layer: Layer) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in ("rate", "units") if hasattr(layer, name)}


def test_weights_of_examples_and_targets_that_are_numbers_are_learned_from_alike() -> None:
    weighted = examples(weighted=True)
    for found, right in zip(trained(trainer(), weighted)[0], trained(trainer(threads=1), weighted)[0], strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-5)
    numbers = np.random.default_rng(1).normal(size=(TRAINED, 4)).astype(np.float32)
    regression = Examples.all_of(examples().inputs, numbers)
    two, one = (trainer(loss=MeanSquaredError, threads=threads) for threads in (2, 1))
    for found, right in zip(trained(two, regression)[0], trained(one, regression)[0], strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-5)


@dataclass(eq=False)
class LossOfOnesOwn(CrossEntropy):
    """It may keep something to itself."""

    name = "own"


@dataclass(frozen=True)
class AverageOfOnesOwn(ExponentialMovingAverage):
    """So may it."""

    name = "own average"


@pytest.mark.parametrize(
    "learner",
    [
        lambda: trainer(threads=1),
        lambda: trainer(threads=3),
        lambda: trainer([Flatten(), Dense(16, frozen=True), Dense(4)]),
        lambda: trainer(loss=LossOfOnesOwn),
        lambda: trainer(averaging=AverageOfOnesOwn()),
    ],
    ids=[
        "one thread",
        "three",
        "frozen with a bias that learns",
        "a loss of one's own",
        "an average of one's own",
    ],
)
def test_what_two_processes_cannot_do_alike_is_left_to_threads(learner: Callable[[], Trainer]) -> None:
    assert learner().step.halves is None


def test_small_networks_are_left_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert trainer().step.halves is None
    assert trainer([Flatten(), Dense(4000), ReLU(), Dense(4)]).step.halves is not None


def children() -> set[int]:
    own = f"/proc/self/task/{os.getpid()}/children"
    with open(own) as file:
        return set(map(int, file.read().split()))


def test_a_training_that_ends_or_is_left_leaves_no_process() -> None:
    before = children()
    learner = trainer()
    results = learner.run(examples())
    next(results)
    assert len(children() - before) == 1
    list(results)
    assert children() == before
    left = trainer()
    results = left.run(examples())
    next(results)
    del results
    assert children() == before
    asked = trainer()
    asked.step(asked.batches(examples()), 0, 0, [])
    assert len(children() - before) == 1
    del asked
    assert children() == before


def test_after_the_other_process_was_killed_the_next_step_has_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    share_out(monkeypatch, lambda: True)
    learner = trainer()
    batches, before = learner.batches(examples()), children()
    learner.step(batches, 0, 0, [])
    (pid,) = children() - before
    os.kill(pid, 9)
    with pytest.raises(UserError, match="was killed"):
        learner.step(batches, 0, 1, [])
    assert children() == before
    assert np.isfinite(learner.step(batches, 0, 1, []).loss)
    assert len(children() - before) == 1
    learner.step.rest()


@pytest.mark.parametrize("late", [[], [0], [1], [2], [0, 3], [2, 5], [1, 4, 7]])
def test_other_examples_are_learned_from_by_another_process(late: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = count()
    share_out(monkeypatch, lambda: next(asked) not in late)
    learner, one = trainer(), trainer(threads=1)
    others = Examples.all_of(255 - examples().inputs, np.arange(TRAINED) % 3)
    for each in learner, one:
        for train in (examples(), others, examples()):
            each.step(each.batches(train), 0, 1, [])
    np.testing.assert_allclose(learner.network.parameters.values, one.network.parameters.values, rtol=1e-3, atol=1e-5)
    learner.step.rest()


def test_where_no_process_can_be_started_one_does_both_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, asked = trained(trainer()), count()

    def fork() -> int:
        next(asked)
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    found = trained(trainer())
    assert next(asked) == 1  # once, not in every step
    assert found[1] == wanted[1]
    np.testing.assert_array_equal(found[0][0], wanted[0][0])


@pytest.mark.parametrize("rate", [1e30, 1e7])
@pytest.mark.parametrize("made", [lambda: [Flatten(), Dense(48), Dense(24), Dense(4)], normalized])
def test_a_step_that_would_diverge_is_not_taken(made: Callable[[], list[Layer]], rate: float) -> None:
    learner = trainer(made(), optimizer=SGD)
    learner.recipe.optimizer.rate = rate
    object.__setattr__(learner.recipe.optimizer, "learning_rate", rate)
    kept: list[Array] = []

    def train() -> None:
        kept.extend(learner.network.parameters.values.copy() for _ in learner.run(examples()))

    with pytest.raises(DivergenceError, match="the step was not taken"):
        train()
    assert np.isfinite(learner.network.parameters.values).all()
    for before in kept[-1:]:
        np.testing.assert_array_equal(learner.network.parameters.values, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_running_statistics_that_overflow_end_the_training_where_normalised_outputs_would_go_on(threads: int) -> None:
    learner = trainer(normalized(), threads=threads, optimizer=SGD)
    learner.recipe.optimizer.rate = 1e7
    object.__setattr__(learner.recipe.optimizer, "learning_rate", 1e7)
    with pytest.raises(DivergenceError, match=r"the statistics .*running_variance is the first that is not finite"):
        list(learner.run(examples()))
    assert np.isfinite(learner.network.parameters.values).all()


def test_what_overflows_in_halves_alone_is_named_by_the_gradient_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnscratch.training.step.locate", lambda *_: None)
    learner = trainer(optimizer=SGD)
    object.__setattr__(learner.recipe.optimizer, "learning_rate", 1e30)
    learner.recipe.optimizer.rate = 1e30
    with pytest.raises(DivergenceError, match=r"the gradient of 1\.dense\.weight is the first that is not finite"):
        list(learner.run(examples()))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("l2", "decay"), [(400.0, 0.0), (0.0, 400.0)])
def test_weights_that_nothing_but_penalty_or_decay_changes_stay_finite_too(
    threads: int, l2: float, decay: float
) -> None:
    dark = Examples.all_of(np.zeros((TRAINED, 6, 6, 1), np.uint8), np.arange(TRAINED) % 4)
    recipe = {"l2": L2(l2), "schedule": ConstantRate(), "epochs": 40}
    optimizer = partial(SGD, weight_decay=decay)
    learner = trainer([Flatten(), Dense(4)], threads=threads, optimizer=optimizer, **recipe)
    with pytest.raises(DivergenceError, match=r"the weights 1\.dense\.weight .* the step was not taken"):
        list(learner.run(dark))
    assert np.isfinite(learner.network.parameters.values).all()


def test_an_onlooker_sees_the_whole_batch() -> None:
    learner, one = trainer(), trainer(threads=1)
    seen: list[float] = []

    class Looking:
        def __init__(self, network: Network) -> None:
            self.network = network

        def forward(self, x: Array, training: bool) -> Array:
            seen.append(len(x))
            return self.network.forward(x, training)

        def backward(self, dy: Array) -> Array | None:
            return self.network.backward(dy)

        def updated(self, factor: float, l2: float) -> None:
            seen.append(factor)

    for each in learner, one:
        batches = each.batches(examples())
        for step in range(3):
            each.step(batches, 0, step, [], Looking(each.network) if step == 2 else None)
    assert seen[::2] == [BATCH, BATCH]
    np.testing.assert_allclose(learner.network.parameters.values, one.network.parameters.values, rtol=1e-3, atol=1e-5)
    learner.step.rest()


@pytest.mark.parametrize("widths", [(784, 128, 128, 128, 10), (3072, 512, 256, 10), (3072, 1024, 1024, 10), (5, 3, 2)])
def test_every_number_is_in_one_block_and_one_ends_about_in_the_middle(widths: tuple[int, ...]) -> None:
    made = [Dense(width) for width in widths[1:]]
    network = Network(made, widths[:1])
    network.initialize(RandomStreams(0))
    optimizer = Adam()
    optimizer.bind(network.parameters)
    rows = [Rows(np.empty((4, a)), np.empty((4, b))) for a, b in pairwise(widths)]
    pairs = list(enumerate(zip(made, rows, strict=True)))
    learned = [Learned(number, layer.dW, of) for number, (layer, of) in pairs]
    learned += [Learned(number, layer.db, of) for number, (layer, of) in pairs]
    blocks = blocks_of(learned, network.parameters, optimizer)
    theta = network.parameters.theta
    theta[:] = 0
    for block in blocks:
        block.theta[...] += 1
        for stays, passes in block.chunks:
            stays.theta[...] += 1
            assert passes.theta.ctypes.data == stays.theta.ctypes.data
            assert passes.g.size == stays.g.size == stays.theta.size < 100_000
        for each in block.sums:
            theta[block.place][each.place] += 1
            assert each.gradient.shape == each.passing.shape
    assert (theta == 3).all()
    middle = theta.size / 2
    assert min(abs(block.place.stop - middle) for block in blocks) <= BIASES + 16 * max(widths[1:])
