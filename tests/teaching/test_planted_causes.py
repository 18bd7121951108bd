"""Of every planted problem the diagnosis names the cause first, and never gives advice that contradicts itself."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.errors import DivergenceError
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import BatchNorm, Conv, Dense, Flatten, ReLU, Tanh
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.runs.directory import RunDirectory
from nnscratch.teaching.run_diagnosis import Diagnosis, diagnose
from nnscratch.training.diagnosis.causes import CONSEQUENCES, OPPOSITES, causes
from nnscratch.training.diagnosis.findings import Finding, Remedy, Setting, prediction_findings
from nnscratch.training.diagnosis.history import final_findings, history_findings
from nnscratch.training.diagnosis.start import gradient_findings

SETTING = Setting(float(np.log(10)), True, 10, ("1.dense", "3.dense"))


def diagnosed(tmp_path: Path, **sections: object) -> Diagnosis:
    mapping: dict[str, object] = {
        "name": "patient",
        "data": {"dataset": {"name": "shapes", "train": 400, "test": 20}, "scaling": "standardize", "validation": 0.3},
        "model": {"hidden_layers": [24]},
        "training": {"epochs": 4, "batch_size": 20},
    }
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    with suppress(DivergenceError):
        train(config_from_mapping(mapping | sections), workplace, Display(quiet=True))
    diagnosis = diagnose(tmp_path / "runs" / "patient", workplace, Display(quiet=True))
    assert not contradictions(diagnosis.findings)
    return diagnosis


def contradictions(findings: tuple[Finding, ...] | list[Finding]) -> list[tuple[set[Remedy], set[Remedy]]]:
    given = {remedy for finding in findings for remedy in finding.remedies}
    return [(set(left & given), set(right & given)) for left, right in OPPOSITES if left & given and right & given]


def row(epoch: int, loss: float, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "train_loss": loss, "learning_rate": 1e-3, **more}


@pytest.mark.parametrize("layers", [6, 20])
def test_vanishing_sigmoids_are_the_cause_of_classes_that_are_never_predicted(layers: int, tmp_path: Path) -> None:
    model = {"hidden_layers": [12] * layers, "activation": "sigmoid", "weight_init": "xavier"}
    first = diagnosed(tmp_path, model=model).findings[0]
    assert (first.problem, first.layer) == ("vanishing gradients", "1.dense")
    assert "one class always predicted" in first.consequences
    assert "balanced classes" not in first.remedies


@pytest.mark.parametrize("weight_init", ["zeros", {"name": "constant", "value": 0.1}])
def test_units_that_all_start_alike_are_named(weight_init: object, tmp_path: Path) -> None:
    model = {"hidden_layers": [24, 12], "weight_init": weight_init}
    finding = diagnosed(tmp_path, model=model).findings[0]
    assert (finding.problem, finding.layer) == ("units start alike", "1.dense")
    assert finding.remedies == ("he initialization",)


def test_a_single_layer_may_start_at_zero(tmp_path: Path) -> None:
    problems = {
        each.problem for each in diagnosed(tmp_path, model={"hidden_layers": [], "weight_init": "zeros"}).findings
    }
    assert "units start alike" not in problems


def test_saturated_outputs_under_unscaled_pixels_are_laid_to_the_pixels(tmp_path: Path) -> None:
    data = {"dataset": {"name": "shapes", "train": 400, "test": 20}, "scaling": "none", "validation": 0.3}
    model = {"layers": ["flatten", {"dense": 10}, "tanh"], "weight_init": {"name": "random", "scale": 1.0}}
    first = diagnosed(tmp_path, data=data, model=model, loss="mean_squared_error").findings[0]
    assert first.problem == "unscaled inputs"
    assert "saturated outputs in 2.tanh" in first.consequences


def test_saturated_outputs_by_themselves_are_named_with_their_layer(tmp_path: Path) -> None:
    model = {"layers": ["flatten", {"dense": 10}, "tanh"], "weight_init": "xavier"}
    optimizer = {"name": "sgd", "learning_rate": 1000.0}
    findings = diagnosed(tmp_path, model=model, loss="mean_squared_error", optimizer=optimizer).findings
    named = [(each.problem, each.layer) for each in findings] + [
        (c, "") for each in findings for c in each.consequences
    ]
    assert ("saturated outputs", "2.tanh") in named or ("saturated outputs in 2.tanh", "") in named


class Flipped(Tanh):
    """tanh whose gradient has the wrong sign."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        return None if dx is None else np.negative(dx, out=dx)


