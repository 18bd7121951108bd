"""The training loop: against PyTorch, against itself, and when numbers stop being finite."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import DivergenceError
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layers import BatchNorm, Dense, Flatten, ReLU, Tanh
from nnscratch.nn.losses import CrossEntropy, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2
from nnscratch.training import optimizers
from nnscratch.training.averaging import ExponentialMovingAverage
from nnscratch.training.examples import Examples
from nnscratch.training.measurements import clip_by_norm, clip_by_value, global_norm
from nnscratch.training.optimizers import SGD, Adam, AdamW, Optimizer, RMSProp
from nnscratch.training.progress import EpochResult, StepResult
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import Unit, affine
from nnscratch.training.schedules import Cosine
from nnscratch.training.trainer import Trainer


def examples(count: int = 200, classes: int = 4, seed: int = 0) -> Examples:
    """Bytes in 4 x 4 images whose brightness depends on their class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    inputs = rng.integers(0, 128, (count, 4, 4, 1)) + 30 * labels[:, None, None, None]
    return Examples.all_of(inputs.astype(np.uint8), labels)


def trainer_for(
    train: Examples, recipe: Recipe, dtype: type = np.float32, workers: Workers | None = None, seed: int = 7
) -> Trainer:
    network = Network([Flatten(), Dense(16), ReLU(), Dense(8), Tanh(), Dense()], (4, 4, 1), outputs=4)
    streams = RandomStreams(seed)
    network.initialize(streams, dtype)
    return Trainer(network, recipe, Unit().fit(train), streams, workers)


def rows_of(trainer: Trainer, train: Examples, validation: Examples | None = None) -> list[dict[str, float]]:
    return [dict(each.values) for each in trainer.run(train, validation) if isinstance(each, EpochResult)]


def test_an_example_of_weight_two_trains_like_two_of_it_and_one_of_weight_zero_like_none() -> None:
    base = examples(30)
    counts = np.arange(30) % 3  # 0, 1 or 2 of each
    weighted = Examples.all_of(base.inputs, base.targets, weights=counts.astype(np.float64))
    repeated = Examples.all_of(np.repeat(base.inputs, counts, axis=0), np.repeat(base.targets, counts))
    thetas, losses = [], []
    for train in (weighted, repeated):
        recipe = Recipe(CrossEntropy(), SGD(learning_rate=0.5), epochs=4, batch_size=len(train))
        trainer = trainer_for(train, recipe, np.float64)
        losses.append([row["train_loss"] for row in rows_of(trainer, train)])
        thetas.append(trainer.network.parameters.theta)
    np.testing.assert_allclose(thetas[0], thetas[1], rtol=1e-10, atol=1e-12)
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)


def test_weights_count_in_every_loss_also_over_batches_and_not_in_accuracy() -> None:
    train, weights = examples(70), np.random.default_rng(1).uniform(0, 4, 70)
    weighted = Examples(train.inputs, train.targets, np.arange(10, 60), weights=weights)
    trainer = trainer_for(train, Recipe(CrossEntropy(), SGD(learning_rate=1e-12), epochs=1, batch_size=7))
    (row,) = rows_of(trainer, weighted, weighted)
    outputs = np.empty((50, 4), np.float32)
    plain = trainer.score(Examples(train.inputs, train.targets, np.arange(10, 60)), outputs)
    expected = np.average(CrossEntropy().per_example(outputs, train.targets[10:60]), weights=weights[10:60])
    assert row["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["val_accuracy"] == plain.accuracy


def test_the_loss_falls_and_the_validation_split_is_learned() -> None:
    train = examples(400)
    trainer = trainer_for(train, Recipe(CrossEntropy(), Adam(learning_rate=0.01), epochs=15, batch_size=32))
    rows = rows_of(trainer, train, examples(200, seed=1))
    assert rows[0]["train_loss"] > 2 * rows[-1]["train_loss"]
    assert rows[-1]["val_accuracy"] > 0.8


def test_an_epochs_row_holds_every_documented_value() -> None:
    train = examples()
    row = rows_of(trainer_for(train, Recipe(CrossEntropy(), Adam(), 1, 32, l2=L2(0.1))), train, examples(50, seed=1))[0]
    for name in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "penalty"):
        assert name in row
    for layer in ("1.dense", "3.dense", "5.dense"):
        assert row[f"gradient_norm/{layer}"] > 0
        assert 1e-5 < row[f"update_ratio/{layer}"] < 1
    assert row["samples_per_second"] > 0
    assert row["train_seconds"] > 0


