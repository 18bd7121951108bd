"""One training by several processes is the training of one: shown with threads in their place, in float64."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from nnscratch.errors import DivergenceError
from nnscratch.nn.compute import row_products
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import BatchNorm, Conv, Dense, Dropout, Flatten, LayerNorm, MaxPool, ReLU, Residual
from nnscratch.nn.losses import CrossEntropy, Loss, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.augmentation.changes import ColourJitter, Cutout, Mixup, Rotation
from nnscratch.training.augmentation.movements import AlternatingFlip, Flip, Translate
from nnscratch.training.averaging import ExponentialMovingAverage, Lookahead
from nnscratch.training.examples import Examples
from nnscratch.training.muon import Muon
from nnscratch.training.optimizers import SGD, Adam, AdamW, Lion, Optimizer, RMSProp
from nnscratch.training.progress import EpochResult
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import Unit
from nnscratch.training.schedules import Cosine, ReduceOnPlateau
from nnscratch.training.trainer import Trainer

Result = TypeVar("Result")


class Meeting:
    """Where the threads put down what they have for each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size)
        self.table: list[Array] = [np.empty(0)] * size
        self.common = np.empty(0)

    def exchange(self, rank: int, array: Array) -> list[Array]:
        """Copies of what everybody has put down."""
        self.barrier.wait(timeout=20)
        self.table[rank] = array.copy()
        self.barrier.wait(timeout=20)
        return list(self.table)


class Thread(Communicator):
    """One of the threads, as a Communicator."""

    def __init__(self, meeting: Meeting, rank: int, shares_memory: bool) -> None:
        self.meeting, self.rank, self.size, self.shares_memory = meeting, rank, meeting.size, shares_memory

    def common(self, size: int, dtype: npt.DTypeLike) -> Array | None:
        if not self.shares_memory:
            return None
        if self.rank == 0:
            self.meeting.common = np.zeros(size, dtype)
        self.wait()
        found = self.meeting.common
        self.wait()
        return found

    def wait(self) -> None:
        self.meeting.barrier.wait(timeout=20)

    def stack(self, values: Array) -> Array:
        return np.stack(self.meeting.exchange(self.rank, values))

    def reduce_scatter(self, vector: Array, borders: Sequence[int]) -> None:
        own = slice(borders[self.rank], borders[self.rank + 1])
        total = np.sum([each[own] for each in self.meeting.exchange(self.rank, vector)], axis=0)
        vector[:] = np.nan  # whoever reads the rest is found out
        vector[own] = total

    def all_gather(self, vector: Array, borders: Sequence[int]) -> None:
        for rank, each in enumerate(self.meeting.exchange(self.rank, vector)):
            own = slice(borders[rank], borders[rank + 1])
            vector[own] = each[own]


def together(size: int, work: Callable[[Communicator], Result], shares_memory: bool = False) -> list[Result]:
    """What work(communicator) gives on every one of so many threads at once; raises what the first of them raises."""
    meeting, results, errors = Meeting(size), dict[int, Result](), dict[int, BaseException]()

    def run(rank: int) -> None:
        try:
            results[rank] = work(Thread(meeting, rank, shares_memory))
        except BaseException as error:
            errors[rank] = error
            meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    own = [error for error in errors.values() if not isinstance(error, threading.BrokenBarrierError)]
    if own or errors:
        raise (own or list(errors.values()))[0]
    return [results[rank] for rank in range(size)]


TRAINED, BATCH = 17, 6  # batches of 6 rows and a last one of 5: 4 processes get 1 or 2 each
CLASSES = 3


def images(targets: Array) -> Examples:
    rng = np.random.default_rng(0)
    return Examples.all_of(rng.integers(0, 256, (len(targets), 8, 8, 2), np.uint8), targets)


LABELS = np.arange(TRAINED + 9) % CLASSES
TRAIN = replace(images(LABELS), rows=np.arange(TRAINED))
HELD_OUT = replace(TRAIN, rows=np.arange(TRAINED, TRAINED + 9))


