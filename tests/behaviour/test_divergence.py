"""Divergence: found before it reaches the weights, named, and survived by the last good checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import DivergenceError
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layers import BatchNorm, Dense
from nnscratch.nn.layers.activations import ReLU
from nnscratch.nn.losses import CrossEntropy, MeanAbsoluteError, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.training.divergence import locate, step_diverged
from nnscratch.training.examples import Examples
from nnscratch.training.optimizers import SGD, Adam, AdamW, Optimizer
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import affine
from nnscratch.training.trainer import Trainer


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with a linear target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    rows = "\n".join(",".join(map(str, (*row, row.sum()))) for row in x)
    (tmp_path / "table.csv").write_text("a,b,c,target\n" + rows + "\n")
    return tmp_path / "table.csv"


def regression(table: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "run",
        "data": {"dataset": {"name": "csv", "task": "regression"}, "path": str(table)},
        "model": {"hidden_layers": [8, 8]},
        "loss": "mean_squared_error",
        "optimizer": {"name": "sgd", "learning_rate": 0.01},
        "training": {"epochs": 5, "batch_size": 10, "checkpoint_every": {"steps": 2}},
        **changes,
    }


def test_a_huge_learning_rate_exits_with_3_and_leaves_a_run_whose_checkpoint_loads(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps(regression(table, optimizer={"name": "sgd", "learning_rate": 1e6})))
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tmp_path / "run.yaml"), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "-q"])
    assert caught.value.code == 3
    error = capsys.readouterr().err
    assert error.startswith("error: training diverged in epoch 1, step ")
    assert "the step was not taken" in error
    assert "try a smaller optimizer.learning_rate" in error
    run = tmp_path / "runs" / "run"
    meta = json.loads((run / "meta.json").read_text())
    assert meta["status"] == "diverged"
    assert meta["error"] in error
    last = load_checkpoint(run / "checkpoints" / "last.npz")  # which refuses what is not finite
    assert f"{run}/checkpoints/last.npz holds epoch 0, step {last.header['progress']['updates']}" in error


def test_the_best_weights_before_a_divergence_are_kept_and_a_resume_diverges_again_in_the_same_step(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MeanSquaredError.__call__
    calls = 0

    def fails_in_the_third_epoch(self: MeanSquaredError, y: Array, t: Array) -> tuple[float, Array]:
        nonlocal calls
        value, dy = real(self, y, t)
        if len(y) == 10:  # a training batch, not the validation split
            calls += 1
            value = float("nan") if calls >= 12 else value
        return value, dy

    monkeypatch.setattr(MeanSquaredError, "__call__", fails_in_the_third_epoch)
    every = {"epochs": 5, "batch_size": 10, "checkpoint_every": {"minutes": 60}}
    config = config_from_mapping(regression(table, training=every))
    workplace = Workplace(tmp_path, tmp_path / "runs", 1, plots=False)
    with pytest.raises(DivergenceError, match="in epoch 3, step 4: the loss") as first:
        train(config, workplace, Display(quiet=True))
    run = tmp_path / "runs" / "run"
    assert load_checkpoint(run / "checkpoints" / "best.npz").header["best_epoch"] in (1, 2)
    assert load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]["updates"] == 0
    calls = 0
    with pytest.raises(DivergenceError) as second:
        resume(run, None, workplace, Display(quiet=True))
    assert second.value.message == first.value.message


def trainer(
    layers: list[Any], x: Array, t: Array, optimizer: Optimizer, loss: Any = None, threads: int = 1, **recipe: Any
) -> tuple[Trainer, Examples]:
    network = Network(layers, x.shape[1:])
    network.initialize(RandomStreams(0))
    chosen = Recipe(loss or MeanSquaredError(), optimizer, **{"epochs": 50, "batch_size": len(x), **recipe})
    return Trainer(network, chosen, affine(1, 0), RandomStreams(0), Workers(threads)), Examples.all_of(x, t)


def diverge(learner: Trainer, examples: Examples) -> str:
    """The message of the divergence; afterwards everything that is kept is finite."""
    with pytest.raises(DivergenceError) as caught:
        list(learner.run(examples))
    learner.require_finite()
    return caught.value.message


X = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
T = np.array([[1.0], [2.0]], np.float32)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW])
@pytest.mark.parametrize("rate", [1e6, 1e20, 1e39, 1e300])
def test_no_learning_rate_brings_infinity_into_weights_or_optimizer(
    rate: float, optimizer: type[Optimizer], threads: int
) -> None:
    learner, examples = trainer([Dense(3), ReLU(), Dense(1)], X, T, optimizer(rate), threads=threads)
    try:
        list(learner.run(examples))
    except DivergenceError as error:
        assert "diverged in epoch" in error.message  # noqa: PT017  (an optimizer may survive; then all must be finite)
    learner.require_finite()


def test_an_update_out_of_float32s_range_is_taken_back() -> None:
    learner, examples = trainer([Dense(1)], X, T, SGD(1e39))
    before = learner.network.parameters.theta.copy()
    message = diverge(learner, examples)
    assert message.startswith("training diverged in epoch 1, step 1: the weights 0.dense.weight after the update")
    assert np.array_equal(learner.network.parameters.theta, before)


def test_an_epsilon_that_is_zero_in_float32_is_found_in_the_first_step() -> None:
    # The second input is always 0, so is its gradient: 0 / (sqrt(0) + epsilon).
    x = np.array([[1.0, 0.0], [2.0, 0.0]], np.float32)
    learner, examples = trainer([Dense(1)], x, T, Adam(epsilon=1e-300))
    assert "step 1: the weights 0.dense.weight after the update" in diverge(learner, examples)


def test_a_weight_decay_that_explodes_is_found() -> None:
    learner, examples = trainer([Dense(1)], X, T, AdamW(1.0, weight_decay=1e30))
    assert "diverged in epoch" in diverge(learner, examples)


def test_the_first_layer_whose_output_overflows_is_named() -> None:
    learner, examples = trainer([Dense(3), ReLU(), Dense(1)], X, T, SGD(0.1))
    learner.network.parameters.named()["0.dense.weight"][:] = 3e38
    assert "epoch 1, step 1: the output of layer 0.dense is the first" in diverge(learner, examples)


def test_outputs_that_are_finite_can_have_a_loss_that_is_not() -> None:
    learner, examples = trainer([Dense(1)], X, T, SGD(0.1))
    learner.network.parameters.named()["0.dense.weight"][:] = 1e25
    assert "the loss (inf), from outputs up to 3e+25" in diverge(learner, examples)


def test_the_gradient_that_overflows_is_named_with_its_array() -> None:
    # y = 1e18, L = y^2 = 1e36 is finite, dW = 2 y x = 2e39 is not.
    x, t = np.full((1, 1), 1e21, np.float32), np.zeros((1, 1), np.float32)
    learner, examples = trainer([Dense(1)], x, t, SGD(0.1))
    learner.network.parameters.named()["0.dense.weight"][:] = 1e-3
    assert "the gradient of 0.dense.weight is the first" in diverge(learner, examples)


def test_the_gradient_is_traced_back_through_the_layers() -> None:
    # Backwards, the second layer's weights of 1e30 meet a dy of 2e9: what it passes on overflows.
    x, t = np.ones((1, 1), np.float32), np.full((1, 1), -1e9, np.float32)
    learner, examples = trainer([Dense(1), Dense(1)], x, t, SGD(0.1))
    learner.network.parameters.named()["0.dense.weight"][:] = 1e-30
    learner.network.parameters.named()["1.dense.weight"][:] = 3e29
    assert "the gradient that layer 1.dense passes on" in diverge(learner, examples)


def test_a_norm_that_overflows_where_no_number_does_is_named() -> None:
    # In float64, as `explain` computes: dW = x = 1e155 is finite, and its square is not.
    network = Network([Dense(1)], (1,))
    network.initialize(RandomStreams(0), np.float64)
    x, t = np.full((1, 1), 1e155), np.zeros((1, 1))
    assert locate(network, MeanAbsoluteError(), x, t) == "the norm of the gradient, of numbers up to 1e+155,"


def test_what_is_finite_when_it_is_repeated_is_said_in_a_whole_sentence() -> None:
    network = Network([Dense(1)], (2,))
    network.initialize(RandomStreams(0))
    assert locate(network, MeanSquaredError(), X, T) is None
    said = step_diverged(None, 0, 2).message
    assert said.startswith("training diverged in epoch 1, step 3: the loss or the gradient was not finite, ")
    assert said.endswith("but every array was when the step was repeated; the step was not taken")


def test_nan_in_the_input_is_named() -> None:
    learner, examples = trainer([Dense(1)], np.array([[np.nan, 1]], np.float32), T[:1], SGD(0.1))
    assert "the input batch is the first" in diverge(learner, examples)


def test_clipping_lets_a_gradient_pass_whose_square_leaves_float32() -> None:
    x, t = np.full((1, 1), 1e9, np.float32), np.full((1, 1), -1e11, np.float32)
    learner, examples = trainer([Dense(1)], x, t, Adam(), clip_norm=1.0, epochs=1)
    list(learner.run(examples))
    assert np.isfinite(learner.network.parameters.theta).all()
    learner.require_finite()


def test_a_validation_loss_that_is_not_finite_is_a_divergence() -> None:
    learner, examples = trainer([Dense(1)], X, T, SGD(1e-3))
    far = Examples.all_of(np.full((1, 2), 1e30, np.float32), T[:1])
    said = r"by the end of epoch 1: the validation loss \(inf\) is the first that is not finite$"  # of no step
    with pytest.raises(DivergenceError, match=said):
        list(learner.run(examples, far))


def test_the_running_statistics_are_those_before_the_step_that_diverged() -> None:
    x = np.array([[1.0, 2.0], [3e38, -3e38]], np.float32)
    learner, examples = trainer([BatchNorm(), Dense(1)], x, T, SGD(0.1))
    before = learner.network.parameters.state.copy()
    diverge(learner, examples)
    assert np.array_equal(learner.network.parameters.state, before)


def test_overflowing_logits_of_a_classifier_are_named() -> None:
    learner, examples = trainer([Dense(2)], X, np.array([0, 1]), SGD(0.1), CrossEntropy())
    learner.network.parameters.named()["0.dense.weight"][:] = 3e38
    assert "the output of layer 0.dense" in diverge(learner, examples)


@pytest.mark.parametrize("cell", ["inf", "1e39"])
def test_data_that_is_not_finite_is_refused_before_training(
    cell: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text() + f"1,{cell},3,4\n")
    (tmp_path / "run.yaml").write_text(json.dumps(regression(table)))
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tmp_path / "run.yaml"), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "-q"])
    assert caught.value.code == 4
    assert "table.csv:62: column 'b' is" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
