"""The one place where a config and its data become a network with weights, scaling and a trainer."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnscratch
from nnscratch.config.assembly import Assembly, assemble, prepare
from nnscratch.config.beginning import (
    require_more_than_zero,
    require_read,
    tell_what_cannot_be,
)
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import ConfigError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace, at_home
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers.activations import Tanh, bounds_of
from nnscratch.training.progress import EpochResult
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


@pytest.mark.parametrize(
    ("layers", "optimizer", "is_told"),
    [
        (["flatten", "dense"], "muon", True),
        (["flatten", {"dense": {"units": 4, "frozen": True}}, "dense"], "muon", True),
        (["flatten", {"dense": 4}, "dense"], "muon", False),
        (["flatten", "dense"], "adam", False),
    ],
)
def test_muon_without_a_matrix_to_turn_is_told_and_logs_the_rate_it_learns_by(
    layers: list[Any], optimizer: str, is_told: bool, tmp_path: Path
) -> None:
    told: list[str] = []
    made = assembly(tmp_path, model={"layers": layers}, optimizer={"name": optimizer, "learning_rate": 0.5})
    tell_what_cannot_be(made, told.append)
    assert ["no hidden matrix for muon" in each for each in told] == [True] * is_told
    *_, last = made.trainer(1).run(made.splits.train)
    assert isinstance(last, EpochResult)
    assert last.values["learning_rate"] == (0.1 if is_told else 0.5)


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


def refused(tmp_path: Path, **sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        assembly(tmp_path, **sections).recipe()
    return str(caught.value)


def test_a_path_for_data_that_is_made_on_the_spot_is_refused_where_a_training_begins(tmp_path: Path) -> None:
    for name in ("shapes", "moons"):
        data = {"dataset": name, "path": "houses.csv"}
        made = assembly(tmp_path, data=data, model={"hidden_layers": [3]})  # of a run of before it says nothing
        with pytest.raises(ConfigError, match=rf"data.path: dataset {name} is made on the spot and reads no file"):
            require_read(made.config)


def test_a_number_above_zero_that_is_zero_in_single_precision_is_refused_where_a_training_begins(
    tmp_path: Path,
) -> None:
    layers: list[Any] = ["flatten", {"residual": {"layers": [{"batch_norm": {"epsilon": 1e-50}}]}}, "dense"]
    sections: dict[str, Any] = {"data": {"dataset": "moons"}, "model": {"layers": layers}}
    made = assembly(tmp_path, **sections, optimizer={"adam": {"epsilon": 1e-60}})  # a run of before is read
    with pytest.raises(ConfigError) as caught:
        require_more_than_zero(made.config)
    assert [each.path for each in caught.value.problems] == ["optimizer.epsilon", "model.layers.1.layers.0.epsilon"]
    assert "1e-60 is 0 in single precision, in which training computes: write 1.2e-38 or more" in str(caught.value)
    layers[1] = "relu"
    require_more_than_zero(assembly(tmp_path, **sections, optimizer={"adam": {"epsilon": 1e-38}}).config)


def regression(tmp_path: Path, targets: str, **sections: Any) -> dict[str, Any]:
    rows = [f"{i % 7},{low if i % 2 else high}" for i in range(40) for low, high in [map(float, targets.split())]]
    (tmp_path / "t.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    scaling = sections.pop("target_scaling", "standardize")
    dataset = {"name": "csv", "target": "y", "task": "regression"}
    data = {"dataset": dataset, "path": str(tmp_path / "t.csv"), "target_scaling": scaling}
    return {"data": data, "model": {"hidden_layers": [3], **sections}, "loss": "mean_squared_error"}


@pytest.mark.parametrize(
    ("sections", "targets", "said"),
    [
        ({"output": "relu"}, "92 106", "relu gives numbers at least 0, but 48% of the targets, made to have mean 0"),
        ({"output": "sigmoid"}, "92 106", "sigmoid gives numbers from 0 to 1, but 48% of the targets"),
        ({"output": "tanh", "target_scaling": "none"}, "92 0", "tanh gives numbers from -1 to 1, but 52% of the tra"),
        ({"output": "relu", "target_scaling": "none"}, "92 106", ""),
        ({"output": "leaky_relu"}, "92 106", ""),
        ({"output": "linear"}, "92 106", ""),
    ],
)
def test_targets_that_the_last_layer_cannot_give_are_told(
    sections: dict[str, str], targets: str, said: str, tmp_path: Path
) -> None:
    told: list[str] = []
    tell_what_cannot_be(assembly(tmp_path, **regression(tmp_path, targets, **sections)), told.append)
    assert [each[: len(said)] for each in told] == ([f"the last layer {said}"[: len(said)]] if said else [])
    if said.startswith("relu"):
        assert told[0].endswith("or write `data: {target_scaling: none}`")


def test_an_activation_that_is_derived_has_bounds_of_its_own_or_none() -> None:
    assert bounds_of(Tanh) == (-1.0, 1.0)
    assert bounds_of(type("Wide", (Tanh,), {})) == (-math.inf, math.inf)
    assert bounds_of(type("Own", (Tanh,), {"bounds": 5.0})) == (-math.inf, math.inf)


def test_the_last_layer_is_named_where_the_network_ends_with_a_wrong_shape(tmp_path: Path) -> None:
    said = refused(tmp_path, model={"layers": ["flatten", {"dense": 5}, "relu"]})
    assert "model.layers.2: the network ends with an output of shape (5,), the data needs (10,)" in said


def test_home_is_where_a_path_begins_with_a_tilde_unless_a_folder_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = regression(tmp_path, "1 2")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    sections["data"]["path"] = "~/t.csv"
    assert len(assembly(tmp_path, **sections).splits.train) == 29
    assert at_home("~ada/t.csv") == Path("~ada/t.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "t.csv").write_text("")
    assert at_home("~/t.csv") == Path("~/t.csv")