class FlippedLoss(CrossEntropy):
    """Cross-entropy whose gradient has the wrong sign."""

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        value, dy = super().__call__(y, t)
        return value, np.negative(dy, out=dy)


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_sign_is_placed_between_the_layers_and_right_gradients_are_left_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((60, 8, 8, 3), np.float32), rng.integers(0, 4, 60)

    def found(activation: Tanh, loss: CrossEntropy) -> list[Finding]:
        layers = [Conv(4), BatchNorm(), ReLU(), Flatten(), Dense(8), activation, Dense(4)]
        network = Network(layers, (8, 8, 3))
        network.initialize(RandomStreams(seed))
        before = network.parameters.theta.copy()
        findings = list(gradient_findings(network, loss, x, t))
        np.testing.assert_array_equal(
            network.parameters.theta[: network.parameters.size], before[: network.parameters.size]
        )
        return findings

    assert found(Tanh(), CrossEntropy()) == []
    (finding,) = found(Flipped(), CrossEntropy())
    assert (finding.problem, finding.layer) == ("wrong gradient", "4.dense")
    assert "between 4.dense and 6.dense" in finding.evidence
    (finding,) = found(Tanh(), FlippedLoss())
    assert finding.layer == "6.dense"
    assert finding.evidence.endswith("or in the loss")


def test_a_wrong_gradient_is_the_cause_of_a_loss_that_rises() -> None:
    wrong = Finding("wrong gradient", "1.dense", "", ("gradient check",))
    rising = [row(1, 2.0), row(2, 3.0), row(3, 9.0)]
    (cause,) = causes([*history_findings(rising, SETTING), wrong])
    assert cause.problem == "wrong gradient"
    assert cause.consequences == ("learning rate at the edge of divergence",)


def test_a_network_that_always_answers_the_majority_class_is_told_so() -> None:
    (finding,) = causes(prediction_findings([1000, 0], [995, 5], ["well", "ill"]))
    assert finding.problem == "one class always predicted"
    assert "99.5 %" in finding.evidence
    assert finding.remedies[0] == "balanced classes"
    assert not list(prediction_findings([996, 4], [995, 5], ["well", "ill"]))


def test_balance_is_not_advised_where_classes_are_balanced() -> None:
    findings = [*prediction_findings([0, 50, 50], [30, 35, 35], "abc"), *prediction_findings([9, 0], [40, 39], "ab")]
    assert {each.problem for each in findings} == {"classes never predicted", "one class always predicted"}
    assert all("balanced classes" not in each.remedies for each in findings)


def test_all_training_examples_right_and_a_tenth_of_the_others_wrong_is_overfitting_and_no_rate_helps() -> None:
    scores = {"train_accuracy": 1.0, "val_accuracy": 0.897, "val_loss": 0.33, "update_ratio/1.dense": 2e-7}
    findings = causes(history_findings([row(n, 0.01 / n, **scores) for n in (1, 2, 3, 4)], SETTING))
    assert [each.problem for each in findings] == ["overfitting"]
    assert findings[0].consequences == ("updates too small in 1.dense",)
    fine = scores | {"val_accuracy": 0.94, "update_ratio/1.dense": 1e-3}
    assert not list(history_findings([row(n, 0.01 / n, **fine) for n in (1, 2, 3, 4)], SETTING))


def test_a_training_that_knows_every_example_by_heart_overfits_and_no_rate_is_advised(tmp_path: Path) -> None:
    found = diagnosed(
        tmp_path,
        data={"dataset": {"name": "shapes", "train": 900, "test": 20}, "scaling": "standardize", "validation": 0.33},
        model={"hidden_layers": [64]},
        optimizer={"name": "adam", "learning_rate": 0.003},
        schedule="cosine",
        training={"epochs": 25, "batch_size": 20},
    )
    end = RunDirectory.open(tmp_path / "runs" / "patient").read_history()[-1]
    assert end["train_accuracy"] == 1.0
    assert end["update_ratio/1.dense"] < 2e-6
    assert [finding.problem for finding in found.findings] == ["overfitting"]
    assert not any("learning rate" in remedy for remedy in found.findings[0].remedies)


def test_a_loss_that_still_falls_is_too_short_and_one_that_stands_is_underfitting() -> None:
    falling = [row(n, loss) for n, loss in enumerate((2.2, 2.1, 1.95, 1.9, 1.846), start=1)]
    standing = [row(n, loss) for n, loss in enumerate((2.2, 2.1, 2.01, 2.0, 2.0), start=1)]
    (short,), (under,) = final_findings(falling, SETTING), final_findings(standing, SETTING)
    assert (short.problem, short.remedies) == ("training too short", ("more epochs",))
    assert under.problem == "underfitting"


def test_every_pair_of_findings_gives_one_cause_first_and_no_contradiction() -> None:
    """Of each problem the widest advice that any rule gives: all that stands on either side of an opposition."""
    remedies: tuple[Remedy, ...] = get_args(Remedy)
    for left, right in combinations(CONSEQUENCES, 2):
        for a, b in OPPOSITES:
            first, second = tuple(sorted(a)), tuple(sorted(b))
            told = causes([Finding(right, None, "", second), Finding(left, None, "", (*first, "clipping"))])
            assert told[0].problem == left
            assert not contradictions(told)
            assert {each for finding in told for each in finding.remedies} <= set(remedies)


def test_no_problem_explains_one_that_comes_before_it() -> None:
    order = list(CONSEQUENCES)
    for problem, consequences in CONSEQUENCES.items():
        assert all(order.index(each) > order.index(problem) for each in consequences), problem
