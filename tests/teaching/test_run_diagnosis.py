"""Every planted problem is named with its layer; healthy runs hear nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.advice import advice, against_divergence, taken
from nnscratch.config.config import config_from_mapping, load_config
from nnscratch.errors import DivergenceError
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.layers import BatchNorm, Dense, ReLU, Sigmoid
from nnscratch.nn.losses import CrossEntropy, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.teaching.run_diagnosis import Diagnosis, diagnose, unit_statistics
from nnscratch.training.diagnosis.causes import causes
from nnscratch.training.diagnosis.findings import (
    Finding,
    Setting,
    divergence_findings,
    last_layer_findings,
    start_findings,
)
from nnscratch.training.diagnosis.history import final_findings, history_findings
from nnscratch.training.diagnosis.setting import measured_layers, setting_of
from nnscratch.training.diagnosis.watch import Watch
from nnscratch.training.examples import Examples
from nnscratch.training.muon import Muon
from nnscratch.training.optimizers import SGD

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"name": "shapes", "train": 400, "test": 20}
SETTING = Setting(float(np.log(10)), True, 10, ("1.dense", "3.dense"))


def trained(tmp_path: Path, **sections: object) -> Diagnosis:
    """The diagnosis of a small training on shapes with the given sections changed."""
    mapping: dict[str, object] = {
        "name": "patient",
        "data": {"dataset": SHAPES, "scaling": "standardize"},
        "model": {"hidden_layers": [24]},
        "training": {"epochs": 6, "batch_size": 20},
    }
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    with suppress(DivergenceError):
        train(config_from_mapping(mapping | sections), workplace, Display(quiet=True))
    return diagnose(tmp_path / "runs" / "patient", workplace, Display(quiet=True))


def problems(diagnosis: Diagnosis) -> dict[str, str | None]:
    return {finding.problem: finding.layer for finding in diagnosis.findings}


def test_a_healthy_run_hears_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diagnosis = trained(tmp_path, training={"epochs": 3, "batch_size": 20})
    assert diagnosis.findings == ()
    assert "nothing wrong found" in diagnosis.to_text()
    assert "warning" not in capsys.readouterr().err


def test_twenty_sigmoid_layers_have_vanishing_gradients_in_the_first(tmp_path: Path) -> None:
    diagnosis = trained(
        tmp_path,
        model={"hidden_layers": [12] * 20, "activation": "sigmoid", "weight_init": "xavier"},
        training={"epochs": 3, "batch_size": 20},
    )
    assert problems(diagnosis)["vanishing gradients"] == "1.dense"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_learning_rate_of_ten_is_named(optimizer: str, tmp_path: Path) -> None:
    diagnosis = trained(tmp_path, optimizer={"name": optimizer, "learning_rate": 10})
    found = problems(diagnosis)
    assert "diverged" in found or "learning rate at the edge of divergence" in found
    assert any("learning_rate" in advice(finding) for finding in diagnosis.findings)


def test_biases_of_minus_a_hundred_kill_every_unit_of_the_layer() -> None:
    network = Network([Dense(8), ReLU(), Dense(8), ReLU(), Dense(3)], (5,))
    network.initialize(RandomStreams(0))
    network.parameters.named()["2.dense.bias"][:] = -100
    x = np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32)
    statistics, outputs = unit_statistics(network, iter([x[:25], x[25:]]))
    assert [(each.layer, each.dead) for each in statistics] == [("1.relu", 0.0), ("3.relu", 1.0)]
    assert len(outputs) == 2
    assert network.layers[1].forward.__func__ is ReLU.forward  # type: ignore[attr-defined]  # a bound method has it


def test_dead_units_and_the_classes_that_nobody_predicts_any_more_are_found_in_a_run(tmp_path: Path) -> None:
    data = {"dataset": SHAPES, "scaling": "standardize", "validation": 0.3}
    assert trained(tmp_path, data=data).findings == ()
    file = tmp_path / "runs" / "patient" / "checkpoints" / "last.npz"
    checkpoint = load_checkpoint(file)
    checkpoint.arrays["parameters/1.dense.bias"][:] = -100
    file.write_bytes(checkpoint.encode())
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1)
    diagnosis = diagnose(tmp_path / "runs" / "patient", workplace, Display(quiet=True))
    assert problems(diagnosis) == {"dead units": "2.relu"}
    assert diagnosis.findings[0].consequences == ("one class always predicted", "classes never predicted")
    assert diagnosis.findings[0].evidence.startswith("100 %")


def again(tmp_path: Path) -> Diagnosis:
    """The diagnosis of the same run, whatever has become of its files."""
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1)
    return diagnose(tmp_path / "runs" / "patient", workplace, Display(quiet=True))


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (4, "the weights in last.npz are of epoch 0, and 4 have been trained"),
        (0, "the weights in last.npz are those before the first epoch's end"),
    ],
)
def test_weights_that_the_run_has_left_behind_are_not_judged(records: int, said: str, tmp_path: Path) -> None:
    trained(tmp_path, training={"epochs": 4, "batch_size": 20})
    run = tmp_path / "runs" / "patient"
    checkpoint = load_checkpoint(run / "checkpoints" / "last.npz")
    checkpoint.arrays["parameters/1.dense.bias"][:] = -100
    checkpoint.header["progress"].update(epoch=0, history=[])
    (run / "checkpoints" / "last.npz").write_bytes(checkpoint.encode())
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:records]))
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps(meta | {"status": "running"}))
    diagnosis = again(tmp_path)
    assert (diagnosis.status, diagnosis.epochs, diagnosis.weights_epoch) == ("killed", records, 0)
    assert (diagnosis.findings, diagnosis.units) == ((), ())
    (note,) = diagnosis.notes
    assert note.startswith(said)
    assert "nothing wrong" not in diagnosis.to_text()
    assert f"note: {said}" in diagnosis.to_text()


def test_a_run_that_lost_its_last_weights_is_diagnosed_by_others_or_by_its_records(tmp_path: Path) -> None:
    trained(tmp_path, training={"epochs": 3, "batch_size": 20})
    checkpoints = tmp_path / "runs" / "patient" / "checkpoints"
    (checkpoints / "last.npz").unlink()
    best = load_checkpoint(checkpoints / "best.npz").header["best_epoch"]
    diagnosis = again(tmp_path)
    assert (diagnosis.epochs, diagnosis.weights_epoch) == (3, best)
    assert bool(diagnosis.notes) == (best < 3)


@pytest.mark.parametrize(("line", "lost"), [(2, 1), (None, 4)])
def test_records_that_are_damaged_are_said_to_be_and_not_healthy(line: int | None, lost: int, tmp_path: Path) -> None:
    assert "nothing wrong found" in trained(tmp_path, training={"epochs": 4, "batch_size": 20}).to_text()
    metrics = tmp_path / "runs" / "patient" / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    if line is not None:
        lines[line] = lines[line][:40]
    metrics.write_text("garbage" if line is None else "\n".join(lines))
    diagnosis = again(tmp_path)
    assert diagnosis.notes == (f"metrics.jsonl is damaged: it lacks {lost} of 4 epochs",)
    assert "nothing wrong" not in diagnosis.to_text()


def test_saturated_sigmoids_are_counted() -> None:
    network = Network([Dense(4), Sigmoid(), Dense(3)], (5,))
    network.initialize(RandomStreams(0))
    network.parameters.named()["0.dense.weight"][:] *= 1000
    x = np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32)
    (statistics,), _ = unit_statistics(network, iter([x]))
    assert statistics.saturated > 0.9


def test_shuffled_labels_are_learned_by_heart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "shuffled.npz", x_train=images, y_train=rng.integers(0, 4, 300))
    diagnosis = trained(
        tmp_path,
        data={"dataset": "npz", "path": str(tmp_path / "shuffled.npz"), "validation": 0.3, "scaling": "standardize"},
        model={"hidden_layers": [64]},
        training={"epochs": 12, "batch_size": 20},
    )
    assert {"learning by heart", "overfitting"} & problems(diagnosis).keys()
    assert any("labels" in advice(finding) or "data" in advice(finding) for finding in diagnosis.findings)


def test_inputs_that_are_not_normalised_are_named_while_training_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diagnosis = trained(tmp_path, data={"dataset": SHAPES, "scaling": "none"})
    assert "unscaled inputs" in problems(diagnosis)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert sum("unscaled inputs" in line for line in warnings) == 1
    assert sum("loss at start" in line for line in warnings) == 0  # it follows from the inputs


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "reference").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_reference_configs_hear_nothing(path: Path, tmp_path: Path, data_dir: Path) -> None:
    config = load_config(path, ["training.epochs=8", "data.limit=4000"])
    source = config.data.dataset.build()
    if not source.locate(data_dir):
        pytest.skip(f"needs {source.name} in {data_dir} (see data/README.md)")
    workplace = Workplace(data_dir, tmp_path, threads=1, plots=False, download=False)
    train(config, workplace, Display(quiet=True))
    assert problems(diagnose(tmp_path / config.name, workplace, Display(quiet=True))).keys() <= {"training too short"}


def test_without_the_data_the_records_are_read_and_a_note_says_so(tmp_path: Path, data_dir: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "own.npz"
    np.savez(file, x_train=rng.integers(0, 256, (60, 4, 4, 1), np.uint8), y_train=np.arange(60) % 3)
    data = {"dataset": "npz", "path": str(file)}
    trained(tmp_path, data=data, training={"epochs": 1, "batch_size": 20})
    file.unlink()
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1)
    diagnosis = diagnose(tmp_path / "runs" / "patient", workplace, Display(quiet=True))
    assert len(diagnosis.notes) == 1


def test_the_command_prints_plain_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path, training={"epochs": 1, "batch_size": 20})
    capsys.readouterr()
    main(["diagnose", str(tmp_path / "runs" / "patient"), "--threads", "1", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["epochs"], result["findings"]) == ("completed", 1, [])


def row(epoch: int, loss: float, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "train_loss": loss, "learning_rate": 1e-3, **more}


def test_a_watch_says_each_problem_once() -> None:
    said: list[Finding] = []
    watch = Watch(SETTING, said.append)
    rows = [row(epoch, 30.0) for epoch in (1, 2, 3)]
    for number in (1, 2, 3):
        watch.epochs(rows[:number])
    watch.first_loss(50.0, 128)
    watch.first_loss(60.0, 128)
    assert len(said) == 2
    assert "divergence" in said[0].problem
    assert "ln(10) = 2.3" in said[1].evidence


@pytest.mark.parametrize(
    ("values", "problem", "layer"),
    [
        ({"gradient_norm/1.dense": 1e-6, "gradient_norm/3.dense": 1.0}, "vanishing gradients", "1.dense"),
        ({"gradient_norm/1.dense": 5e4, "gradient_norm/3.dense": 10.0}, "exploding gradients", "1.dense"),
        ({"update_ratio/1.dense": 1e-3, "update_ratio/3.dense": 0.5}, "updates too large", "3.dense"),
        ({"update_ratio/1.dense": 1e-8, "update_ratio/3.dense": 1e-3}, "updates too small", "1.dense"),
        (
            {"update_ratio/1.dense": 1e-3, "update_ratio/3.dense": 0.0, "gradient_norm/3.dense": 1.0},
            "weights that no update changes",
            "3.dense",
        ),
    ],
)
def test_numbers_outside_the_healthy_range_name_the_layer(values: dict[str, float], problem: str, layer: str) -> None:
    history = [row(1, 2.0, **values), row(2, 1.9, **values)]
    assert [(finding.problem, finding.layer) for finding in history_findings(history, SETTING)] == [(problem, layer)]


def test_the_update_ratio_is_judged_of_layers_with_a_matrix_and_not_where_the_rate_itself_sets_it() -> None:
    network = Network([Dense(4), BatchNorm(), ReLU(), Dense(2)], (3,))
    network.initialize(RandomStreams(0))
    assert measured_layers(network, SGD()) == ("0.dense", "3.dense")
    assert measured_layers(network, Muon()) == ()
    values = {"update_ratio/1.dense": 0.5, "update_ratio/3.dense": 1e-3}
    history = [row(1, 2.0, **values), row(2, 1.9, **values)]
    assert len(list(history_findings(history, replace(SETTING, measured=("1.dense",))))) == 1
    assert list(history_findings(history, replace(SETTING, measured=("3.dense",)))) == []


def test_small_updates_at_the_end_of_a_cosine_are_no_problem() -> None:
    first, last = row(1, 2.0, **{"update_ratio/1.dense": 1e-3}), row(3, 1.9, **{"update_ratio/1.dense": 1e-7})
    falling = [first, row(2, 1.95) | {"learning_rate": 1e-5}, last | {"learning_rate": 1e-8}]
    assert list(history_findings(falling, SETTING)) == []


def test_gradients_that_reach_the_layers_before_have_not_vanished() -> None:
    norms = {"gradient_norm/1.dense": 4.8, "gradient_norm/3.dense": 1e-6}
    assert list(history_findings([row(1, 2.0, **norms), row(2, 1.9, **norms)], SETTING)) == []


def test_weights_without_a_gradient_or_at_the_end_of_a_schedule_may_stay_as_they_are() -> None:
    still = {"update_ratio/1.dense": 0.0}
    assert list(history_findings([row(1, 2.0, **still), row(2, 1.9, **still)], SETTING)) == []
    pushed = row(2, 1.9, **still, **{"gradient_norm/1.dense": 1.0})
    falling = [row(1, 2.0) | {"learning_rate": 1e-3}, row(2, 1.95) | {"learning_rate": 1e-5}]
    assert list(history_findings([*falling, pushed | {"learning_rate": 1e-9}], SETTING)) == []


def test_updates_that_were_always_small_are_a_problem_under_a_cosine_too() -> None:
    ratios = {"update_ratio/1.dense": 1e-7, "update_ratio/3.dense": 1e-7}
    rows = [
        row(epoch, 2.3, **ratios) | {"learning_rate": 1e-7 * share} for epoch, share in ((1, 0.75), (2, 0.25), (3, 0))
    ]
    assert [finding.problem for finding in history_findings(rows, SETTING)] == ["updates too small"]


def test_a_last_layer_whose_bounds_keep_the_loss_up_is_named(tmp_path: Path) -> None:
    bounded = replace(SETTING, outputs=10, last="sigmoid")
    (finding,) = last_layer_findings(bounded)
    assert "a loss of 1.46 at best" in finding.evidence  # ln(1 + 9 / e)
    assert not list(last_layer_findings(replace(bounded, last="dense")))
    assert not list(last_layer_findings(replace(bounded, is_cross_entropy=False)))
    alone = replace(bounded, is_cross_entropy=False, classes=None, outputs=1, last="softmax")
    assert "is 1, whatever" in next(last_layer_findings(alone)).evidence
    model = {"hidden_layers": [24], "output": "sigmoid"}
    diagnosis = trained(tmp_path, model=model, training={"epochs": 2, "batch_size": 20})
    assert problems(diagnosis)["bounded outputs"] is None


def test_overfitting_is_a_validation_loss_that_rises_while_the_training_loss_falls() -> None:
    scores = {"train_accuracy": 0.95, "val_accuracy": 0.6}
    healthy = [row(epoch, 2.0 / epoch, val_loss=2.1 / epoch, **scores) for epoch in (1, 2, 3)]
    assert list(history_findings(healthy, SETTING)) == []
    overfit = [*healthy, row(4, 0.2, val_loss=1.4, **scores)]
    assert [finding.problem for finding in history_findings(overfit, SETTING)] == ["overfitting"]


def vanishing(setting: Setting, *before: float) -> str:
    """The advice against gradients that vanish in the first layer, after epochs with these norms."""
    norms = [*((norm, norm) for norm in before), (1e-9, 1.0)]
    rows = [
        {"epoch": epoch, "train_loss": 2.0, "gradient_norm/1.dense": first, "gradient_norm/3.dense": last}
        for epoch, (first, last) in enumerate(norms, start=1)
    ]
    found = causes(history_findings(rows, setting), (), setting.in_force)
    (finding,) = [each for each in found if each.problem == "vanishing gradients"]
    return advice(finding)


def test_what_the_network_has_already_is_not_advised() -> None:
    setting = replace(SETTING, kinds=frozenset({"dense", "relu"}), weight_init="he")
    assert vanishing(setting) == "batch_norm, residual layers, or fewer layers"
    assert vanishing(replace(SETTING, kinds=frozenset({"tanh", "residual"}), weight_init="xavier")) == (
        "relu instead of tanh, weight_init: he, batch_norm, or fewer layers"
    )


def test_what_the_config_says_already_is_not_advised_in_a_finding_nor_after_a_divergence() -> None:
    plain = {"data": {"dataset": "shapes", "scaling": "none"}, "model": {"hidden_layers": [3]}}
    data = {"dataset": "shapes", "scaling": "standardize"}
    full = plain | {"data": data, "training": {"clip_norm": 1}, "l2": 0.1, "schedule": {"cosine": {"warmup_epochs": 1}}}
    assert taken(config_from_mapping(plain)) == frozenset()
    has = taken(config_from_mapping(full))
    assert has >= {"standardized inputs", "clipping", "l2", "warm-up", "warm-up and cosine"}
    (diverged,) = causes(divergence_findings("nan", 1.0), (), has)
    assert diverged.remedies == ("far smaller learning rate",)
    assert against_divergence(config_from_mapping(full)) == "try a smaller optimizer.learning_rate"
    said = "try a smaller optimizer.learning_rate, training.clip_norm=1, or data.scaling=standardize"
    assert against_divergence(config_from_mapping(plain)) == said


def test_a_finding_whose_every_remedy_is_in_force_is_told_all_the_same() -> None:
    found = Finding("unscaled inputs", None, "", ("standardized inputs",))
    (finding,) = causes([found], (), frozenset(found.remedies))
    assert finding.remedies == ("standardized inputs",)


def test_a_standardized_regression_may_draw_large_first_outputs() -> None:
    setting = replace(SETTING, guessing=1.0, is_cross_entropy=False, classes=None)
    standardized = replace(setting, taken=frozenset({"standardized targets and inputs"}))
    assert not list(start_findings(12.0, 128, standardized))
    (finding,) = causes(start_findings(900.0, 128, standardized), (), standardized.in_force)
    assert finding.remedies == ("smaller starting weights",)


def test_gradients_that_vanish_after_they_exploded_are_the_learning_rates_fault() -> None:
    assert vanishing(SETTING, 1e6).startswith("a smaller optimizer.learning_rate")


def test_the_configured_learning_rate_is_named_not_the_last_of_a_schedule() -> None:
    rows = [{"epoch": 1, "train_loss": 50.0, "learning_rate": 1e-9}]
    (finding,) = history_findings(rows, replace(SETTING, learning_rate=3.0))
    assert finding.evidence.endswith("at learning_rate 3")
    later = [
        {"epoch": 1, "train_loss": 1.0, "learning_rate": 0.5},
        {"epoch": 2, "train_loss": 50.0, "learning_rate": 0.0},
    ]
    (finding,) = history_findings(later, replace(SETTING, learning_rate=3.0))
    assert finding.evidence.endswith("at learning_rate 3, 0.5 in this epoch")


@pytest.mark.parametrize(("examples", "is_told"), [(1, False), (2, False), (16, True), (128, True)])
def test_the_first_loss_of_a_few_examples_says_little(examples: int, is_told: bool) -> None:
    two_classes = replace(SETTING, guessing=0.693, classes=2)
    assert bool(list(start_findings(12.0, examples, two_classes))) == is_told
    assert list(start_findings(60.0, examples, two_classes))


def test_the_loss_of_guessing_counts_examples_and_classes_as_the_training_does() -> None:
    network = Network([Dense(2)], (1,))
    t, w = np.repeat([0, 1], [90, 10]), np.repeat([1.0, 0.1, 4.0], [50, 40, 10])
    examples = Examples.all_of(np.zeros((100, 1), np.float32), t, weights=w)
    weighted = setting_of(CrossEntropy(class_weights=(1.0, 3.0)), network, examples)
    assert weighted.guessing == pytest.approx(np.log(2) * (54 * 1 + 40 * 3) / 94)
    assert "ln" not in next(start_findings(50.0, 128, weighted)).evidence
    balanced = setting_of(CrossEntropy(class_weights="balanced"), network, examples)
    assert balanced.guessing == pytest.approx(np.log(2))
    assert "guessing gives ln(2) = 0.693" in next(start_findings(50.0, 128, balanced)).evidence
    values = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    squares = setting_of(MeanSquaredError(), Network([Dense(1)], (1,)), replace(examples, targets=values))
    mean = np.average(values[:, 0], weights=w)
    assert squares.guessing == pytest.approx(np.average((values[:, 0] - mean) ** 2, weights=w), rel=1e-5)


@pytest.mark.parametrize(("K", "train", "val"), [(2, 0.95, 0.52), (2, 0.8, 0.44), (3, 0.9, 0.36), (10, 0.6, 0.12)])
def test_a_validation_accuracy_of_guessing_beside_learnt_examples_is_learning_by_heart(
    K: int, train: float, val: float
) -> None:
    setting = replace(SETTING, classes=K, guessing=float(np.log(K)), held_out=300)
    scores = {"train_accuracy": train, "val_accuracy": val, "val_loss": 2.0}
    rows = [row(epoch, 0.5, **scores) for epoch in range(1, 8)]
    (finding,) = causes(history_findings(rows, setting))
    assert finding.problem == "learning by heart"
    assert not [each for each in history_findings(rows[:4], setting) if each.problem == "learning by heart"]
    better = [each | {"val_accuracy": val + 0.3 * (1 - 1 / K)} for each in rows]
    assert "learning by heart" not in [each.problem for each in history_findings(better, setting)]


def test_a_class_that_is_frequent_makes_guessing_right_more_often() -> None:
    """0.9 and 0.1: labels drawn like that agree in 82 % of the examples."""
    setting = replace(SETTING, classes=2, guessing=0.3, chance=0.82, held_out=300)
    scores = {"train_accuracy": 1.0, "val_accuracy": 0.81, "val_loss": 2.0}
    rows = [row(epoch, 0.1, **scores) for epoch in range(1, 8)]
    assert causes(history_findings(rows, setting))[0].problem == "learning by heart"
    learnt = [each | {"val_accuracy": 0.95} for each in rows]
    assert list(history_findings(learnt, setting)) == []
    x, t = np.zeros((10, 1), np.float32), np.repeat([0, 1], [9, 1])
    assert setting_of(CrossEntropy(), Network([Dense(2)], (1,)), Examples.all_of(x, t)).chance == pytest.approx(0.82)


def test_what_overfitting_has_unlearnt_is_not_called_shuffled() -> None:
    """Once better than guessing on the held-out examples, or too few of them: then nobody knows that it is."""
    setting = replace(SETTING, classes=2, guessing=0.69, held_out=160, held_out_guessing=0.65)
    scores = {"train_accuracy": 1.0, "val_accuracy": 0.52}
    rows = [
        row(epoch, 0.1, **scores, val_loss=val_loss) for epoch, val_loss in enumerate((0.7, 0.66, 0.645, 1, 2, 3), 1)
    ]

    def found(setting: Setting) -> list[str]:
        return [each.problem for each in history_findings(rows, setting)]

    assert found(setting) == ["overfitting", "learning by heart"]
    assert found(replace(setting, held_out_guessing=0.67)) == ["overfitting"]
    assert found(replace(setting, held_out=20)) == ["overfitting"]


def test_guessing_on_held_out_examples_is_the_loss_of_their_best_constant() -> None:
    """3 of 4 in training: -(ln 0.75 + ln 0.25) / 2 on one of each, or ln 2 where all are said to be alike."""
    network, x = Network([Dense(2)], (1,)), np.zeros((4, 1), np.float32)
    train, held_out = Examples.all_of(x, np.array([0, 0, 0, 1])), Examples.all_of(x[:2], np.array([0, 1]))
    setting = setting_of(CrossEntropy(), network, train, held_out)
    assert setting.held_out_guessing == pytest.approx(np.log(2))
    held_out = Examples.all_of(x[:2], np.array([0, 0]))
    assert setting_of(CrossEntropy(), network, train, held_out).held_out_guessing == pytest.approx(-np.log(0.75))
    assert setting_of(CrossEntropy(), network, train).held_out_guessing is None


def test_shuffled_labels_of_two_classes_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "two.npz", x_train=rng.standard_normal((400, 10)), y_train=rng.integers(0, 2, 400))
    found = trained(
        tmp_path,
        data={"dataset": "npz", "path": str(tmp_path / "two.npz"), "validation": 0.3, "scaling": "standardize"},
        model={"hidden_layers": [64, 64]},
        optimizer={"name": "adam", "learning_rate": 0.003},
        training={"epochs": 25, "batch_size": 20},
    )
    assert problems(found).keys() == {"learning by heart"}
    assert found.findings[0].consequences == ("overfitting",)


@pytest.mark.parametrize("l2", [3.0, 5.0])
def test_an_l2_that_holds_the_weights_down_is_named_and_no_rate(l2: float, tmp_path: Path) -> None:
    found = trained(tmp_path, l2=l2, training={"epochs": 20, "batch_size": 20})
    assert found.findings[0].problem == "weights held down by l2"
    assert found.findings[0].remedies == ("less l2",)
    assert not any("learning rate" in remedy for finding in found.findings for remedy in finding.remedies)


def test_updates_that_are_large_only_beside_weights_that_l2_made_small_are_laid_to_it() -> None:
    rows = [row(epoch, 2.0, penalty=400.0 / epoch, **{"update_ratio/1.dense": 0.2}) for epoch in (1, 2)]
    (finding,) = history_findings(rows, SETTING)
    assert (finding.problem, finding.remedies[0]) == ("updates too large", "less l2")


def test_weights_of_another_run_may_begin_far_above_guessing_as_long_as_they_come_closer() -> None:
    rows = [row(1, 9.0), row(2, 3.0), row(3, 1.5)]
    assert [each.problem for each in history_findings(rows, SETTING)] == ["learning rate at the edge of divergence"]
    assert not list(history_findings(rows, replace(SETTING, starts_trained=True)))
    rose = history_findings([*rows, row(4, 8.0)], replace(SETTING, starts_trained=True))
    assert [each.problem for each in rose] == ["learning rate at the edge of divergence"]


def test_a_rise_of_the_loss_without_a_fall_of_the_penalty_is_the_rates() -> None:
    rows = [row(1, 1.0, penalty=5.0), row(2, 2.0, penalty=5.5)]
    assert [each.problem for each in history_findings(rows, SETTING)] == ["learning rate at the edge of divergence"]
    falling = [row(1, 1.0, penalty=5.0), row(2, 2.0, penalty=1.5)]
    (held,) = history_findings(falling, SETTING)
    assert held.evidence.endswith("it rose from 1 while the penalty of l2 fell from 5 to 1.5")


def test_a_training_that_is_too_short_for_its_small_steps_is_told_of_a_larger_rate() -> None:
    for ratio, remedies in ((2e-5, ("larger learning rate", "more epochs")), (2e-3, ("more epochs",))):
        ratios = {"update_ratio/1.dense": ratio, "update_ratio/3.dense": ratio}
        rows = [row(epoch, loss, **ratios) for epoch, loss in enumerate((2.9, 2.85, 2.8, 2.75), start=1)]
        (finding,) = final_findings(rows, SETTING)
        assert (finding.problem, finding.remedies) == ("training too short", remedies)


def test_gradients_that_are_nearly_all_clipped_and_much_dropout_are_named_where_little_is_learned() -> None:
    rows = [row(epoch, 2.3, gradient_norm=3.0) for epoch in (1, 2, 3)]
    (clipped,) = final_findings(rows, replace(SETTING, clip_norm=1e-3))
    (dropped,) = final_findings(rows, replace(SETTING, dropout=0.99, clip_norm=1.0))
    assert (clipped.remedies[0], dropped.remedies[0]) == ("less clipping", "less dropout")


def test_a_network_whose_weights_are_all_frozen_is_told_so(tmp_path: Path) -> None:
    frozen = {"layers": ["flatten", {"dense": {"units": 10, "frozen": True}}]}
    found = trained(tmp_path, model=frozen)
    assert found.findings[0].problem == "no weights are trained"
    some = Network([Dense(4, frozen=True), ReLU(), Dense(2)], (3,))
    examples = Examples.all_of(np.zeros((2, 3), np.float32), np.array([0, 1]))
    assert not setting_of(CrossEntropy(), some, examples).is_frozen


def test_a_regression_that_starts_at_nine_times_the_loss_of_guessing_is_named() -> None:
    setting = replace(SETTING, guessing=1.0, is_cross_entropy=False, classes=None)
    assert [each.problem for each in start_findings(9.0, 128, setting)] == ["loss at start far from guessing"]
    assert not list(start_findings(3.0, 128, setting))


def test_a_run_that_started_from_trained_weights_is_diagnosed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(
        "data: {dataset: {name: shapes, train: 60, test: 20}}\nmodel: {hidden_layers: [8]}\n"
        "training: {epochs: 2, batch_size: 10}\n"
    )
    words = ["--runs-dir", str(tmp_path / "runs"), "--no-plots", "--quiet", "--threads", "1"]
    main(["train", str(tmp_path / "a.yaml"), *words])
    main(["train", str(tmp_path / "a.yaml"), f"model.start_from={tmp_path / 'runs' / 'a'}", "name=b", *words])
    main(["diagnose", str(tmp_path / "runs" / "b")])
    assert "Error" not in capsys.readouterr().err
