"""What `explain` tells of a step is what training does in that step.

Explaining computes in float64 and layer by layer, training in float32 and as fast as it can: both must see the same
batch, the same weights, the same loss, the same gradients, and reach the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.config.assembly import prepare
from nnscratch.config.config import Config, config_from_mapping, load_config
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.errors import UsageError
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.teaching.explain import explain
from nnscratch.teaching.explanation import Explanation
from nnscratch.training.progress import StepResult
from tests.conftest import sampled

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(path for path in CONFIGS.rglob("*.yaml") if not path.name.startswith("sweep"))

TRAINED, BATCH = 27, 10
FIRST, SHORT, SECOND_EPOCH = 1, 3, 5
"""Steps of three batches an epoch, the last of which is short."""

EITHER: Mapping[type, float] = {np.float64: 1e-9, np.float32: 1e-4}

IMAGES = {"dataset": {"name": "shapes", "train": TRAINED, "test": 10}, "scaling": "standardize"}
CONVOLUTION = [{"conv": {"channels": 4}}, "batch_norm", "relu", {"max_pool": 4}, "flatten", "dense"]
WHITENED = {"channels": 6, "kernel": 2, "padding": "valid", "weight_init": "whitening", "frozen": True, "bias": False}
SGD = {"name": "sgd", "learning_rate": 0.1}

CASES: dict[str, dict[str, Any]] = {
    "translate": {"data": {**IMAGES, "augment": [{"translate": 4}]}},
    "every augmentation": {
        "data": {**IMAGES, "augment": ["flip", "alternating_flip", {"translate": 2}, {"cutout": 6}, "colour_jitter",
                                       {"rotation": 10}]},
    },
    "mixup": {"data": {**IMAGES, "augment": [{"mixup": 0.5}]},
              "loss": {"name": "cross_entropy", "label_smoothing": 0.1}},
    "whitening": {"model": {"layers": [{"conv": WHITENED}, "gelu", {"max_pool": 4}, "flatten", "dense"]}},
    "batch norm": {"model": {"layers": CONVOLUTION}},
    "dropout": {"model": {"layers": ["flatten", {"dense": 12}, "relu", {"dropout": 0.5}, "dense"]}},
    "lookahead": {"training": {"averaging": {"name": "lookahead", "every": 1, "decay": 0.5, "power": 0}}},
    "moving average": {"training": {"averaging": "ema"}},
    "reduce on plateau": {"data": {**IMAGES, "validation": 0.2}, "optimizer": {"name": "sgd", "learning_rate": 0.01},
                          "schedule": {"name": "reduce_on_plateau", "patience": 1, "minimum_change": 100}},
    "warm-up and cosine": {"schedule": {"name": "cosine", "warmup_epochs": 1}, "optimizer": SGD},
    "clipping": {"training": {"clip_norm": 0.5, "clip_value": 0.02}, "l2": {"strength": 0.1, "divide_by_batch": True}},
    "muon": {"model": {"layers": CONVOLUTION}, "optimizer": "muon"},
    "weighted classes": {"loss": {"name": "cross_entropy", "class_weights": "balanced"}},
}  # fmt: skip


def config_of(sections: Mapping[str, Any]) -> Config:
    mapping: dict[str, Any] = {"name": "told", "data": IMAGES, "model": {"hidden_layers": [12]}, **sections}
    mapping["training"] = {"epochs": 4, "batch_size": BATCH} | dict(sections.get("training", {}))
    return config_from_mapping(mapping)


class Losses(Observer):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def step(self, result: StepResult) -> None:
        self.seen.append(result.loss)


@dataclass
class Kept:
    """Goes the network's own way, and keeps the gradient."""

    network: Network

    def forward(self, x: Array, training: bool) -> Array:
        return self.network.forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        dx = self.network.backward(dy)
        self.gradient = self.network.parameters.gradient.copy()
        return dx

    def updated(self, factor: float, l2: float) -> None:
        pass


@dataclass(frozen=True)
class Done:
    """What a step did."""

    loss: float
    gradients: dict[str, Array]
    theta: Array


