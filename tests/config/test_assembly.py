"""The one place where a config and its data become a network with weights, scaling and a trainer."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnscratch
from nnscratch.config.assembly import Assembly, assemble, prepare
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import ConfigError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.training.scaling import affine

PACKAGE = Path(nnscratch.__file__).parent
WHITENED: dict[str, Any] = {
    "layers": [
        {"conv": {"channels": 6, "kernel": 2, "bias": False, "weight_init": "whitening", "frozen": True}},
        "relu",
        {"max_pool": 4},
        "flatten",
        "dense",
    ]
}


def assembly(tmp_path: Path, **sections: Any) -> Assembly:
    mapping = {
        "name": "assembled",
        "data": {"dataset": {"name": "shapes", "train": 60, "test": 10}, "scaling": "standardize", "validation": 0.2},
        "model": WHITENED,
        "training": {"batch_size": 12},
        **sections,
    }
    return prepare(config_from_mapping(mapping), Workplace(tmp_path), Display(quiet=True))


def started(made: Assembly, dtype: type) -> Array:
    made.start(dtype)
    return made.network.parameters.theta.copy()


def test_training_starts_from_the_same_weights_in_either_precision(tmp_path: Path) -> None:
    made = assembly(tmp_path)
    single, double = started(made, np.float32), started(made, np.float64)
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=1e-6)
    np.testing.assert_array_equal(started(made, np.float32), single)


def test_preparing_allocates_no_weights_and_fits_no_scaling(tmp_path: Path) -> None:
    made = assembly(tmp_path)
    assert not made.network.is_initialized
    assert "affine" not in vars(made)


def test_scaling_that_a_run_has_already_takes_the_place_of_the_datas_own(tmp_path: Path) -> None:
    made, recorded = assembly(tmp_path), (affine(0.5, 1.0), affine(2.0, 3.0))
    assert made.with_scaling(*recorded).affine is recorded[0]
    assert made.with_scaling(*recorded).target_affine is recorded[1]
    trainer = made.with_scaling(*recorded).trainer(1)
    assert trainer.affine is recorded[0]
    assert made.affine.multiplier.shape == (32, 32, 3)


def test_a_trainer_of_another_recipe_starts_from_the_same_weights(tmp_path: Path) -> None:
    made = assembly(tmp_path, model={"hidden_layers": [5]})
    first = made.trainer(1)
    next(first.run(made.splits.train))
    moved = first.network.parameters.theta.copy()
    again = made.trainer(1, recipe=made.recipe())
    assert again.progress.updates == 0
    np.testing.assert_array_equal(again.network.parameters.theta, started(made, np.float32))
    assert not np.array_equal(moved, again.network.parameters.theta)


def test_nothing_else_starts_a_network_or_makes_a_trainer() -> None:
    calls = {
        "initialize": "nn/network.py",
        "fit_to": "nn/network.py",
        "Trainer": "",
        "TrainingStep": "training/trainer.py",
    }
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in calls and not place.startswith("nn/") and place != calls[name]:
                    found.add((name, place))
    found = {(name, place) for name, place in found if place != "teaching/worked_formulas.py"}  # of the book
    assert found == {(name, "config/assembly.py") for name in ("initialize", "fit_to", "Trainer")}


def test_a_batch_size_that_is_left_out_is_cut_to_an_eighth_of_a_small_split_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    config = config_from_mapping({"data": assembly(tmp_path).config.to_dict()["data"], "model": {"hidden_layers": []}})
    made = prepare(config, Workplace(tmp_path), Display(quiet=True))
    assert (len(made.splits.train), made.config.training.batch_size) == (48, 6)
    assemble(config, made.dataset, said.append)
    assert said == [
        "batch_size 6 in place of 128, for 8 updates an epoch of 48 training examples (training.batch_size overrules)"
    ]


def test_a_batch_size_that_is_written_stays_and_is_refused_where_it_does_not_fit(tmp_path: Path) -> None:
    assert assembly(tmp_path, training={"batch_size": 48}).config.training.batch_size == 48
    with pytest.raises(ConfigError, match="49 is larger than the training split, which has 48 examples"):
        assembly(tmp_path, training={"batch_size": 49}).recipe()


@pytest.mark.parametrize(
    ("task", "monitor", "said"),
    [
        ("classification", "val_roc_auc", "has no meaning on this validation split: all examples are of one class"),
        ("classification", "val_cohen_kappa", "has no meaning on this validation split: "),
        ("regression", "val_r2", "has no meaning on this validation split: the target is constant"),
        ("regression", "val_macro_f1", "regression has no macro F1; use val_loss"),
    ],
)
def test_a_monitored_figure_that_the_data_cannot_have_is_refused_before_training(
    tmp_path: Path, task: str, monitor: str, said: str
) -> None:
    y = np.zeros(40, np.int64 if task == "classification" else np.float32)
    y[:3] = 1 if task == "classification" else 0.5  # of one class but for three, which all fall into the training split
    np.savez(tmp_path / "d.npz", x=np.arange(40, dtype=np.float32)[:, None], y=y)
    made = assembly(
        tmp_path,
        data={"dataset": {"name": "npz", "test": 0}, "path": str(tmp_path / "d.npz"), "validation": 0.1},
        model={"hidden_layers": []},
        loss="mean_squared_error",
        training={"batch_size": 5, "monitor": monitor},
    )
    validation = made.splits.validation
    assert validation is not None
    if not monitor.endswith("f1"):
        assert len(np.unique(validation.targets[validation.rows])) == 1
    with pytest.raises(ConfigError, match=said):
        made.recipe()