def convolutional() -> list[Layer]:
    """No bias before batch_norm: its gradient is nothing but rounding, of which adam makes whole steps."""
    return [
        Conv(4, bias=False),
        BatchNorm(),
        ReLU(),
        MaxPool(2),
        Residual((Conv(4, bias=False), BatchNorm(), ReLU())),
        Flatten(),
        Dropout(0.3),
        Dense(8, bias=False),
        BatchNorm(scale=False, shift_learning_rate=4.0),
        LayerNorm(),
        Dense(CLASSES),
    ]


def dense() -> list[Layer]:
    """Nothing that keeps running statistics."""
    return [Flatten(), Dense(16), ReLU(), Dense(12, bias=False), ReLU(), Dense(CLASSES)]


def trained(
    communicator: Communicator, train: Examples = TRAIN, dtype: type = np.float64, **changed: Any
) -> tuple[Trainer, dict[str, Array], list[dict[str, float]]]:
    """A training of two epochs: its end, what a checkpoint would hold, and its rows."""
    layers: Callable[[], list[Layer]] = changed.pop("layers", convolutional)
    freeze: tuple[str, ...] = changed.pop("freeze", ())
    settings: dict[str, Any] = {"loss": CrossEntropy(), "optimizer": Adam(0.01), "epochs": 2, "batch_size": BATCH}
    recipe = Recipe(**(settings | changed))
    recipe.loss.prepare(train.targets[train.rows], CLASSES)
    network = Network(layers(), (8, 8, 2), freeze=freeze)
    streams = RandomStreams(5)
    # Everybody starts elsewhere but the first, whose weights count.
    network.initialize(RandomStreams(5 + communicator.rank), dtype)
    network.moment.streams = streams
    learner = Trainer(network, recipe, Unit().fit(train), streams, communicator=communicator)
    held_out = HELD_OUT if train is TRAIN else None
    rows = [dict(result.values) for result in learner.run(train, held_out) if isinstance(result, EpochResult)]
    rows = [{name: value for name, value in row.items() if "second" not in name} for row in rows]
    kept = {"values": network.parameters.values, **learner.step.optimizer_state()}
    return learner, kept | ({} if learner.average is None else {"average": learner.average}), rows


OPTIMIZERS: list[Callable[[], Optimizer]] = [
    SGD,
    lambda: SGD(0.05, 0.9, nesterov=True, weight_decay=0.01),
    RMSProp,
    lambda: AdamW(0.01),
    lambda: Lion(0.001, weight_decay=0.01),
    Muon,
    lambda: Muon(normalize=True),
]
AUGMENTATIONS: list[tuple[Augmentation, ...]] = [
    (Flip(), Translate(1)),
    (AlternatingFlip(),),
    (Cutout(2), ColourJitter()),
    (Rotation(), Translate(2)),
    (Mixup(0.4),),
    (Flip(), Mixup(1.0), Cutout(3)),
]
CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": dict,
    "smoothed": lambda: {"loss": CrossEntropy(label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5))},
    "balanced": lambda: {"loss": CrossEntropy(class_weights="balanced")},
    "squared": lambda: {"loss": MeanSquaredError()},
    "clipped by norm": lambda: {"clip_norm": 0.05},
    "clipped by value": lambda: {"clip_value": 0.001},
    "l2": lambda: {"l2": L2(0.1, divide_by_batch=True)},
    "ema": lambda: {"averaging": ExponentialMovingAverage(0.9)},
    "lookahead": lambda: {"averaging": Lookahead(every=3)},
    "cosine": lambda: {"schedule": Cosine(warmup_epochs=1)},
    "plateau": lambda: {"schedule": ReduceOnPlateau(patience=1), "epochs": 4},
    "one row": lambda: {"batch_size": 1},
    "a last batch of one": lambda: {"batch_size": 8},
    **{f"optimizer {n}": lambda each=each: {"optimizer": each()} for n, each in enumerate(OPTIMIZERS)},  # type: ignore[misc]  # a default binds the loop variable
    **{f"augmentation {n}": lambda each=each: {"augmentations": each} for n, each in enumerate(AUGMENTATIONS)},  # type: ignore[misc]  # a default binds the loop variable
}


