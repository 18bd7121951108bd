"""Each check of `nnscratch preflight` finds what it is for, and a sound config passes all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import config_from_mapping
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.teaching.preflight import Check, Preflight, explained, preflight, suggested_rate
from nnscratch.training.diagnosis.findings import Finding

SHAPES: dict[str, object] = {"dataset": {"name": "shapes", "train": 200, "test": 50}, "scaling": "standardize"}


def report(tmp_path: Path, data: dict[str, object], plots: bool = False, **sections: object) -> Preflight:
    mapping = {"name": "flight", "data": data, "model": {"hidden_layers": [16]}, "training": {"batch_size": 20}}
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=plots)
    return preflight(config_from_mapping(mapping | sections), workplace, Display(quiet=True))


def check(preflight: Preflight, name: str) -> Check:
    return next(check for check in preflight.checks if check.name == name)


def own_data(tmp_path: Path, labels: Array, tested_again: int = 0) -> dict[str, object]:
    """Random images with these labels, the first `tested_again` of them once more as the test split."""
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 4, 4, 1), np.uint8)
    test = {"x_test": images[:tested_again], "y_test": labels[:tested_again]} if tested_again else {}
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, **test)  # type: ignore[arg-type]  # arrays under any name
    return {"dataset": "npz", "path": str(tmp_path / "own.npz"), "scaling": "standardize"}


def test_a_sound_config_passes_every_check(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES, plots=True)
    assert {check.state for check in result.checks} == {"ok"}
    assert len(result.checks) == 7
    assert result.failure is None
    assert result.plot is not None
    assert result.plot.read_bytes().startswith(b"\x89PNG")
    assert result.suggested_rate is not None
    assert 1e-5 < result.suggested_rate < 1e-2


def test_a_network_that_cannot_learn_one_batch_fails(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES, optimizer={"name": "sgd", "learning_rate": 1e-9})
    assert check(result, "learns one batch").state == "failed"
    assert str(result.failure) == "not ready for training: learns one batch"


def test_gradients_are_clipped_as_in_training(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES, optimizer="sgd", training={"clip_norm": 1e-9})
    assert check(result, "learns one batch").state == "failed"


def test_an_l2_that_outweighs_what_there_is_to_learn_is_worth_a_look(tmp_path: Path) -> None:
    heavy = check(report(tmp_path, SHAPES, l2=1.0), "penalty of l2")
    assert (heavy.state, heavy.answer.rpartition("; try ")[2]) == ("look", "a smaller l2")
    assert check(report(tmp_path, SHAPES, l2=1e-4), "penalty of l2").state == "ok"


def test_no_line_of_the_checks_is_wider_than_a_terminal(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES | {"scaling": "none"}, optimizer={"name": "adam", "learning_rate": 10.0}, l2=1.0)
    assert max(len(each.answer) for each in result.checks) > 80
    lines = result.to_text().splitlines()
    assert max(map(len, lines)) <= 80
    told = " ".join(line.strip() for line in lines)
    assert all(each.answer in told for each in result.checks)


def test_unscaled_inputs_show_in_the_first_loss(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES | {"scaling": "none"})
    assert check(result, "scale of inputs").state == "look"
    assert check(result, "loss at start").state == "look"
    assert result.checks[0].name == "scale of inputs"
    assert "try data.scaling: standardize" in result.checks[0].answer
    assert "follows from unscaled inputs" in check(result, "loss at start").answer
    assert "standardize" not in check(result, "loss at start").answer


def test_a_rate_that_is_too_small_is_the_cause_of_a_batch_that_is_not_learned_and_comes_first(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES, optimizer={"name": "adam", "learning_rate": 1e-8})
    assert result.checks[0].name == "learning rate"
    assert "try a larger optimizer.learning_rate" in result.checks[0].answer
    batch = check(result, "learns one batch")
    assert batch.state == "failed"
    assert batch.answer.endswith("follows from updates too small, so begin there")


def test_units_that_start_alike_are_the_cause_and_come_first(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES, model={"hidden_layers": [16, 8], "weight_init": "zeros"})
    assert result.checks[0].name == "first gradient"
    assert "weight_init: he" in result.checks[0].answer
    assert "follows from units start alike" in check(result, "learns one batch").answer


def test_no_two_checks_advise_the_opposite() -> None:
    large = Finding("dead units", "2.relu", "", ("smaller learning rate",))
    small = Finding("underfitting", None, "", ("larger learning rate", "larger network"))
    said = explained([Check("a", "look", "small", (small,)), Check("b", "look", "large", (large,))])
    assert [each.answer.partition("; ")[0] for each in said] == ["large", "small"]
    assert "larger optimizer.learning_rate" not in " ".join(each.answer for each in said)


def test_images_in_two_splits_are_counted_with_an_example(tmp_path: Path) -> None:
    labels = np.arange(100) % 2
    data = own_data(tmp_path, labels, tested_again=30)
    answer = check(report(tmp_path, data | {"validation": 0}), "no example in two splits")
    assert answer.state == "look"
    assert answer.answer.startswith("30 inputs are in training and in test, such as rows 0 and 0")


def test_a_rare_class_is_named(tmp_path: Path) -> None:
    labels = np.array([0] * 80 + [1] * 20)
    answer = check(report(tmp_path, own_data(tmp_path, labels)), "balance of classes")
    assert answer.state == "look"
    assert answer.answer.startswith("from 14 (1) to 58")  # own_data holds out a fifth for the test, the config a tenth
    assert "class_weights: balanced" in answer.answer


def test_a_learning_rate_far_above_the_best_is_worth_a_look(tmp_path: Path) -> None:
    result = report(tmp_path, SHAPES, optimizer={"learning_rate": 5.0, "name": "adam"})
    assert check(result, "learning rate").state == "look"


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss() -> None:
    assert suggested_rate([0.001, 0.01, 0.1, 1.0], [2.3, 2.0, 1.2, 4.0]) == pytest.approx(0.01)
    assert suggested_rate([0.001, 0.01], [2.3, 2.29]) is None
    assert suggested_rate([], []) is None


def test_the_command_exits_with_one_when_a_check_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flight.yaml"
    path.write_text(f"data: {json.dumps(SHAPES)}\nmodel: {{hidden_layers: [16]}}\ntraining: {{batch_size: 20}}\n")
    arguments = ["preflight", str(path), "--threads", "1", "--no-plots", "--json"]
    main(arguments)
    assert json.loads(capsys.readouterr().out)["passed"] is True
    with pytest.raises(SystemExit) as exit:
        main([*arguments, "optimizer={name: sgd, learning_rate: 1e-9}"])
    assert exit.value.code == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False