def test_the_training_loss_is_the_mean_over_the_epochs_examples() -> None:
    train = examples(10)
    results = list(trainer_for(train, Recipe(CrossEntropy(), SGD(learning_rate=1e-9), 1, 4)).run(train))
    losses = [each.loss for each in results if isinstance(each, StepResult)]
    row = results[-1]
    assert isinstance(row, EpochResult)
    assert row.values["train_loss"] == pytest.approx((4 * losses[0] + 4 * losses[1] + 2 * losses[2]) / 10)


def test_the_penalty_is_logged_apart_from_the_loss() -> None:
    train = examples(32)
    rows = [
        rows_of(trainer_for(train, Recipe(CrossEntropy(), SGD(learning_rate=1e-9), 1, 32, l2=L2(strength))), train)[0]
        for strength in (0.0, 0.5)
    ]
    assert rows[0]["train_loss"] == rows[1]["train_loss"]
    assert rows[0]["penalty"] == 0
    assert rows[1]["penalty"] > 0.5


OPTIMIZERS: list[tuple[str, Callable[[], Optimizer]]] = [
    ("sgd", lambda: SGD(learning_rate=0.1)),
    ("momentum", lambda: SGD(learning_rate=0.05, momentum=0.9)),
    ("nesterov", lambda: SGD(learning_rate=0.05, momentum=0.9, nesterov=True)),
    ("rmsprop", lambda: RMSProp(learning_rate=0.002)),
    ("adam", lambda: Adam(learning_rate=0.01)),
    ("adamw", lambda: AdamW(learning_rate=0.01, weight_decay=0.1)),
]


@pytest.mark.parametrize(("name", "make"), OPTIMIZERS, ids=[name for name, _ in OPTIMIZERS])
def test_fifty_steps_of_an_mlp_agree_with_pytorch_to_float32(
    name: str, make: Callable[[], Optimizer], oracle: Callable[[str], Any]
) -> None:
    torch = oracle("torch")
    train = examples(50 * 16)
    trainer = trainer_for(train, Recipe(CrossEntropy(), make(), epochs=1, batch_size=16, l2=L2(0.01)))
    named = trainer.network.parameters.named()
    weights = {key: torch.tensor(value.copy(), requires_grad=True) for key, value in named.items()}
    decayed = [weight for key, weight in weights.items() if key.endswith("weight")]
    biases = [weight for key, weight in weights.items() if key.endswith("bias")]
    # L2 is PyTorch's weight_decay; AdamW has a decay of its own, so there the penalty goes into the loss by hand.
    decay = 0.0 if name == "adamw" else 0.01
    groups = [
        {"params": decayed, "weight_decay": 0.1 if name == "adamw" else decay},
        {"params": biases, "weight_decay": 0},
    ]
    theirs = {
        "sgd": lambda: torch.optim.SGD(groups, lr=0.1),
        "momentum": lambda: torch.optim.SGD(groups, lr=0.05, momentum=0.9),
        "nesterov": lambda: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True),
        "rmsprop": lambda: torch.optim.RMSprop(groups, lr=0.002, alpha=0.9),
        "adam": lambda: torch.optim.Adam(groups, lr=0.01),
        "adamw": lambda: torch.optim.AdamW(groups, lr=0.01),
    }[name]()

    order = train.rows.copy()
    RandomStreams(7).stream("shuffle", 0).shuffle(order)
    losses = []
    for start in range(0, len(order), 16):
        rows = order[start : start + 16]
        h = torch.tensor(train.inputs[rows].reshape(16, 16)).float() / 255
        h = torch.relu(h @ weights["1.dense.weight"] + weights["1.dense.bias"])
        h = torch.tanh(h @ weights["3.dense.weight"] + weights["3.dense.bias"])
        y = h @ weights["5.dense.weight"] + weights["5.dense.bias"]
        loss = torch.nn.functional.cross_entropy(y, torch.tensor(train.targets[rows]))
        losses.append(float(loss.detach()))
        if name == "adamw":
            loss = loss + 0.005 * sum((weight**2).sum() for weight in decayed)
        theirs.zero_grad()
        loss.backward()
        theirs.step()

    ours = [each.loss for each in trainer.run(train) if isinstance(each, StepResult)]
    assert len(ours) == 50
    np.testing.assert_allclose(ours, losses, rtol=2e-4)
    for key, array in named.items():
        np.testing.assert_allclose(array, weights[key].detach().numpy(), rtol=2e-3, atol=2e-4)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    train = examples()

    def weights(seed: int) -> np.ndarray:
        trainer = trainer_for(train, Recipe(CrossEntropy(), Adam(), 2, 32), seed=seed)
        rows_of(trainer, train)
        return trainer.network.parameters.theta

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_two_threads_give_the_same_weights_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "CHUNK", 64)  # a network this small would not be worth a second thread
    train = examples()

    def weights(threads: int) -> np.ndarray:
        trainer = trainer_for(train, Recipe(CrossEntropy(), Adam(), 2, 32), workers=Workers(threads))
        assert trainer.recipe.optimizer.workers.threads == threads
        rows_of(trainer, train)
        return trainer.network.parameters.theta

    np.testing.assert_array_equal(weights(1), weights(2))