def take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small they are, processes that share memory work out the gradients of dense layers together."""
    monkeypatch.setattr(row_products, "WORTH", 0)
    monkeypatch.setattr(row_products, "SMALL", 0)


def require_same(change: str, sizes: Sequence[int], shares_memory: bool) -> None:
    """That so many processes train what one trains."""
    _, kept, rows = trained(ALONE, **CHANGES[change]())
    for size in sizes:
        for _, theirs, their_rows in together(size, lambda each: trained(each, **CHANGES[change]()), shares_memory):
            assert theirs.keys() == kept.keys()
            for name, vector in kept.items():
                np.testing.assert_allclose(theirs[name], vector, rtol=1e-12, atol=1e-12, err_msg=f"{name}, {size}")
            assert len(their_rows) == len(rows)
            for own, row in zip(rows, their_rows, strict=True):
                assert row == pytest.approx(own, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("change", CHANGES)
def test_two_three_and_four_processes_train_what_one_trains(change: str) -> None:
    require_same(change, (2, 3, 4), shares_memory=False)


@pytest.mark.parametrize("change", CHANGES)
def test_those_that_share_memory_do_too(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each works out its part of every dense layer's dW, and where nothing else is averaged they have one theta."""
    take_all(monkeypatch)
    require_same(change, (3,), shares_memory=True)
    monkeypatch.setitem(CHANGES, "dense", lambda: {"layers": dense, **CHANGES[change]()})
    require_same("dense", (2, 4), shares_memory=True)