def done_by_training(config: Config, workplace: Workplace, dtype: type, step: int) -> Done:
    assembly = prepare(config, workplace, Display(quiet=True))
    trainer, splits = assembly.trainer(1, dtype), assembly.splits
    batches = trainer.batches(splits.train)
    epoch, index = divmod(step - 1, batches.steps)
    trainer.run_until(epoch, index, splits.train, splits.validation)
    kept, parameters = Kept(trainer.network), trainer.network.parameters
    taken = trainer.step(batches, epoch, index, trainer.progress.losses, kept)
    return Done(taken.loss, parameters.named(kept.gradient), parameters.theta.copy())


def check(told: Explanation, done: Done, tolerance: float) -> None:
    """Loss, every gradient and the weights after the step agree."""
    sections = {section.title: section for section in told.sections}
    (loss,) = [equation.value for equation in sections["loss"].equations if equation.name == "L"]
    assert loss == pytest.approx(done.loss, rel=tolerance)
    # Beside the largest of all: before batch_norm, a bias has a gradient of rounding errors alone.
    found, largest = 0, max(float(np.max(np.abs(gradient))) for gradient in done.gradients.values())
    for section in told.sections:
        path = section.title.removeprefix("backward ")
        for array in section.arrays if path != section.title else ():
            if array.name.startswith("d "):
                compare(array.figures, done.gradients[f"{path}.{array.name[2:]}"], tolerance * largest)
                found += 1
    assert found == len(done.gradients)
    (theta,) = [array for array in told.sections[-1].arrays if array.name == "all theta after"]
    compare(theta.figures, done.theta, tolerance * float(np.max(np.abs(done.theta))))


def compare(figures: Mapping[str, float], array: Array, error: float) -> None:
    """The figures of an array whose entries may be off by that error."""
    array = array.astype(np.float64)
    assert figures["min"] == pytest.approx(array.min(), abs=error)
    assert figures["max"] == pytest.approx(array.max(), abs=error)
    assert figures["mean"] == pytest.approx(array.mean(), abs=error)
    assert figures["norm"] == pytest.approx(np.linalg.norm(array), abs=error * np.sqrt(array.size))


def compare_with_training(config: Config, tmp_path: Path, step: int, tolerances: Mapping[type, float]) -> None:
    """The told step with the trained one, in each precision."""
    workplace = Workplace(tmp_path, tmp_path / "runs", threads=1)
    told = explain(config, workplace, Display(quiet=True), step=step)
    for dtype, tolerance in tolerances.items():
        check(told, done_by_training(config, workplace, dtype, step), tolerance)


@pytest.mark.parametrize("case", CASES)
def test_a_told_step_is_the_step_that_training_takes(case: str, tmp_path: Path) -> None:
    for step in (8,) if case == "reduce on plateau" else (FIRST, SHORT, SECOND_EPOCH):
        compare_with_training(config_of(CASES[case]), tmp_path, step, EITHER)