def test_the_number_of_blas_threads_changes_results_by_float32_rounding_at_most() -> None:
    import threadpoolctl

    rng = np.random.default_rng(0)
    train = Examples.all_of(rng.integers(0, 256, (512, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 512))

    def weights(threads: int) -> np.ndarray:
        network = Network([Flatten(), Dense(256), ReLU(), Dense()], (32, 32, 3), outputs=10)
        network.initialize(RandomStreams(0))
        recipe = Recipe(CrossEntropy(), SGD(learning_rate=0.01), 2, 128, l2=L2(0.001))
        trainer = Trainer(network, recipe, Unit().fit(train), RandomStreams(0), Workers(threads))
        with threadpoolctl.threadpool_limits(limits=threads, user_api="blas"):
            rows_of(trainer, train)
        return network.parameters.theta

    one, two = weights(1), weights(2)
    assert np.max(np.abs(one - two)) < 1e-5 * np.max(np.abs(one))


def test_regression_learns_a_linear_function_and_reports_no_accuracy() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3)).astype(np.float32)
    t = (x @ np.array([[1.0], [-2.0], [0.5]]) + 0.3).astype(np.float32)
    network = Network([Dense()], (3,), outputs=1)
    network.initialize(RandomStreams(0))
    recipe = Recipe(MeanSquaredError(), Adam(learning_rate=0.05), 30, 30)
    trainer = Trainer(network, recipe, affine(1.0, 0.0), RandomStreams(0))
    rows = rows_of(trainer, Examples.all_of(x, t), Examples.all_of(x, t))
    assert rows[-1]["val_loss"] < 1e-4
    assert "val_accuracy" not in rows[-1]
    layer = network.layers[0]
    assert isinstance(layer, Dense)
    np.testing.assert_allclose(layer.W[:, 0], [1, -2, 0.5], atol=0.02)


def test_divergence_names_epoch_step_and_layer_and_leaves_the_weights_finite() -> None:
    x = np.ones((64, 3), np.float32)
    network = Network([Dense(4), ReLU(), Dense()], (3,), outputs=1)
    network.initialize(RandomStreams(0))
    network.parameters.theta[:] = 1
    recipe = Recipe(MeanSquaredError(), SGD(learning_rate=1e15), 2, 32)
    trainer = Trainer(network, recipe, affine(1.0, 0.0), RandomStreams(0))
    # y = 4 * (3 + 1) + 1 = 17, t = 0. The first step leaves weights near -1e17: dead units, an output of -1e16;
    # its square still fits into float32 (3e38), that of the next step's does not.
    with pytest.raises(DivergenceError, match=r"epoch \d, step \d: .*(layer|gradient|loss)") as caught:
        rows_of(trainer, Examples.all_of(x, np.zeros((64, 1), np.float32)))
    assert "2.dense" in caught.value.message or "loss" in caught.value.message
    assert np.isfinite(network.parameters.theta).all()