def test_after_a_training_together_backward_fills_every_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    take_all(monkeypatch)

    def gradient(each: Communicator) -> Array:
        network = trained(each, layers=dense)[0].network
        network.parameters.gradient[:] = np.nan
        network.forward(np.ones((2, 8, 8, 2)), training=True)
        network.backward(np.ones((2, CLASSES)))
        return network.parameters.gradient

    for theirs in together(2, gradient, shares_memory=True):
        np.testing.assert_allclose(theirs, gradient(ALONE), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("freeze", [(), ("1.dense",), ("3.dense.weight",)])
def test_dense_layers_that_share_memory_measure_what_one_process_measures(
    freeze: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_all(monkeypatch)

    def work(each: Communicator) -> Any:
        return trained(each, layers=dense, freeze=freeze)[1:]

    kept, rows = work(ALONE)
    for theirs, their_rows in together(3, work, shares_memory=True):
        np.testing.assert_allclose(theirs["values"], kept["values"], rtol=1e-12, atol=1e-12)
        assert their_rows == [pytest.approx(row, rel=1e-11) for row in rows]


def test_all_processes_hold_the_same_to_the_last_bit_and_so_do_two_trainings() -> None:
    first, second = (
        [kept for _, kept, _ in together(3, lambda each: trained(each, dtype=np.float32))] for _ in range(2)
    )
    for kept in (*first, *second):
        for name, vector in first[0].items():
            np.testing.assert_array_equal(kept[name], vector)


def test_float32_agrees_to_its_rounding() -> None:
    _, kept, _ = trained(ALONE, dtype=np.float32, optimizer=SGD(0.05))
    for _, theirs, _ in together(2, lambda each: trained(each, dtype=np.float32, optimizer=SGD(0.05))):
        np.testing.assert_allclose(theirs["values"], kept["values"], rtol=1e-4, atol=1e-5)


def test_a_regression_is_trained_alike() -> None:
    targets = np.random.default_rng(1).standard_normal((TRAINED, CLASSES)).astype(np.float32)
    train = images(targets)
    loss: Callable[[], Loss] = MeanSquaredError
    _, kept, _ = trained(ALONE, train, loss=loss())
    for _, theirs, _ in together(4, lambda each: trained(each, train, loss=loss())):
        np.testing.assert_allclose(theirs["values"], kept["values"], rtol=1e-12, atol=1e-12)


def test_examples_that_count_differently_are_trained_alike() -> None:
    weighted = replace(TRAIN, weights=np.random.default_rng(2).uniform(0.1, 3.0, len(LABELS)))
    _, kept, rows = trained(ALONE, weighted)
    for _, theirs, their_rows in together(3, lambda each: trained(each, weighted)):
        np.testing.assert_allclose(theirs["values"], kept["values"], rtol=1e-12, atol=1e-12)
        assert their_rows[-1] == pytest.approx(rows[-1], rel=1e-11)


def test_the_optimizers_memory_is_shared_out() -> None:
    sizes = together(3, lambda each: [len(vector) for vector in trained(each)[0].recipe.optimizer.state.values()])
    whole = trained(ALONE)[0].network.parameters.trainable_size
    assert [sum(column) for column in zip(*sizes, strict=True)] == [whole, whole]
    assert max(map(max, sizes)) <= whole // 3 + 1


def test_muon_cuts_no_hidden_matrix_and_shares_out_the_operations() -> None:
    network = Network([Flatten(), *(Dense(40) for _ in range(6)), Dense(CLASSES)], (8, 8, 2))
    network.initialize(RandomStreams(0))
    optimizer, parameters = Muon(), network.parameters
    optimizer.bind(parameters)
    for parts in range(1, 12):
        borders = optimizer.borders(parameters, parts)
        assert borders[0] == 0
        assert borders[-1] == parameters.trainable_size
        assert borders == sorted(borders)
        assert not [each for each in optimizer.hidden for cut in borders if each.place.start < cut < each.place.stop]
    start, middle, stop = optimizer.borders(parameters, 2)
    assert 0.3 < (middle - start) / (stop - start) < 0.7


def test_validation_and_test_give_what_one_process_gives_to_the_last_digit() -> None:
    def scored(communicator: Communicator) -> tuple[float, Array]:
        learner, _, _ = trained(communicator, epochs=0)
        many = Examples(TRAIN.inputs, TRAIN.targets, np.arange(700) % len(LABELS))
        outputs = np.full((700, CLASSES), np.nan, np.float32)
        return learner.score(many, outputs).loss, outputs

    loss, outputs = scored(ALONE)
    for size in (2, 4):
        for their_loss, theirs in together(size, scored):
            assert their_loss == loss
            np.testing.assert_array_equal(theirs, outputs)


@pytest.mark.parametrize(
    ("rate", "where"), [(1e300, "after the update"), (1e30, "layer|loss|weights|gradient")], ids=["update", "step"]
)
def test_a_divergence_is_found_by_all_at_the_same_place(
    rate: float, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_all(monkeypatch)
    for layers in (convolutional, dense):

        def diverge(communicator: Communicator, layers: Callable[[], list[Layer]] = layers) -> str:
            with pytest.raises(DivergenceError, match=where) as caught:
                trained(communicator, optimizer=SGD(rate), dtype=np.float32, layers=layers)
            return caught.value.message

        found = {diverge(ALONE), *together(3, diverge), *together(3, diverge, shares_memory=True)}
        assert len(found) == 1


def test_a_row_of_one_process_that_is_not_finite_is_found_by_all() -> None:
    inputs = np.ones((12, 8, 8, 2), np.float32)
    inputs[7, 0, 0, 0] = np.inf
    train = Examples.all_of(inputs, LABELS[:12])

    def diverge(communicator: Communicator) -> str:
        with pytest.raises(DivergenceError) as caught:
            trained(communicator, train, layers=lambda: [Flatten(), Dense(CLASSES)])
        return caught.value.message

    (message,) = {diverge(ALONE), *together(4, diverge)}
    assert "the input batch is the first that is not finite" in message


def test_a_yes_of_one_process_reaches_all() -> None:
    def asked(communicator: Communicator) -> list[list[bool]]:
        learner, _, _ = trained(communicator, epochs=0)
        batches, rank = learner.batches(TRAIN), communicator.rank
        return [
            list(learner.step(batches, 0, step, [], questions=(rank == 1 and step == 2, rank == step)).asked)
            for step in range(3)
        ]

    assert together(2, asked) == [[[False, True], [False, True], [True, False]]] * 2


def test_a_text_reaches_all_and_the_first_counts() -> None:
    said = ["", "übel", "", os.fsdecode(b"runs/b\xff")]
    assert together(4, lambda each: each.texts(said[each.rank])) == [said] * 4
    assert together(4, lambda each: each.first_text(said[each.rank] or None)) == ["übel"] * 4
    assert together(2, lambda each: each.first_text(None)) == [None] * 2
    assert ALONE.texts("alone") == ["alone"]