def test_a_told_step_of_a_regression_is_the_step_that_training_takes(tmp_path: Path) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, TRAINED))
    rows = [f"{one:.6f},{two:.6f},{500 * one - two:.6f},{one:.6f}" for one, two in zip(a, b, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,y,z", *rows]) + "\n")
    config = config_of(
        {
            "data": {"dataset": {"name": "csv", "target": ["y", "z"]}, "path": str(tmp_path / "table.csv"),
                     "validation": 0, "scaling": "standardize"},
            "loss": "mean_squared_error",
        }
    )  # fmt: skip
    for step in (FIRST, SHORT, SECOND_EPOCH):
        compare_with_training(config, tmp_path, step, EITHER)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[int, ...], Path]:
    """Files of images in the shape of each dataset, which may not be here."""
    folder = tmp_path_factory.mktemp("images")
    drawn = Shapes(train=TRAINED, test=10).load(folder, None, lambda text: None)
    files: dict[tuple[int, ...], Path] = {}
    for shape in ((32, 32, 3), (28, 28, 1), (16, 16, 3)):
        file = files[shape] = folder / f"{shape[0]}.npz"
        images = drawn.train_inputs[:, : shape[0], : shape[1], : shape[2]]
        np.savez(file, x_train=images, y_train=drawn.train_targets)
    return files


@pytest.mark.parametrize("path", sampled(SHIPPED))
def test_a_told_step_of_a_shipped_config_is_the_step_that_training_takes(
    path: Path, tmp_path: Path, stand_ins: Mapping[tuple[int, ...], Path]
) -> None:
    """Their large steps turn float32's rounding into percents within three: later ones are compared in float64."""
    shape = load_config(path).data.dataset.component.example_shape
    if path.stem == "cifar_mlp":  # principal components of 3,072 inputs take long
        shape = (16, 16, 3)
    data = [f"data.dataset.train={TRAINED}", "data.dataset.test=10"]
    if shape is not None:
        data = ["data.dataset={name: npz}", f"data.path={stand_ins[shape]}"]
    config = load_config(path, [*data, f"training.batch_size={BATCH}"])
    compare_with_training(config, tmp_path, FIRST, {np.float32: 1e-2, np.float64: 1e-9})
    for step in (SHORT, SECOND_EPOCH):
        compare_with_training(config, tmp_path, step, {np.float64: 1e-9})


@pytest.mark.parametrize("case", ["translate", "lookahead", "moving average", "reduce on plateau"])
def test_the_command_train_takes_the_told_steps(case: str, tmp_path: Path) -> None:
    sections = CASES[case]
    every_step = {"checkpoint_every": {"steps": 1}, "keep_last": 100}
    config = config_of({**sections, "training": {**sections.get("training", {}), **every_step}})
    workplace, losses = Workplace(tmp_path, tmp_path / "runs", threads=1, plots=False), Losses()
    run = train(config, workplace, Display(quiet=True), observers=[losses]).run
    for step in (FIRST, SHORT, 8):
        told = explain(config, workplace, Display(quiet=True), step=step)
        sections_told = {section.title: section for section in told.sections}
        (loss,) = [equation.value for equation in sections_told["loss"].equations if equation.name == "L"]
        assert loss == pytest.approx(losses.seen[step - 1], rel=1e-4)
        saved = load_checkpoint(run / "checkpoints" / f"step-{step:09d}.npz")
        weights = saved.section("trained") or saved.section("parameters")
        (theta,) = [array for array in told.sections[-1].arrays if array.name == "all theta after"]
        compare(theta.figures, np.concatenate([array.ravel() for array in weights.values()]), 1e-5)


def test_the_rate_of_the_plateau_case_has_fallen_by_then(tmp_path: Path) -> None:
    config, workplace = config_of(CASES["reduce on plateau"]), Workplace(tmp_path, tmp_path, threads=1)
    assembly = prepare(config, workplace, Display(quiet=True))
    trainer = assembly.trainer(1)
    trainer.run_until(2, 1, assembly.splits.train, assembly.splits.validation)
    assert trainer.recipe.learning_rate_factor(7, 3, trainer.progress.losses) < 1


def test_a_neighbouring_step_would_not_pass_for_it(tmp_path: Path) -> None:
    config, workplace = config_of(CASES["translate"]), Workplace(tmp_path, tmp_path, threads=1)
    told = explain(config, workplace, Display(quiet=True), step=2)
    with pytest.raises(AssertionError):
        check(told, done_by_training(config, workplace, np.float64, 3), 1e-2)


def test_sample_chooses_what_is_shown_and_not_what_is_computed(tmp_path: Path) -> None:
    config, workplace = config_of({}), Workplace(tmp_path, tmp_path, threads=1)
    few, all_of_them = (explain(config, workplace, Display(quiet=True), sample=sample) for sample in (1, BATCH))
    assert (few.examples, few.batch, all_of_them.examples) == (1, BATCH, BATCH)
    assert "the 10 examples of its batch, of which arrays show number 0," in few.introduction
    assert [section.equations for section in few.sections] == [section.equations for section in all_of_them.sections]
    assert few.sections[0].arrays[0].shape == (1, 32, 32, 3)


def test_a_step_after_the_end_of_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--step 13: told trains for 12 steps, 4 epochs of 3 batches"):
        explain(config_of({}), Workplace(tmp_path, tmp_path, threads=1), Display(quiet=True), step=13)