def test_a_schedule_reaches_the_optimizer_and_the_log() -> None:
    train = examples(64)
    recipe = Recipe(CrossEntropy(), SGD(learning_rate=0.1), 4, 32, schedule=Cosine())
    rates = [row["learning_rate"] for row in rows_of(trainer_for(train, recipe), train)]
    expected = [0.1 * 0.5 * (1 + math.cos(math.pi * step / 8)) for step in (1, 3, 5, 7)]
    assert rates == pytest.approx(expected)


def test_averaged_weights_are_used_for_validation_and_the_trained_ones_come_back() -> None:
    train = examples()
    recipe = Recipe(CrossEntropy(), Adam(learning_rate=0.05), 1, 32, averaging=ExponentialMovingAverage(0.9))
    trainer = trainer_for(train, recipe)
    rows_of(trainer, train, examples(50, seed=1))
    trained = trainer.network.parameters.theta.copy()
    assert trainer.average is not None
    assert not np.array_equal(trained, trainer.average)
    with trainer.weights_that_count():
        np.testing.assert_array_equal(trainer.network.parameters.theta, trainer.average)
    np.testing.assert_array_equal(trainer.network.parameters.theta, trained)


def test_clipping_by_norm_bounds_the_step_of_sgd() -> None:
    train = examples(32)
    recipe = Recipe(CrossEntropy(), SGD(learning_rate=1.0), 1, 32, clip_norm=0.01)
    trainer = trainer_for(train, recipe)
    before = trainer.network.parameters.theta.copy()
    rows_of(trainer, train)
    assert np.linalg.norm(trainer.network.parameters.theta - before) == pytest.approx(0.01, rel=1e-3)


def test_clipping_scales_or_cuts_a_known_gradient() -> None:
    g = np.array([3.0, -4.0])
    clip_by_norm(g, 5.0, 1.0)
    assert g == pytest.approx([0.6, -0.8])
    clip_by_norm(g, 1.0, 2.0)
    assert g == pytest.approx([0.6, -0.8])
    clip_by_value(g, 0.7)
    assert g == pytest.approx([0.6, -0.7])


def test_the_norm_of_a_gradient_beyond_the_square_of_float32_is_still_right() -> None:
    assert global_norm(np.full(4, 1e30, np.float32)) == pytest.approx(2e30)
    assert not math.isfinite(global_norm(np.array([1, math.inf], np.float32)))
    assert math.isnan(global_norm(np.array([1, math.nan], np.float32)))


def test_after_the_first_epoch_no_step_allocates_an_array_over_64_kb() -> None:
    rng = np.random.default_rng(0)
    train = Examples.all_of(rng.integers(0, 256, (512, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 512))
    network = Network([Flatten(), Dense(256), ReLU(), Dense(128), ReLU(), Dense()], (32, 32, 3), outputs=10)
    streams = RandomStreams(0)
    network.initialize(streams)
    trainer = Trainer(network, Recipe(CrossEntropy(), Adam(), 2, 128, l2=L2(0.001)), Unit().fit(train), streams)
    peaks: list[int] = []
    before = 0
    for result in trainer.run(train):
        if result.epoch == 2 and isinstance(result, StepResult):
            if tracemalloc.is_tracing():
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
            else:
                tracemalloc.start()
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(peaks) == 3
    assert max(peaks) < 64 * 1024


def test_running_statistics_are_averaged_with_the_weights_that_they_belong_to() -> None:
    train = examples(8)
    network = Network([Flatten(), BatchNorm(momentum=0.0), Dense()], (4, 4, 1), outputs=4)
    streams = RandomStreams(7)
    network.initialize(streams)
    recipe = Recipe(CrossEntropy(), SGD(learning_rate=0.1), 1, 4, averaging=ExponentialMovingAverage(0.999))
    trainer = Trainer(network, recipe, Unit().fit(train), streams)
    means = [network.parameters.named_state()["1.batch_norm.running_mean"]]
    seen = [means[0].copy() for each in trainer.run(train) if isinstance(each, StepResult)]
    with trainer.weights_that_count():
        averaged = means[0].copy()
    # The first average keeps 2 / 11 of the start, which is 0, the second 3 / 12 of the first.
    assert averaged == pytest.approx(3 / 12 * 9 / 11 * seen[0] + 9 / 12 * seen[1], rel=1e-5)
    assert means[0] == pytest.approx(seen[1])
